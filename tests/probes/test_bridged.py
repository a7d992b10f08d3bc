"""Analyses of the inside on models that have no table here, opened through the bridge."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

import interp
from interp.explain.tuned_lens import TunedLens, train_tuned_lens
from interp.pretrained.bridge import BridgedTransformer
from probes.heads import heads
from probes.lens import lens
from probes.neurons import contexts, neurons
from probes.passages import Passages


@pytest.fixture(scope="module")
def bridged() -> BridgedTransformer:
    torch.manual_seed(0)
    config: Any = transformers.GPTBigCodeConfig(
        vocab_size=40, initializer_range=0.3, n_embd=16, n_layer=2, n_head=2
    )
    model: Any = interp.load(transformers.GPTBigCodeForCausalLM(config).eval())
    assert isinstance(model, BridgedTransformer)
    return model


ROWS = [[5, 9, 3, 17, 5, 9, 3], [8, 1, 8, 1]]


def texts() -> Passages:
    return Passages(ROWS, [[*row[1:], -100] for row in ROWS])


def test_heads_are_scored(bridged: BridgedTransformer) -> None:
    frame = heads(bridged, texts())
    assert set(frame["metric"]) == {"previous", "first", "duplicate", "induction"}
    assert len(frame) == 4 * 4 and frame["value"].between(0, 1).all()
    _, cache = bridged.run_with_cache(torch.tensor(ROWS[:1]))
    pattern = cache["blocks.1.attn.hook_pattern"][0, 1]
    alone = heads(bridged, Passages(ROWS[:1], [[-100] * 7]))
    found = alone[(alone["layer"] == 1) & (alone["head"] == 1)].set_index("metric")["value"]
    assert found["previous"] == pytest.approx(float(pattern.diagonal(-1).mean()), abs=1e-6)
    assert found["first"] == pytest.approx(float(pattern[1:, 0].mean()), abs=1e-6)


def test_a_lens_ends_at_the_prediction_and_can_be_tuned(bridged: BridgedTransformer) -> None:
    tuned = train_tuned_lens(bridged, texts(), steps=30, learning_rate=0.02)
    frame = lens(bridged, texts(), tuned)
    kl = frame[frame["metric"] == "kl"].pivot(index="layer", columns="lens", values="value")
    assert kl.loc[2].to_list() == [0, 0]
    assert (kl["tuned"][:2] < kl["logit"][:2]).all()
    assert TunedLens.identity(bridged).model_hash == tuned.model_hash


def test_neurons_are_read(bridged: BridgedTransformer) -> None:
    layer = neurons(bridged, texts(), k=1)[1]
    (shown,) = contexts(bridged, texts(), layer, 3)
    assert shown.value == pytest.approx(float(layer.highest.value[3, 0]), abs=1e-5)
