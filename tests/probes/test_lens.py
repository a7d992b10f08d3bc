"""The lens over a data set: zero at the end, the logit lens before it has learnt, chance for a
constant, the same in any batch."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from interp.data.batch import IGNORED
from interp.errors import InputError, LoadError, UnsupportedModelError
from interp.explain.lens import logit_lens
from interp.explain.tuned_lens import TunedLens, train_tuned_lens
from interp.model.transformer import HookedTransformer
from probes.lens import lens
from probes.passages import Passages, repeats
from tests.model.configurations import build, shared_model

SHAPES = ["decoder", "decoder-post-norm", "decoder-llama", "encoder-bert", "pair-pre-norm"]


def some(model: HookedTransformer, tokens: int = 2048) -> Passages:
    """Rows of unequal length, with a label everywhere but at the last position."""
    generator = np.random.default_rng(0)
    rows = [generator.integers(3, 29, n).tolist() for n in (4, 7, 7, 9, 12)]
    labels = [[*row[1:], IGNORED] for row in rows]
    sources = [row[::-1] for row in rows] if model.cfg.shape == "encoder_decoder" else None
    return Passages(rows, labels, sources=sources, tokens=tokens)


def table(frame: pd.DataFrame, name: str, metric: str) -> np.ndarray:
    rows = frame[(frame["lens"] == name) & (frame["metric"] == metric)]
    return rows.sort_values("layer")["value"].to_numpy()


@pytest.mark.parametrize("name", SHAPES)
def test_the_last_layer_is_the_prediction_itself(name: str) -> None:
    model = shared_model(name, torch.float64)
    frame = lens(model, some(model))
    assert table(frame, "logit", "kl")[-1] == 0
    assert table(frame, "logit", "agreement")[-1] == 1
    assert (table(frame, "logit", "kl")[:-1] > 0).all()
    texts = some(model)
    batch = texts.collate(range(len(texts)))
    logits = model(**batch.inputs)
    asked = batch.labels != IGNORED
    loss = torch.nn.functional.cross_entropy(logits[asked], batch.labels[asked])
    assert table(frame, "logit", "loss")[-1] == pytest.approx(float(loss), abs=1e-10)


def test_it_agrees_with_the_lens_of_one_text() -> None:
    model = shared_model("decoder", torch.float64)
    row = [3, 9, 4, 17, 5]
    frame = lens(model, Passages([row], [[*row[1:], IGNORED]]))
    _, cache = model.run_with_cache(torch.tensor([row]))
    one = logit_lens(model, cache)
    one = one[one["position"] < 4]
    names = [f"blocks.{i}.hook_resid_pre" for i in range(3)]
    streams = [*(cache[name] for name in names), cache["blocks.2.hook_resid_post"]]
    own, seen = model(torch.tensor([row])).softmax(-1), [model.finish(x) for x in streams]
    divergence = [(own * (own.log() - x.log_softmax(-1))).sum(-1)[0, :4].mean() for x in seen]
    assert table(frame, "logit", "kl") == pytest.approx([float(x) for x in divergence], abs=1e-10)
    expected = one.groupby("layer")["entropy"].mean().to_numpy()
    assert table(frame, "logit", "entropy") == pytest.approx(expected, abs=1e-5)
    first = one[one["rank"] == 1].groupby("layer").size() / 4
    agreement = pd.Series(table(frame, "logit", "agreement"))
    assert agreement.to_list() == pytest.approx(first.reindex(range(4)).fillna(0).to_list())


@pytest.mark.parametrize("name", ["decoder", "encoder-bert", "pair-pre-norm"])
def test_batches_and_padding_change_nothing(name: str) -> None:
    model = shared_model(name, torch.float64)
    together, alone = lens(model, some(model)), lens(model, some(model, tokens=1))
    assert (together["value"] - alone["value"]).abs().max() < 1e-10


def test_constant_logits_have_the_rank_of_chance() -> None:
    model = build("decoder", dtype=torch.float64)
    with torch.no_grad():
        model.output.unembed.weight.zero_()
    frame = lens(model, some(model))
    v = model.cfg.d_vocab
    assert table(frame, "logit", "rank") == pytest.approx((v + 1) / 2)
    assert table(frame, "logit", "loss") == pytest.approx(np.log(v))
    assert table(frame, "logit", "kl") == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", SHAPES)
def test_an_identity_lens_is_the_logit_lens(name: str) -> None:
    model = shared_model(name, torch.float64)
    frame = lens(model, some(model), TunedLens.identity(model))
    for metric in ("kl", "entropy", "rank", "loss", "agreement"):
        assert np.array_equal(table(frame, "tuned", metric), table(frame, "logit", metric))


@pytest.mark.parametrize("name", ["decoder", "encoder-bert", "pair-pre-norm"])
def test_training_brings_every_layer_nearer_and_leaves_the_model_alone(name: str) -> None:
    model = build(name)
    before = {n: p.clone() for n, p in model.named_parameters()}
    tuned = train_tuned_lens(model, some(model), steps=60, learning_rate=0.02)
    frame = lens(model, some(model), tuned)
    logit, learnt = table(frame, "logit", "kl"), table(frame, "tuned", "kl")
    assert (learnt[:-1] < 0.8 * logit[:-1]).all()
    assert learnt[-1] == 0
    assert all(torch.equal(before[n], p) for n, p in model.named_parameters())
    assert all(p.grad is None for p in model.parameters())


def test_a_linear_model_is_read_exactly_by_its_own_map() -> None:
    """A translator that does what the rest of the network does leaves no divergence: with blocks
    that only add a bias, the best translator is that bias."""
    model = build("decoder", dtype=torch.float64)
    with torch.no_grad():
        for block in model.blocks:
            block.attn.out.weight.zero_()
            block.mlp.down.weight.zero_()
    identity = TunedLens.identity(model)
    rest = torch.stack(
        [model.accumulated_bias(3) - model.accumulated_bias(layer) for layer in range(3)]
    )
    exact = dataclasses.replace(identity, bias=rest.detach())
    frame = lens(model, some(model), exact)
    assert table(frame, "tuned", "kl") == pytest.approx(0, abs=1e-12)
    assert table(frame, "logit", "kl")[0] > 1e-3


def test_a_lens_is_kept_for_its_weights_alone(tmp_path: Path) -> None:
    model, other = build("decoder"), build("decoder", seed=1)
    tuned = train_tuned_lens(model, repeats(model, rows=2), steps=2)
    path = tmp_path / "lens.safetensors"
    tuned.save(path)
    again = TunedLens.load(path, model)
    assert torch.equal(again.weight, tuned.weight) and torch.equal(again.bias, tuned.bias)
    with pytest.raises(InputError, match="other weights"):
        TunedLens.load(path, other)
    with pytest.raises(InputError, match="other weights"):
        lens(other, some(other), tuned)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(LoadError, match="tuned lens"):
        TunedLens.load(path, model)


def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(UnsupportedModelError):
        lens(shared_model("decoder-classification"), some(shared_model("decoder")))
    silent = Passages([[3, 4, 5]], [[IGNORED] * 3])
    with pytest.raises(InputError, match="Nothing should be predicted"):
        lens(shared_model("encoder-bert"), silent)
