"""DPO: its formula by hand, and what follows from it."""

from __future__ import annotations

import math

import pytest
import torch

from interp.data.batch import IGNORED, Batch
from interp.errors import ConfigError, InputError
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.train.preference import DPO, answer_log_probs

CFG = TransformerConfig(
    d_model=16, n_layers=1, n_heads=2, d_vocab=11, n_ctx=12, initializer_range=0.3
)


def model(seed: int) -> HookedTransformer:
    return HookedTransformer(CFG, seed=seed).eval()


def batch(pairs: int = 3) -> Batch:
    """Prompts of three tokens and answers of unequal length, padded and masked."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(11, (2 * pairs, 8), generator=generator)
    labels = torch.cat([tokens[:, 1:], torch.full((2 * pairs, 1), IGNORED)], 1)
    labels[:, :2] = IGNORED
    mask = torch.ones_like(tokens)
    for row in range(2 * pairs):
        length = 5 + row % 3
        mask[row, length:] = 0
        labels[row, length - 1 :] = IGNORED
    return Batch({"tokens": tokens, "attention_mask": mask}, labels)


def test_a_model_equal_to_its_reference_loses_log_two_a_pair() -> None:
    objective = DPO(model(0))
    loss = objective(model(0), batch())
    assert loss.item() / objective.count(batch()) == pytest.approx(math.log(2))


def test_the_formula_by_hand() -> None:
    one, reference, pairs = model(1), model(0), batch()

    def log_p(who: HookedTransformer, row: int) -> float:
        length = int(pairs.inputs["attention_mask"][row].sum())
        tokens = pairs.inputs["tokens"][row : row + 1, :length]
        logs = who(tokens)[0].log_softmax(-1).detach()
        return sum(float(logs[t, tokens[0, t + 1]]) for t in range(2, length - 1))

    total = 0.0
    for w in (0, 2, 4):
        margin = (log_p(one, w) - log_p(reference, w)) - (
            log_p(one, w + 1) - log_p(reference, w + 1)
        )
        total += math.log(1 + math.exp(-0.5 * margin))
    loss = DPO(reference, beta=0.5)(one, pairs)
    assert loss.item() == pytest.approx(total, rel=1e-5)


def test_a_step_makes_the_preferred_likelier_and_leaves_the_reference() -> None:
    one, reference, pairs = model(0), model(0), batch()
    before = [p.clone() for p in reference.parameters()]
    objective = DPO(reference)
    objective(one, pairs).backward()
    assert all(p.grad is None for p in reference.parameters())
    with torch.no_grad():
        for p in one.parameters():
            p -= 0.05 * p.grad
    assert (objective.margins(one, pairs) > 0).all()
    assert all(torch.equal(a, b) for a, b in zip(before, reference.parameters(), strict=True))


def test_exchanging_the_answers_turns_the_margin_round() -> None:
    pairs = batch()
    turned = torch.arange(len(pairs)).view(-1, 2).flip(1).flatten()
    other = Batch({n: t[turned] for n, t in pairs.inputs.items()}, pairs.labels[turned])
    objective = DPO(model(0))
    torch.testing.assert_close(
        objective.margins(model(1), other), -objective.margins(model(1), pairs)
    )


def test_parts_of_a_batch_add_up() -> None:
    objective, one, pairs = DPO(model(0)), model(1), batch()
    parts = [pairs.rows(slice(0, 2)), pairs.rows(slice(2, 6))]
    whole = objective(one, pairs).item()
    assert whole == pytest.approx(sum(objective(one, part).item() for part in parts), rel=1e-5)
    assert objective.count(pairs) == sum(map(objective.count, parts)) == 3


def test_the_prompt_does_not_count() -> None:
    pairs = batch()
    log_p = answer_log_probs(model(0), pairs)
    n = (pairs.labels != IGNORED).sum(1)
    assert log_p.shape == (6,) and (log_p < 0).all() and (n <= 5).all()
    nothing = Batch(pairs.inputs, torch.full_like(pairs.labels, IGNORED))
    assert not answer_log_probs(model(0), nothing).any()


def test_what_is_no_pair_is_refused() -> None:
    with pytest.raises(InputError, match="5 rows"):
        DPO(model(0))(model(0), batch().rows(slice(0, 5)))
    with pytest.raises(ConfigError, match="beta is 0"):
        DPO(model(0), beta=0)
