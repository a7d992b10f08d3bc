"""The parts of tokens add up, in every activation, and forward and backward agree about them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from interp import HookError, InputError
from interp.explain import Target
from interp.explain.methods.frozen import frozen_decomposition, token_parts
from interp.explain.methods.relevance import cp_lrp
from interp.explain.points import Point
from tests.explain.readings import read, read_on
from tests.model.configurations import CONFIGURATIONS, EACH_KIND, EVERY, build, one_of_each

NO_SUM = ("hook_scale", "hook_pattern", "hook_attn_scores", "hook_attn_scores_uncapped")


def inputs_of(point: Point) -> dict[str, Any]:
    return {"tokens": point.parts["hook_embed"], **point.inputs}


def check_sums(name: str, leaves: tuple[str, ...]) -> None:
    point = read(name, Target.logit(1))
    model = point.model
    _, cache = model.run_with_cache(**inputs_of(point))
    for activation in one_of_each(model):
        if not activation.endswith(leaves) or activation.endswith(NO_SUM):
            continue
        found = token_parts(point, activation)
        assert found.parts.shape == (len(point.embedded), *cache[activation].shape[1:])
        torch.testing.assert_close(found.whole, cache[activation][0], atol=1e-8, rtol=1e-8)


@EACH_KIND
def test_parts_add_up_to_every_activation(name: str) -> None:
    check_sums(name, ("",))


@EVERY
def test_parts_add_up_at_the_end_of_every_model(name: str) -> None:
    check_sums(name, ("hook_normalized", "hook_pooler_out", "resid_post"))


@EACH_KIND
def test_the_backward_pass_finds_the_same_parts(name: str) -> None:
    """Of a coordinate of the logits: what enters the last linear map, from the forward pass."""
    target = Target.logit(1, position=-1)
    point = read(name, target)
    model = point.model
    last = list(model.hook_points)[-1]
    cap = model.cfg.output_logits_soft_cap > 0
    found = token_parts(point, last)
    if cap:
        parts, rest = found.parts[:, -1, 1], found.rest[-1, 1]
    else:
        norm: Any = model.output.mlm_head.ln if model.cfg.head == "mlm" else None
        if norm is None:
            norm = model.stack(model.last_stack).ln_final
        read_out: Tensor = model.W_U[:, 1]
        if norm is not None:
            read_out = read_out * norm.w
        parts = found.parts[:, -1] @ read_out
        rest = found.rest[-1] @ read_out + model.b_U[1]
        rest = rest if norm is None else rest + norm.b @ model.W_U[:, 1]
    scores = frozen_decomposition(point).scores
    torch.testing.assert_close(scores, parts, atol=1e-8, rtol=1e-8)
    assert (parts.sum() + rest).item() == pytest.approx(point.value, rel=1e-8)
    assert scores.abs().max() > 1e-3


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_it_is_cp_lrp_where_there_are_no_gates(name: str) -> None:
    def target(logits: Tensor) -> Tensor:
        flat = logits.flatten(1)
        return flat @ torch.arange(flat.shape[1], dtype=flat.dtype)

    point = read(name, Target.of(target))
    same = torch.allclose(frozen_decomposition(point).scores, cp_lrp(point).scores, atol=1e-9)
    assert same == (not point.model.cfg.gated_mlp)


def test_a_token_changes_the_frozen_model_by_its_part() -> None:
    """Affine: twice the embedding of a token is twice its part, with all that is held held."""
    model = build("decoder-llama", dtype=torch.float64)
    one, name = read_on(model), "blocks.1.mlp.hook_post"
    parts = token_parts(one, name)
    many = read_on(model, batch_size=2)
    torch.testing.assert_close(token_parts(many, name).parts, parts.parts, atol=1e-12, rtol=1e-9)
    assert not parts.parts[4, :4].any() and parts.parts[4, 4].any()  # it is causal


@pytest.mark.parametrize("leaf", NO_SUM)
def test_what_is_no_sum_is_refused(leaf: str) -> None:
    point = read("decoder-gemma")
    block = "blocks.0.ln1." if leaf == "hook_scale" else "blocks.0.attn."
    with pytest.raises(InputError, match="no sum"):
        token_parts(point, block + leaf)


def test_unknown_activations_are_refused() -> None:
    with pytest.raises(HookError, match="hook_nothing"):
        token_parts(read("decoder"), "blocks.0.hook_nothing")
