"""Methods that need hooks and gradients only find the same through the bridge as on our model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

import interp
from interp.explain import Baseline, Target, attribute
from interp.pretrained.bridge import BridgedTransformer, open_bridge

IDS = torch.tensor([[5, 9, 3, 17, 4, 8]])
OPTIONS: dict[str, dict[str, Any]] = {
    "saliency": {},
    "gradient_x_input": {},
    "smoothgrad": {"draws": 8},
    "expected_gradients": {"draws": 40},
    "attention_rollout": {},
    "attention_relevance": {},
    "attention_attribution": {},
    "value_zeroing": {},
}
INSIDE = ["cp_lrp", "attn_lrp", "gim", "frozen_decomposition", "value_weighted_attention"]


@pytest.fixture(scope="module")
def both() -> tuple[Any, BridgedTransformer]:
    """A tiny GPT-2 with weights far from 0, opened in both ways."""
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=40, n_positions=16, n_embd=16, n_layer=2, n_head=2, initializer_range=0.3
    )
    theirs = transformers.GPT2LMHeadModel(config).eval()
    return interp.load(theirs), open_bridge(theirs)


@pytest.mark.parametrize("method", OPTIONS)
def test_both_give_the_same_scores(both: tuple[Any, BridgedTransformer], method: str) -> None:
    arguments = {"target": Target.logit(3), "baseline": Baseline.uniform(2), **OPTIONS[method]}
    own, bridged = (attribute(model, IDS, method, **arguments) for model in both)
    assert bridged.scores == pytest.approx(own.scores, rel=1e-3, abs=1e-4)
    assert any(own.scores)


@pytest.mark.parametrize("method", INSIDE)
def test_methods_that_reach_inside_refuse(
    both: tuple[Any, BridgedTransformer], method: str
) -> None:
    with pytest.raises(interp.InterpError, match="HookedTransformer"):
        attribute(both[1], IDS, method)
