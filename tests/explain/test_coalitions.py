"""The value of a coalition: resumed or not, in any batch and order, it is that of a whole run."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from interp.explain import Baseline, Target
from interp.explain.coalitions import coalition_terms, coalition_values
from interp.explain.game import Game
from interp.explain.points import Point
from interp.explain.scorecard.variants import with_baseline
from tests.explain.readings import read
from tests.model.configurations import CONFIGURATIONS, EVERY, build, example, shared_model

TARGETS = {
    "logit": Target.logit(1),
    "early": Target.logit(1, position=2),
    "log_prob": Target.log_prob(1),
    "probability": Target.probability(1),
    "function": Target.of(lambda logits: logits.flatten(1).tanh().sum(1)),
}


def point(
    name: str,
    target: Target | None = None,
    baseline: Baseline | None = None,
    *,
    mask: Tensor | None = None,
    units: Any = "tokens",
    batch_size: int | None = None,
    pos: int = 6,
) -> Point:
    model = shared_model(name, torch.float64)
    inputs: dict[str, Any] = dict(example(model.cfg, batch=1, pos=pos))
    if mask is not None:
        inputs["attention_mask"] = mask
    ids = inputs.pop("tokens")
    target, baseline = target or Target.logit(1), baseline or Baseline.mean()
    return Point.read(model, ids, target, baseline, inputs, units, batch_size)


def coalitions(p: Point, n: int = 24, seed: int = 0) -> Tensor:
    """Any, with few missing as often as many; everybody, nobody and everybody but the last."""
    draws = torch.Generator().manual_seed(seed)
    share = torch.rand(n, 1, generator=draws)
    present = torch.rand(n, len(p.units), generator=draws) < share
    present[0], present[1] = True, False
    present[2] = True
    present[2, -1] = False
    return present


def by_whole_runs(p: Point, present: Tensor) -> Tensor:
    """[coalition, term]: the embeddings of each coalition through the whole model."""
    at = torch.zeros(len(present), len(p.embedded), dtype=torch.bool)
    for i, group in enumerate(p.units.groups):
        at[:, list(group)] = present[:, [i]]
    each = [
        p.terms(torch.where(at[..., None], p.embedded, baseline)).detach()
        for baseline in p.baselines
    ]
    return torch.stack(each).mean(0)


def check(p: Point, present: Tensor | None = None) -> None:
    present = coalitions(p) if present is None else present
    expected = by_whole_runs(p, present)
    found = coalition_terms(p, present)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(coalition_values(p, present), expected.sum(1), rtol=0, atol=1e-10)
    assert float(expected.std(0).max()) > 1e-6  # it depends on who is there


@EVERY
def test_values_are_those_of_whole_runs(name: str) -> None:
    """Of every position scheme, norm, head and shape."""
    head = CONFIGURATIONS[name].head
    if head == "span":
        check(point(name, Target.span_start(2)))
        check(point(name, Target.span_end()))
    elif head == "none":
        check(point(name, TARGETS["function"]))
    else:
        check(point(name))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ["decoder-rotary", "decoder-relative", "encoder-bert", "pair-t5"])
def test_of_every_target(name: str, target: str) -> None:
    check(point(name, TARGETS[target]))


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("name", ["decoder-alibi", "decoder-window", "pair-t5", "pair-original"])
def test_of_every_token_of_a_continuation(name: str, fixed: bool) -> None:
    target = Target.continuation([3, 1, 4, 1], fixed=fixed)
    p = point(name, target)
    assert coalition_terms(p, coalitions(p)).shape[1] == 4
    check(p)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    "name",
    [
        "decoder",
        "decoder-rotary",
        "decoder-relative",
        "decoder-alibi",
        "decoder-classification",
        "encoder-bert",
        "encoder-mean-classification",
        "pair-original",
        "pair-t5",
    ],
)
def test_of_padded_texts(name: str, side: str) -> None:
    mask = torch.ones(1, 6, dtype=torch.long)
    mask[0, slice(0, 2) if side == "left" else slice(4, None)] = 0
    p = point(name, mask=mask)
    check(p)
    padding = [i for i, real in enumerate(mask[0].tolist()) if not real]
    assert not bool(p.movable[padding].any())
    # A coalition that misses only padding misses nothing, and takes no run.
    present = torch.ones(1, len(p.units), dtype=torch.bool)
    present[0, padding] = False
    before = p.forwards
    assert float(coalition_values(p, present)) == p.value
    assert p.forwards == before


@pytest.mark.parametrize("name", ["decoder", "encoder-bert", "pair-original"])
def test_the_value_against_several_baselines_is_their_mean(name: str) -> None:
    for baseline in (Baseline.uniform(3), Baseline.samples([torch.arange(9), torch.tensor([7])])):
        p = point(name, baseline=baseline)
        present = coalitions(p)
        check(p, present)
        alone = [
            coalition_values(dataclasses.replace(p, baselines=p.baselines[[i]]).settle(), present)
            for i in range(len(p.baselines))
        ]
        torch.testing.assert_close(
            coalition_values(p, present), torch.stack(alone).mean(0), rtol=0, atol=1e-10
        )


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
@pytest.mark.parametrize("name", ["decoder", "encoder-bert", "pair-t5"])
def test_batches_and_their_order_change_nothing(name: str, batch_size: int) -> None:
    p = point(name, batch_size=batch_size)
    present = coalitions(p, 40)
    expected = coalition_values(point(name), present)
    torch.testing.assert_close(coalition_values(p, present), expected, rtol=0, atol=1e-10)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(
        coalition_values(p, present[order]), expected[order], rtol=0, atol=1e-10
    )
    one_by_one = torch.cat([coalition_values(p, row[None]) for row in present[:10]])
    torch.testing.assert_close(one_by_one, expected[:10], rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ["decoder", "encoder-bert", "pair-t5"])
def test_a_unit_is_its_tokens_together(name: str) -> None:
    p = point(name, units=[(0, 2), (3, 6)])
    tokens = point(name)
    present = coalitions(p)
    whole = torch.ones(len(present), len(tokens.units), dtype=torch.bool)
    for i, group in enumerate(p.units.groups):
        whole[:, list(group)] = present[:, [i]]
    torch.testing.assert_close(
        coalition_values(p, present), coalition_values(tokens, whole), rtol=0, atol=1e-10
    )


def test_what_precedes_the_first_change_is_not_computed_again() -> None:
    """Fewer positions pass through the blocks of a decoder, though as many runs are counted."""
    seen: list[int] = []
    model = build("decoder", dtype=torch.float64)
    original = model.blocks[0].forward

    def counted(x: Tensor, *args: Any, **options: Any) -> Any:
        seen.append(x.shape[0] * x.shape[1])
        return original(x, *args, **options)

    ids = torch.arange(16)[None]
    p = Point.read(model, ids, Target.logit(3), Baseline.mean(), {}, batch_size=1)
    model.blocks[0].forward = counted  # type: ignore[method-assign]
    before = p.forwards
    coalition_values(p, ~torch.eye(16, dtype=torch.bool))
    assert p.forwards - before == 16
    assert 16 * 17 / 2 <= sum(seen) < 0.6 * 16 * 16


def test_everybody_and_nobody_take_no_run() -> None:
    p = point("decoder")
    ends = torch.tensor([[True] * 6, [False] * 6])
    before = p.forwards
    assert coalition_values(p, ends).tolist() == [p.value, p.baseline_value]
    assert p.forwards == before


def test_no_coalitions_have_no_values() -> None:
    p = point("decoder")
    assert coalition_values(p, torch.zeros(0, 6, dtype=torch.bool)).shape == (0,)


def test_edits_around_the_call_reach_every_coalition() -> None:
    """There is nothing to resume from then; whole runs have the edit as well."""
    model = build("decoder", dtype=torch.float64)
    ids = torch.arange(6)[None]
    plain = Point.read(model, ids, Target.logit(3), Baseline.mean(), {})
    present = coalitions(plain)
    with model.hooks(fwd_hooks=[("blocks.1.hook_mlp_out", lambda value, hook: value * 0)]):
        p = Point.read(model, ids, Target.logit(3), Baseline.mean(), {})
        check(p, present)
        edited = coalition_values(p, present)
    assert not torch.allclose(edited, coalition_values(plain, present), atol=1e-3)


def test_a_game_computes_each_coalition_once() -> None:
    p = read("decoder")
    game, present = Game(p), coalitions(p)
    before = p.forwards
    first = game.values(torch.cat([present, present]))
    taken = p.forwards - before
    assert 0 < taken <= len(present.unique(dim=0))
    assert torch.equal(game.values(present.flip(0)), first[: len(present)].flip(0))
    assert p.forwards - before == taken
    torch.testing.assert_close(first, coalition_values(p, present).repeat(2), rtol=0, atol=1e-10)


def test_what_is_held_stays_against_another_baseline() -> None:
    mask = torch.tensor([[0, 0, 1, 1, 1, 1]])
    other = with_baseline(point("decoder", mask=mask), Baseline.token(5))
    assert torch.equal(other.baselines[0, :2], other.embedded[:2])
    assert other.movable.tolist() == [False] * 2 + [True] * 4
    fixed = point("decoder", Target.continuation([3, 1, 4], fixed=True))
    assert with_baseline(fixed, Baseline.token(5)).movable.tolist() == [True] * 6 + [False] * 2
