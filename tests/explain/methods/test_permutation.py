"""Shapley values from random orders: exact sums, honest intervals, and a stop in time."""

from __future__ import annotations

from math import sqrt
from typing import Any

import pytest
import torch
from scipy.stats import t

from interp import InputError
from interp.explain import Baseline, Target, attribute
from interp.explain.methods.permutation import pair_scores, permutation_shapley
from interp.explain.methods.shapley import exact_shapley, shapley_values
from tests.explain.games import difference, game
from tests.explain.readings import read
from tests.model.configurations import EACH_KIND


def draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("n", [0, 1, 2, 5, 9])
def test_every_pair_adds_up(n: int) -> None:
    value = game(n, seed=n) if n else lambda present: torch.zeros(len(present), dtype=torch.float64)
    pairs = pair_scores(value, n, 20, draws(0))
    assert pairs.shape == (20, n)
    assert torch.allclose(
        pairs.sum(1), torch.tensor(difference(value, n), dtype=torch.float64), atol=1e-12
    )


def test_pairs_are_exact_where_no_more_than_two_act_together() -> None:
    """In an order and its reverse, each of two comes first once: so antithetic pairs have no
    error that single orders have."""
    value = game(7, seed=3, order=2)
    pairs = pair_scores(value, 7, 5, draws(0))
    assert torch.allclose(pairs, shapley_values(value, 7).expand_as(pairs), rtol=0, atol=1e-12)


@pytest.mark.parametrize("count", [16, 64])
def test_intervals_hold_the_exact_value_as_often_as_they_say(count: int) -> None:
    """Of 95 % intervals, over many games; and they are not wide for nothing."""
    held, half_widths, errors = [], [], []
    for seed in range(200):
        value = game(6, seed)
        exact = shapley_values(value, 6)
        pairs = pair_scores(value, 6, count, draws(seed + 1))
        half = t.ppf(0.975, count - 1) * pairs.std(0) / sqrt(count)
        error = (pairs.mean(0) - exact).abs()
        held.append(error <= half)
        half_widths.append(half)
        errors.append(error)
    covered = float(torch.stack(held).double().mean())
    assert 0.93 <= covered <= 0.97
    # For a normal error, the mean size is 0.8 standard errors and a half-width 2.
    ratio = float(torch.stack(half_widths).mean() / torch.stack(errors).mean())
    assert 2.0 < ratio < 3.2


def test_intervals_of_the_method_hold_the_exact_scores_of_a_model() -> None:
    """With the early stop, which picks its own moment."""
    point = read("encoder-bert", pos=7)
    exact, held = exact_shapley(point).scores, []
    for seed in range(60):
        found = permutation_shapley(point, tolerance=0.3, seed=seed)
        assert found.low is not None and found.high is not None
        held.append((found.low <= exact + 1e-12) & (exact - 1e-12 <= found.high))
    assert float(torch.stack(held).double().mean()) >= 0.9


@EACH_KIND
def test_scores_add_up_and_are_near_the_exact_ones(name: str) -> None:
    point = read(name, pos=5)
    found, exact = permutation_shapley(point, tolerance=0.1), exact_shapley(point)
    gap = float(found.scores.sum()) - (point.value - point.baseline_value)
    assert abs(gap) < 1e-8 and found.complete and found.seed == 0
    assert found.converged
    allowed = 0.2 * max(abs(point.value - point.baseline_value), float(exact.scores.abs().max()))
    assert torch.allclose(found.scores, exact.scores, rtol=0, atol=allowed)


def test_it_stops_when_the_intervals_are_narrow() -> None:
    model, ids = read("decoder", pos=10).model, torch.arange(10)

    def forwards(tolerance: float) -> int:
        found = attribute(model, ids, "permutation_shapley", Target.logit(3), tolerance=tolerance)
        assert found.converged and found.high is not None
        widest = max(h - s for h, s in zip(found.high, found.scores, strict=True))
        assert widest <= tolerance * max(abs(found.difference), *map(abs, found.scores))
        return found.cost.forwards

    assert forwards(1.0) < forwards(0.03) < 2000


def test_it_says_so_when_it_cannot() -> None:
    point = read("decoder", pos=10)
    before = point.forwards
    with pytest.warns(UserWarning, match="tolerance is"):
        found = permutation_shapley(point, tolerance=1e-6, max_evaluations=200)
    assert not found.converged
    assert point.forwards - before <= 200


def test_draws_are_those_of_the_seed() -> None:
    point = read("decoder", pos=8)
    one, same, other = (permutation_shapley(point, seed=seed).scores for seed in (3, 3, 4))
    assert torch.allclose(one, same, rtol=0, atol=1e-12) and not torch.allclose(
        one, other, rtol=0, atol=1e-9
    )


@pytest.mark.parametrize("movable", [0, 1])
def test_games_without_others_are_exact(movable: int) -> None:
    model, ids = read("decoder").model, torch.arange(4)
    other = ids.clone()
    other[:movable] = 9
    found = attribute(model, ids, "permutation_shapley", Target.logit(3), Baseline.text(other))
    assert found.converged
    assert found.scores[0] == pytest.approx(found.difference, abs=1e-12)
    assert found.scores[1:] == (0.0,) * 3
    assert found.low == found.scores == found.high


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance": 0}, "tolerance"),
        ({"tolerance": float("nan")}, "tolerance"),
        ({"max_evaluations": 5}, "20 at least"),
        ({"max_evaluations": 1e4}, "at least"),
        ({"seed": -1}, "seed"),
        ({"seed": 0.5}, "seed"),
    ],
)
def test_what_makes_no_estimate_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        permutation_shapley(read("decoder", pos=6), **options)
