"""The steps from stream to stream are a flow: what leaves and what enters a stream is its value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from interp.explain import Baseline, Target, attribute, token_parts
from interp.explain.inside import contributions
from interp.explain.points import Point
from tests.model.configurations import example, shared_model

MODELS = [
    "decoder",
    "decoder-alibi",
    "decoder-parallel",
    "decoder-attn-only",
    "decoder-llama",
    "decoder-classification",
    "encoder-mean-classification",
    "encoder-pre-norm",
    "pair-t5",
    "pair-pre-norm",
]


def read(name: str) -> tuple[Any, torch.Tensor, dict[str, Any]]:
    model = shared_model(name, torch.float64)
    inputs: dict[str, Any] = dict(example(model.cfg, batch=1))
    return model, inputs.pop("tokens"), inputs


@pytest.mark.parametrize("name", MODELS)
def test_what_leaves_a_stream_is_what_it_holds(name: str) -> None:
    model, text, inputs = read(name)
    found = contributions(model, text, Target.logit(1), inputs=inputs)
    left = found.edges.groupby(["level", "position"])["value"].sum()
    key = ["level", "position"]
    lower = found.nodes[found.nodes["level"] < found.nodes["level"].max()].set_index(key)
    expected = left.reindex(lower.index, fill_value=0.0)
    np.testing.assert_allclose(expected, lower["value"], rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_what_enters_adds_up_to_the_target(name: str) -> None:
    model, text, inputs = read(name)
    found = contributions(model, text, Target.logit(1), inputs=inputs)
    bottom = found.nodes["layer"] == 0
    total = found.nodes.loc[bottom, "value"].sum() + found.nodes["bias"].sum() + found.bias
    np.testing.assert_allclose(total, found.value, atol=1e-9)


@pytest.mark.parametrize("name", ["decoder-llama", "pair-t5"])
def test_nothing_is_left_for_biases_where_a_model_has_none(name: str) -> None:
    model, text, inputs = read(name)
    found = contributions(model, text, Target.logit(1), inputs=inputs)
    assert found.nodes["value"].abs().max() > 1e-3
    np.testing.assert_allclose([*found.nodes["bias"], found.bias], 0, atol=1e-9)


@pytest.mark.parametrize("name", ["decoder-llama", "decoder", "pair-t5"])
def test_the_lowest_streams_hold_what_the_frozen_decomposition_gives_each_token(name: str) -> None:
    """Where nothing but the token's embedding enters a stack (rotary or relative positions)."""
    model, text, inputs = read(name)
    found = contributions(model, text, Target.logit(1), inputs=inputs)
    scores = attribute(
        model,
        text,
        method="frozen_decomposition",
        target=Target.logit(1),
        baseline=Baseline.zero(),
        inputs=inputs,
    ).scores
    lowest = found.nodes[found.nodes["layer"] == 0].sort_values("position")["value"].to_numpy()
    same = np.allclose(lowest, scores, rtol=0, atol=1e-9)
    assert same == (model.cfg.positional_embedding_type not in ("standard", "sinusoidal"))


def test_a_step_is_the_frozen_block_run_on_one_stream_alone() -> None:
    """By forwards instead of gradients: of one layer, the parts of the tokens in the last stream,
    read by the target's slope."""
    model, text, inputs = read("decoder-llama")
    last = model.cfg.n_layers - 1
    found = contributions(model, text, Target.logit(1), inputs=inputs)
    point = Point.read(model, text, Target.logit(1), Baseline.zero(), dict(inputs))
    parts = token_parts(point, f"blocks.{last}.hook_resid_post")
    scale = model.run_with_cache(text, **inputs)[1]["ln_final.hook_scale"][0, -1]
    weight = model.W_U[:, 1] * (1.0 if model.ln_final.weight is None else model.ln_final.weight)
    through = (parts.parts[:, -1] / scale) @ weight
    # Through all levels, the steps multiply as shares of what each stream holds.
    nodes = found.nodes.set_index(["level", "position"])["value"]
    n = len(found.tokens)
    carried = np.eye(n)
    for level in range(model.cfg.n_layers):
        step = np.zeros((n, n))
        rows = found.edges[found.edges["level"] == level]
        step[rows["position"], rows["to_position"]] = rows["value"]
        held = nodes.loc[level].to_numpy()
        share = np.divide(step, held[:, None], out=np.zeros_like(step), where=held[:, None] != 0)
        carried = carried @ share
    np.testing.assert_allclose(carried[:, -1] * nodes.loc[0].to_numpy(), nodes.loc[0], atol=1e-9)
    np.testing.assert_allclose(through.detach(), nodes.loc[0], atol=1e-9)
