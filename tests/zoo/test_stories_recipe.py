"""The training script of `stories`: its loss, its schedule, and going on after a stop."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from interp.data.sets.stories import Book
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.zoo.recipes import stories
from interp.zoo.recipes.stories_tokens import Corpus

SMALL = TransformerConfig(
    d_model=16, n_layers=2, n_heads=2, d_vocab=40, n_ctx=12, tie_word_embeddings=True
)


def _tokens(rows: int, seed: int = 0, config: TransformerConfig = SMALL) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(config.d_vocab, (rows, config.n_ctx), generator=generator)


def test_loss_in_pieces_is_the_loss_of_the_batch() -> None:
    whole, pieces = HookedTransformer(SMALL).double(), HookedTransformer(SMALL).double()
    tokens = _tokens(7)
    loss = F.cross_entropy(whole(tokens)[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
    loss.backward()
    # Float32 is where the recipe computes its loss, whatever the weights are.
    assert stories.loss_and_gradients(pieces, tokens) == pytest.approx(loss.item(), rel=1e-6)
    for a, b in zip(whole.parameters(), pieces.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-5, atol=1e-8)


def test_evaluation_is_the_mean_over_rows() -> None:
    model = HookedTransformer(SMALL)
    document = Book("c", "n", "t", "a", "CC0", "", "train", "the cat sat. " * 40)
    tokenizer = stories.train_tokenizer(iter([document.text]), "bpe", 300)
    config = SMALL.replace(d_vocab=len(tokenizer), d_vocab_out=len(tokenizer))
    model = HookedTransformer(config)
    corpus = Corpus.encode([document], tokenizer)
    stride = config.n_ctx - 1
    rows = [corpus.tokens[i : i + stride] for i in range(0, len(corpus.tokens) - stride, stride)]
    tokens = torch.tensor([[stories.END_ID, *row.tolist()] for row in rows])
    expected = model(tokens, return_type="loss").item()
    assert stories.evaluate(model, corpus) == pytest.approx(expected, rel=1e-5)


def test_rate_warms_up_stays_and_falls_to_zero() -> None:
    total = 1000
    rates = [stories.rate(step, total) for step in range(total)]
    decay = round(total * (1 - stories.DECAY_SHARE))
    assert rates[0] == pytest.approx(1 / stories.WARMUP_STEPS)
    assert all(r == 1.0 for r in rates[stories.WARMUP_STEPS : decay])
    assert rates[decay:] == sorted(rates[decay:], reverse=True)
    assert 0 < rates[-1] < 0.01


def test_a_time_budget_and_its_steps_have_the_same_rates() -> None:
    begun = 600  # the decay begins here, as time decided
    total = round(begun / (1 - stories.DECAY_SHARE))
    assert all(stories.rate(s, None) == stories.rate(s, total) for s in range(begun))


@pytest.fixture
def small_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stories, "CONFIG", SMALL)


@pytest.mark.usefixtures("small_run")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_stopped_run_goes_on_exactly(tmp_path: Path, dtype: torch.dtype) -> None:
    trainer = stories.Trainer(tmp_path, dtype)
    for step in range(3):
        trainer.update(_tokens(4, step))
    trainer.save()
    later = stories.Trainer(tmp_path, dtype)
    assert (later.step, later.seconds) == (3, trainer.seconds)
    for step in range(3, 6):
        assert trainer.update(_tokens(4, step)) == later.update(_tokens(4, step))
    for a, b in zip(trainer.model.parameters(), later.model.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.usefixtures("small_run")
def test_a_change_of_plan_is_remembered(tmp_path: Path) -> None:
    trainer = stories.Trainer(tmp_path, torch.float32)
    trainer.plan(10)
    trainer.update(_tokens(4))
    trainer.save()
    later = stories.Trainer(tmp_path, torch.float32)
    later.plan(10)
    later.plan(20)
    assert later.total == 20
    assert later.plans == [[0, 10], [1, 20]]


@pytest.mark.usefixtures("small_run")
def test_training_learns(tmp_path: Path) -> None:
    trainer = stories.Trainer(tmp_path, torch.float32)
    tokens = _tokens(4)
    losses = [trainer.update(tokens) for _ in range(60)]
    assert losses[-1] < losses[0] - 1
