"""The fast step of the recipe `grokking` is the model's own, and a stopped build goes on."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

import interp
from interp.data.batch import Batch
from interp.model.transformer import HookedTransformer
from interp.train.loop import fit
from interp.train.objective import CrossEntropy
from interp.zoo.recipes import grokking


@pytest.fixture
def batch() -> Batch:
    whole = grokking.source("train").batch(0)
    return whole.rows(slice(None, None, 40))


def rough(seed: int = 3) -> HookedTransformer:
    """A model whose every parameter counts, in float64."""
    model = grokking.initial(seed).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(
                parameter.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
            )
    return model


def gradients(model: HookedTransformer, loss: Tensor) -> dict[str, Tensor]:
    named = {n: p for n, p in model.named_parameters() if p.requires_grad}
    return dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))


def test_the_short_way_to_the_answers_is_the_forward(batch: Batch) -> None:
    model = rough()
    tokens = batch.inputs["tokens"]
    assert torch.allclose(grokking.answers(model, tokens), model(tokens)[:, -1], atol=1e-12)


def test_the_norms_do_nothing(batch: Batch) -> None:
    model = grokking.initial()
    _, cache = model.run_with_cache(batch.inputs["tokens"])
    for site in ("blocks.0.ln1", "blocks.0.ln2", "ln_final"):
        read = {
            "blocks.0.ln1": "blocks.0.hook_resid_pre",
            "blocks.0.ln2": "blocks.0.hook_resid_mid",
        }
        stream = cache[read.get(site, "blocks.0.hook_resid_post")]
        gain = dict(model.named_parameters())[f"{site}.weight"]
        normed = cache[f"{site}.hook_normalized"] * gain
        assert torch.allclose(normed, stream, rtol=1e-4, atol=1e-6)


def test_the_objective_is_cross_entropy_with_the_same_gradients(batch: Batch) -> None:
    model = rough()
    objective = grokking.Answers()
    short = objective(model, batch)
    whole = CrossEntropy()(model, batch).detach()
    assert objective.count(batch) == CrossEntropy().count(batch)
    assert float(short.detach()) == pytest.approx(
        float(whole), rel=1e-6
    )  # the latter sums in float32
    # The peer in float64 throughout: the model's own forward under torch's loss.
    logits, right = model(batch.inputs["tokens"])[:, -1], batch.labels[:, -1]
    peer = torch.nn.functional.cross_entropy(logits, right, reduction="sum")
    assert float(short.detach()) == pytest.approx(float(peer.detach()), rel=1e-12)
    expected = gradients(model, peer)
    for name, found in gradients(model, short).items():
        assert torch.allclose(found, expected[name], atol=1e-10), name


def test_a_tiny_surprise_survives_float32() -> None:
    logits = torch.zeros(1, 5, dtype=torch.float64)
    logits[0, 2] = 25.0
    logits.requires_grad_()
    right = torch.tensor([2])
    exact = torch.nn.functional.cross_entropy(logits, right)
    (slope,) = torch.autograd.grad(exact, logits)
    single = logits.detach().float().requires_grad_()
    found = grokking.surprise(single, right).sum()
    (found_slope,) = torch.autograd.grad(found, single)
    assert found.item() == pytest.approx(exact.item(), rel=1e-4) and exact.item() < 1e-10
    assert found_slope.double().numpy() == pytest.approx(slope.numpy(), rel=1e-4)


def test_embeddings_decay_and_gains_stay() -> None:
    model = grokking.initial()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    settings = grokking.SETTINGS.replace(steps=3, warmup_steps=0)
    fit(model, grokking.source("train"), settings, objective=grokking.Answers(), progress=False)
    after = dict(model.named_parameters())
    gains = [name for name in before if "ln" in name]
    assert len(gains) == 3 and all(torch.equal(before[n], after[n]) for n in gains)
    other = grokking.initial()
    without = settings.replace(decay_embeddings=False)
    fit(other, grokking.source("train"), without, objective=grokking.Answers(), progress=False)
    kept = dict(other.named_parameters())
    assert kept["embed.weight"].norm() > after["embed.weight"].norm()


def test_a_build_that_was_stopped_goes_on_and_takes_a_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = dataclasses.replace(
        grokking.SETTINGS, steps=6, evaluate_every=2, checkpoint_every=2, early_checkpoints=False
    )
    monkeypatch.setattr(grokking, "SETTINGS", small)
    monkeypatch.setattr(grokking, "KEPT", (0, 2, 6))
    monkeypatch.setattr(grokking, "P", 13)
    monkeypatch.setattr(
        grokking, "CONFIG", grokking.CONFIG.replace(d_vocab=14, d_vocab_out=13, d_model=16)
    )
    grokking.build(tmp_path / "whole", tmp_path / "whole-work", seed=1)

    calls = itertools.count()
    batch_of = grokking.ModularAddition.batch

    def stop(self: grokking.ModularAddition, step: int) -> Batch:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return batch_of(self, step)

    monkeypatch.setattr(grokking, "SETTINGS", small.replace(save_every=0.0))
    with monkeypatch.context() as broken:
        broken.setattr(grokking.ModularAddition, "batch", stop)
        with pytest.raises(KeyboardInterrupt):
            grokking.build(tmp_path / "cut", tmp_path / "cut-work", seed=1)
    assert not (tmp_path / "cut").exists()
    grokking.build(tmp_path / "cut", tmp_path / "cut-work", seed=1)
    whole, cut = (interp.Run.open(tmp_path / name) for name in ("whole", "cut"))
    assert whole.steps == cut.steps == [0, 2, 6]
    for a, b in zip(whole.load(-1).parameters(), cut.load(-1).parameters(), strict=True):
        assert torch.equal(a, b)
    assert list(cut.log["step"]) == [2, 4, 6] and "evaluation.test_accuracy" in cut.log
    record = json.loads((tmp_path / "cut" / "training.json").read_text())
    assert record["making"]["training"]["seeds"] == {"weights": 1, "split": 1}
    assert "--seed 1" in (tmp_path / "cut" / "README.md").read_text()
    other = grokking.initial(2)
    assert not torch.equal(other.embed.weight, grokking.initial(1).embed.weight)
