"""Rollout, value norms and value zeroing, against loops and by what they must not see."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from interp import InputError
from interp.explain import Target
from interp.explain.methods.attention_maps import attention_patterns, readout
from interp.explain.methods.attention_rollout import attention_rollout, rollout_matrix
from interp.explain.methods.value_weighted_attention import (
    value_weighted_attention,
    value_weighted_maps,
)
from interp.explain.methods.value_zeroing import value_zeroing, value_zeroing_maps
from interp.explain.points import Point
from tests.explain.readings import read, read_on
from tests.model.configurations import EACH_KIND, EVERY, build


def cached(point: Point) -> Any:
    _, cache = point.model.run_with_cache(point.parts["hook_embed"], **point.inputs)
    return cache


@EVERY
def test_shares_of_all_tokens_sum_to_one(name: str) -> None:
    point = read(name, Target.logit(1))
    n = len(point.embedded)
    ones = torch.ones(n, dtype=torch.float64)
    flow = rollout_matrix(point)
    assert flow.shape == (n, n) and (flow >= 0).all()
    torch.testing.assert_close(flow.sum(-1), ones, atol=1e-12, rtol=0)
    for layer in value_zeroing_maps(point):
        torch.testing.assert_close(layer.sum(-1), ones, atol=1e-12, rtol=0)
    for method in (attention_rollout, value_zeroing, value_weighted_attention):
        assert method(point).scores.sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", ["decoder", "encoder-bert"])
def test_rollout_is_the_product_over_layers(name: str) -> None:
    point = read(name)
    cache, own = cached(point), torch.eye(6, dtype=torch.float64)
    expected = own
    for layer in range(3):
        mean = cache["pattern", layer][0].mean(0)
        expected = (mean + own) / 2 @ expected
    torch.testing.assert_close(rollout_matrix(point), expected, atol=1e-12, rtol=0)
    row = readout(point)
    torch.testing.assert_close(attention_rollout(point).scores, row @ expected, atol=1e-12, rtol=0)


def test_rollout_of_a_pair_goes_through_the_source() -> None:
    point = read("pair-pre-norm")
    cache, source, target = cached(point), torch.eye(6), torch.eye(5)
    source, target = source.double(), target.double()
    from_source = torch.zeros(5, 6, dtype=torch.float64)
    for layer in range(3):
        mean = cache[f"encoder.{layer}.attn.hook_pattern"][0].mean(0)
        source = (mean @ source + source) / 2
    for layer in range(2):
        mean = cache[f"decoder.{layer}.attn.hook_pattern"][0].mean(0)
        target, from_source = (mean @ target + target) / 2, (mean @ from_source + from_source) / 2
        cross = cache[f"decoder.{layer}.cross_attn.hook_pattern"][0].mean(0)
        target, from_source = target / 2, (from_source + cross @ source) / 2
    torch.testing.assert_close(
        attention_rollout(point).scores,
        torch.cat([from_source[-1], target[-1]]),
        atol=1e-12,
        rtol=0,
    )


@EACH_KIND
def test_maps_are_the_patterns_of_the_text(name: str) -> None:
    point = read(name)
    cache, maps = cached(point), attention_patterns(point)
    for kind, patterns in maps.items():
        stack, part = kind.split(".")
        for layer, pattern in enumerate(patterns):
            expected = cache[f"{stack}.{layer}.{part}.hook_pattern"][0]
            torch.testing.assert_close(pattern, expected, atol=1e-12, rtol=0)


@EACH_KIND
def test_value_norms_are_of_what_a_head_writes(name: str) -> None:
    """One key after the other: the head's own result with all other entries of the pattern 0."""
    point = read(name)
    model, maps = point.model, value_weighted_maps(point)
    tokens = point.parts["hook_embed"]
    for kind, lengths in maps.items():
        stack, part = kind.split(".")
        prefix = f"{stack}.1.{part}"
        for key in range(lengths.shape[-1]):

            def only(value: Tensor, hook: Any, key: int = key) -> Tensor:
                alone = torch.zeros_like(value)
                alone[..., key] = value[..., key]
                return alone

            kept: dict[str, Tensor] = {}
            model.run_with_hooks(
                tokens,
                fwd_hooks=[
                    (f"{prefix}.hook_pattern", only),
                    (
                        f"{prefix}.hook_result",
                        lambda v, hook, kept=kept: kept.update(out=v) or None,
                    ),
                ],
                **point.inputs,
            )
            expected = kept["out"][0].norm(dim=-1).T  # [head, query]
            torch.testing.assert_close(lengths[1, :, :, key], expected, atol=1e-10, rtol=1e-9)


