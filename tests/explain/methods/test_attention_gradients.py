"""Attention relevance by hand, and attention attribution, whose layers add up."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from interp import InputError
from interp.explain import Target
from interp.explain.methods.attention_attribution import (
    attention_attribution,
    attention_attribution_maps,
)
from interp.explain.methods.attention_relevance import attention_relevance, relevance_matrix
from interp.explain.points import Point
from interp.model.tap import Record
from tests.explain.readings import read
from tests.model.configurations import EACH_KIND, EVERY


def agreed(point: Point) -> dict[str, Tensor]:
    """(A x dF/dA)+, the mean over heads, from a recording of the model's own forward."""
    record = Record([p for p in point.model.hook_points if p.endswith("pattern")], on_path=True)
    out = point.model(point.parts["hook_embed"], tap=record, **point.inputs)
    value = point.target(out)[0]
    slopes = torch.autograd.grad(value, list(record.values.values()))
    return {
        name: (pattern * slope)[0].clamp(min=0).mean(0).detach()
        for (name, pattern), slope in zip(record.values.items(), slopes, strict=True)
    }


@pytest.mark.parametrize("name", ["decoder", "encoder-bert"])
def test_relevance_of_two_layers_by_hand(name: str) -> None:
    point = read(name, Target.logit(1), n_layers=2)
    first, second = agreed(point).values()
    own = torch.eye(6, dtype=torch.float64)
    expected = own + first + second + second @ first
    torch.testing.assert_close(relevance_matrix(point), expected, atol=1e-10, rtol=1e-8)
    torch.testing.assert_close(
        attention_relevance(point).scores, expected[-1], atol=1e-10, rtol=1e-8
    )
    assert first.max() > 0


def test_relevance_of_a_pair_by_its_equations() -> None:
    """Equations 6 to 11 of Chefer et al., with the target as the side that is explained."""
    point = read("pair-pre-norm", Target.logit(1))
    steps = agreed(point)

    def mixed(relevance: Tensor) -> Tensor:
        own = torch.eye(len(relevance), dtype=torch.float64)
        rest = relevance - own
        total = rest.sum(-1, keepdim=True)
        return torch.where(total == 0, 0, rest / total) + own

    source, target = torch.eye(6, dtype=torch.float64), torch.eye(5, dtype=torch.float64)
    across = torch.zeros(5, 6, dtype=torch.float64)
    for layer in range(3):
        source = source + steps[f"encoder.{layer}.attn.hook_pattern"] @ source
    for layer in range(2):
        attn = steps[f"decoder.{layer}.attn.hook_pattern"]
        target, across = target + attn @ target, across + attn @ across
        cross = steps[f"decoder.{layer}.cross_attn.hook_pattern"]
        across = across + mixed(target).T @ cross @ mixed(source)
    expected = torch.cat([across[-1], target[-1]])
    torch.testing.assert_close(attention_relevance(point).scores, expected, atol=1e-10, rtol=1e-8)


def silenced(point: Point, name: str) -> float:
    """The target where one layer attends to nothing."""
    out = point.model.run_with_hooks(
        point.parts["hook_embed"],
        fwd_hooks=[(name, lambda value, hook: torch.zeros_like(value))],
        **point.inputs,
    )
    return point.target(out)[0].item()


@EACH_KIND
def test_a_layer_adds_up_to_what_it_does(name: str) -> None:
    point = read(name, Target.logit(1))
    found = attention_attribution_maps(point, tolerance=1e-3, max_evaluations=2000)
    assert found.converged
    for kind, shares in found.maps.items():
        stack, part = kind.split(".")
        for layer, entries in enumerate(shares):
            expected = point.value - silenced(point, f"{stack}.{layer}.{part}.hook_pattern")
            assert found.differences[kind][layer].item() == pytest.approx(expected, rel=1e-8)
            assert entries.sum().item() == pytest.approx(expected, rel=1.1e-3, abs=1e-9)


def test_shares_of_a_linear_layer_are_exact() -> None:
    """One layer of attention without a final norm: what each entry moves to the logit."""
    point = read("decoder-attn-only", Target.logit(1), n_layers=1, final_norm=False)
    _, cache = point.model.run_with_cache(point.parts["hook_embed"])
    attn = point.model.blocks[0].attn
    written = torch.einsum("khd,hde->hke", cache["v", 0][0], attn.W_O) @ point.model.W_U[:, 1]
    expected = cache["pattern", 0][0][:, -1] * written
    shares = attention_attribution_maps(point).maps["blocks.attn"][0]
    torch.testing.assert_close(shares[:, -1], expected, atol=1e-10, rtol=1e-8)
    assert not shares[:, :-1].any()  # no other query is read
    torch.testing.assert_close(
        attention_attribution(point).scores, expected.sum(0), atol=1e-10, rtol=1e-8
    )


@EVERY
def test_tokens_have_the_shares_of_their_keys(name: str) -> None:
    point = read(name, Target.logit(1), initializer_range=0.2)
    maps = attention_attribution_maps(point)
    expected = sum(d.sum().item() for d in maps.differences.values())
    layers = sum(len(d) for d in maps.differences.values())
    gap = sum(d.abs().sum().item() for d in maps.differences.values()) * 0.01
    found = attention_attribution(point).scores.sum().item() * layers
    assert found == pytest.approx(expected, abs=gap + 1e-9)


def test_too_few_evaluations_are_reported() -> None:
    point = read("decoder", Target.logit(1), initializer_range=1.0)
    with pytest.warns(UserWarning, match=r"blocks\.\d\.attn"):
        found = attention_attribution(point, tolerance=1e-7, max_evaluations=20)
    assert not found.converged


@pytest.mark.parametrize("options", [{"tolerance": 0}, {"max_evaluations": 3}])
def test_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        attention_attribution(read("decoder"), **options)
