"""Leaving out one unit, or a window of them, against plain runs of the model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from interp import InputError
from interp.explain import Baseline, Target, attribute
from interp.explain.methods.occlusion import leave_one_out, occlusion
from interp.explain.points import Point
from tests.explain.readings import read
from tests.model.configurations import EACH_KIND


def without(point: Point, places: list[int]) -> float:
    """The target with these positions as in the baseline, by a whole run of the model."""
    at = point.embedded.repeat(len(point.baselines), 1, 1)
    at[:, places] = point.baselines[:, places]
    return float(point.values(at).detach().mean())


@EACH_KIND
def test_a_score_is_what_the_model_loses(name: str) -> None:
    point = read(name)
    expected = [point.value - without(point, [i]) for i in range(len(point.embedded))]
    found = leave_one_out(point)
    assert found.scores.tolist() == pytest.approx(expected, abs=1e-10)
    assert not found.complete and len(found.scores) == len(point.units)


def test_several_replacements_are_averaged() -> None:
    point = read("decoder", baseline=Baseline.uniform(3))
    expected = [point.value - without(point, [i]) for i in range(6)]
    assert leave_one_out(point).scores.tolist() == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("window", [1, 2, 4, 6, 9])
def test_a_score_is_the_mean_over_the_windows_that_hold_the_unit(window: int) -> None:
    point, n = read("decoder", pos=6), 6
    size = min(window, n)
    windows = [list(range(i, i + size)) for i in range(n - size + 1)]
    losses = [point.value - without(point, places) for places in windows]
    expected = []
    for i in range(n):
        mine = [loss for loss, places in zip(losses, windows, strict=True) if i in places]
        expected.append(sum(mine) / len(mine))
    found = occlusion(point, window=window).scores
    assert found.tolist() == pytest.approx(expected, abs=1e-10)
    if window == 1:
        assert torch.allclose(found, leave_one_out(point).scores, rtol=0, atol=1e-12)


def test_no_window_reaches_from_one_side_into_the_other() -> None:
    """The whole source is one window, and the whole target so far another."""
    point = read("pair-original", pos=4)
    found = occlusion(point, window=9).scores
    source, target = (point.value - without(point, places) for places in ([0, 1, 2, 3], [4, 5, 6]))
    assert found.tolist() == pytest.approx([source] * 4 + [target] * 3, abs=1e-10)


def test_units_are_left_out_whole() -> None:
    model, ids = read("decoder").model, torch.arange(6)
    found = attribute(model, ids, "leave_one_out", Target.logit(3), units=[(1, 3)])
    point = read_again(model, ids)
    expected = [point.value - without(point, places) for places in ([0], [1, 2], [3], [4], [5])]
    assert found.scores == pytest.approx(expected, abs=1e-10)


def read_again(model: Any, ids: Tensor) -> Point:
    return Point.read(model, ids, Target.logit(3), Baseline.mean(), {})


def test_neighbours_are_those_that_can_move() -> None:
    """A fixed unit between two others does not part them, and has no score."""
    model = read("decoder").model
    ids, other = torch.tensor([1, 2, 3, 4]), torch.tensor([5, 2, 6, 4])
    base = Baseline.text(other)
    pair = attribute(model, ids, "occlusion", Target.logit(3), base, window=2)
    assert pair.scores[1] == pair.scores[3] == 0
    assert pair.scores[0] == pair.scores[2] == pytest.approx(pair.difference, abs=1e-10)


@pytest.mark.parametrize("window", [0, -1, 1.5, "2", True])
def test_windows_that_are_none_are_refused(window: Any) -> None:
    with pytest.raises(InputError, match="window"):
        occlusion(read("decoder"), window=window)


def test_a_text_that_cannot_move_has_no_scores() -> None:
    model, ids = read("decoder").model, torch.arange(4)
    for method in ("leave_one_out", "occlusion"):
        found = attribute(model, ids, method, Target.logit(3), Baseline.text(ids))
        assert found.scores == (0.0,) * 4 and found.cost.forwards <= 3