def test_value_norms_of_all_heads_are_of_their_sum() -> None:
    """In a model of one layer the shares are half of the normed lengths, and half the skip path."""
    point = read("decoder-grouped", n_layers=1)
    cache, attn = cached(point), point.model.blocks[0].attn
    v = cache["v", 0][0].repeat_interleave(2, 1)
    vectors = torch.einsum("hqk,khd,hde->qke", cache["pattern", 0][0], v, attn.W_O)
    lengths = vectors.norm(dim=-1)
    expected = lengths[-1] / lengths[-1].sum() / 2
    expected[-1] += 0.5
    found = value_weighted_attention(point).scores
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)


@EACH_KIND
def test_value_zeroing_is_a_loop_over_layers_and_positions(name: str) -> None:
    point = read(name, batch_size=4)  # several forwards, none of which has all positions
    model, n = point.model, len(point.embedded)
    cache, maps = cached(point), value_zeroing_maps(point)
    end = "hook_normalized_resid_post" if model.cfg.norm_position == "post" else "hook_resid_post"
    source = point.parts["hook_embed"].shape[1]
    pair, index = len(point.parts) == 2, 0
    for stack in model.stack_names():
        queries = range(source, n) if stack == "decoder" else range(source if pair else n)
        for layer in range(len(model.stack(stack).blocks)):
            own = cache[f"{stack}.{layer}.{end}"][0]
            expected = torch.zeros(n, n, dtype=torch.float64)
            for position in range(n):
                part = "cross_attn" if stack == "decoder" and position < source else "attn"
                if stack == "encoder" and position >= source:
                    continue
                local = position - (source if stack == "decoder" and part == "attn" else 0)

                def zero(value: Tensor, hook: Any, local: int = local) -> Tensor:
                    value[:, local] = 0
                    return value

                kept: dict[str, Tensor] = {}
                model.run_with_hooks(
                    point.parts["hook_embed"],
                    fwd_hooks=[
                        (f"{stack}.{layer}.{part}.hook_v", zero),
                        (
                            f"{stack}.{layer}.{end}",
                            lambda v, hook, kept=kept: kept.update(out=v) or None,
                        ),
                    ],
                    **point.inputs,
                )
                cosine = torch.cosine_similarity(kept["out"][0], own, dim=-1)
                expected[list(queries), position] = 1 - cosine
            rows = expected[list(queries)]
            torch.testing.assert_close(
                maps[index][list(queries)], rows / rows.sum(-1, keepdim=True), atol=1e-8, rtol=0
            )
            index += 1
    assert index == len(maps)


def test_a_token_that_says_nothing_is_seen_by_the_pattern_alone() -> None:
    """A sink: all look at token 0, whose values are 0 in every head."""
    model = build("decoder", dtype=torch.float64, n_layers=1, norm_position="post")
    sink = int(read_on(model).parts["hook_embed"][0, 0])
    attn = model.blocks[0].attn
    with torch.no_grad():
        heads = slice(2 * 4 * 8, 3 * 4 * 8)  # the rows of the values
        x = model.embed.weight[sink] + model.input.positions.weight[0]
        rows = attn.qkv.weight[heads]
        rows -= torch.outer(rows @ x + attn.qkv.bias[heads], x) / x.square().sum()
    point = read_on(model)
    kept = cached(point)["v", 0][0]
    assert kept[0].abs().max() < 1e-9 < kept[1].abs().max()
    assert attention_rollout(point).scores[0] > 0.01
    assert value_weighted_attention(point).scores[0] < 1e-9
    assert value_zeroing(point).scores[0] < 1e-9


@pytest.mark.parametrize(
    ("name", "pooling", "expected"),
    [
        ("encoder-mean-classification", "mean", [1 / 6] * 6),
        ("encoder-mean-classification", "first", [1, 0, 0, 0, 0, 0]),
        ("decoder-classification", "last", [0, 0, 0, 0, 0, 1]),
    ],
)
def test_a_classifier_is_read_where_it_pools(
    name: str, pooling: str, expected: list[float]
) -> None:
    found = readout(read(name, Target.logit(1), pooling=pooling))
    assert found.tolist() == pytest.approx(expected)


def test_other_targets_are_read_at_their_positions() -> None:
    assert readout(read("decoder", Target.logit(1, position=2))).tolist() == [0, 0, 1, 0, 0, 0]
    pair = readout(read("pair-t5", Target.logit(1, position=0)))
    assert pair.tolist() == [0] * 6 + [1, 0, 0, 0, 0]
    span = readout(read("decoder", Target.log_prob_of_span(3, 5)))
    assert span.tolist() == [0, 0, 0.5, 0.5, 0, 0]
    answer = readout(read("encoder-span", Target.span_end(4)))
    assert answer.tolist() == [0, 0, 0, 0, 1, 0]


def test_a_function_of_all_logits_has_no_position() -> None:
    point = read("decoder", Target.of(lambda logits: logits.sum((1, 2))))
    with pytest.raises(InputError, match="which"):
        attention_rollout(point)
