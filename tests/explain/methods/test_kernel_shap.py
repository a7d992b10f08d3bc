"""KernelSHAP: equal to exact Shapley values on all coalitions, to shap, and honest on fewer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from interp import InputError
from interp.explain import Baseline, Target, attribute
from interp.explain.methods.kernel_shap import choose, kernel_shap, least_pairs, regress
from interp.explain.methods.shapley import exact_shapley, shapley_values
from tests.explain.games import difference, game
from tests.explain.readings import read
from tests.model.configurations import EACH_KIND


def draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("n", range(1, 11))
def test_on_all_coalitions_they_are_shapley_values(n: int) -> None:
    value = game(n, seed=n)
    scores, half = regress(value, n, difference(value, n), 2 ** (n - 1) - 1, draws(0))
    assert torch.allclose(scores, shapley_values(value, n), rtol=0, atol=1e-10)
    assert half.tolist() == [0.0] * n


@pytest.mark.parametrize("n", [4, 7])
def test_shap_finds_the_same_on_all_coalitions(n: int) -> None:
    import shap  # slow to import

    value = game(n, seed=n)

    def of_rows(rows: NDArray[np.float64]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = value(torch.tensor(rows > 0.5)).numpy()
        return found

    explainer = shap.KernelExplainer(of_rows, np.zeros((1, n)))
    theirs = explainer.shap_values(np.ones((1, n)), nsamples=2**n, l1_reg=False, silent=True)
    scores, _ = regress(value, n, difference(value, n), 2 ** (n - 1) - 1, draws(0))
    np.testing.assert_allclose(scores.numpy(), theirs[0], rtol=0, atol=1e-8)


@pytest.mark.parametrize("n", [6, 7, 12, 30])
@pytest.mark.parametrize("extra", [0, 1, 5, 100])
def test_chosen_coalitions_weigh_what_the_kernel_says(n: int, extra: int) -> None:
    pairs = min(least_pairs(n) + extra, 2 ** (n - 1) - 1)
    present, weights, drawn = choose(n, pairs, draws(0))
    assert len(present) == len(weights) == pairs and drawn != 1
    sizes = present.sum(1)
    assert bool(((sizes > 0) & (sizes < n)).all())
    whole = len(present) - drawn
    one_of_each = {tuple(row) for row in torch.cat([present, ~present])[:whole].tolist()}
    assert len(one_of_each) == whole  # no coalition twice among those that are taken whole
    # All weights together, and those of each size that is taken whole, are the kernel's.
    kernel = {s: 1 / (s * (n - s)) for s in range(1, n)}
    assert float(weights.sum()) == pytest.approx(sum(kernel.values()))
    for s in sizes[:whole].unique().tolist():
        expected = kernel[s] if 2 * s == n else kernel[s] + kernel[n - s]
        assert float(weights[:whole][sizes[:whole] == s].sum()) == pytest.approx(expected)


def test_drawn_sizes_follow_the_kernel() -> None:
    """Of 8 players and 20 pairs, the sizes from 2 on are drawn; 30,000 draws tell how often."""
    counts = torch.zeros(9)
    for seed in range(3000):
        present, _, drawn = choose(8, 20, draws(seed))
        counts += torch.bincount(present[-drawn:].sum(1), minlength=9)
    kernel = torch.tensor([0, 0, 2 / 12, 2 / 15, 1 / 16, 0, 0, 0, 0])
    share = counts / counts.sum()
    assert torch.allclose(share, kernel / kernel.sum(), rtol=0, atol=0.01)


@pytest.mark.parametrize("pairs", [15, 40])
def test_intervals_hold_the_exact_value_as_often_as_they_say(pairs: int) -> None:
    held, errors, halves = [], [], []
    for seed in range(200):
        value = game(7, seed)
        exact = shapley_values(value, 7)
        scores, half = regress(value, 7, difference(value, 7), pairs, draws(seed + 1))
        held.append((scores - exact).abs() <= half)
        errors.append((scores - exact).abs())
        halves.append(half)
    covered = float(torch.stack(held).double().mean())
    assert 0.9 <= covered <= 0.99
    assert float(torch.stack(halves).mean() / torch.stack(errors).mean()) < 4


def test_the_estimate_is_not_biased() -> None:
    """The mean over many draws is the exact value, within its own error."""
    value, n = game(7, 5), 7
    exact = shapley_values(value, n)
    many = torch.stack(
        [regress(value, n, difference(value, n), 30, draws(seed))[0] for seed in range(400)]
    )
    error = many.std(0) / 20
    assert bool(((many.mean(0) - exact).abs() < 4 * error).all())
    assert float(many.std(0).max()) > 1e-3


@pytest.mark.parametrize("pairs", [9, 20, 50])
def test_scores_add_up_whatever_is_drawn(pairs: int) -> None:
    value = game(7, 1)
    scores, _ = regress(value, 7, difference(value, 7), pairs, draws(0))
    assert float(scores.sum()) == pytest.approx(difference(value, 7), abs=1e-10)


@EACH_KIND
def test_models_are_explained_as_exactly_as_all_coalitions_allow(name: str) -> None:
    point = read(name, pos=5)
    found, exact = kernel_shap(point), exact_shapley(point)
    assert torch.allclose(found.scores, exact.scores, rtol=0, atol=1e-8)
    assert found.complete and torch.equal(found.scores, found.low)


def test_few_evaluations_give_intervals_and_are_no_more_than_asked_for() -> None:
    point = read("decoder", pos=12)
    before = point.forwards
    found = kernel_shap(point, max_evaluations=100)
    assert 50 < point.forwards - before <= 100
    assert found.low is not None and bool((found.low < found.scores).all())
    again = kernel_shap(point, max_evaluations=100)
    other = kernel_shap(point, max_evaluations=100, seed=1)
    assert torch.allclose(found.scores, again.scores, rtol=0, atol=1e-12)
    assert not torch.allclose(found.scores, other.scores, rtol=0, atol=1e-9)


@pytest.mark.parametrize("movable", [0, 1, 2])
def test_small_games_are_exact(movable: int) -> None:
    model, ids = read("decoder").model, torch.arange(4)
    other = ids.clone()
    other[:movable] = 9
    one, exact = (
        attribute(model, ids, method, Target.logit(3), Baseline.text(other))
        for method in ("kernel_shap", "exact_shapley")
    )
    assert one.scores == pytest.approx(exact.scores, abs=1e-10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_evaluations": 19}, "20 at least"),
        ({"max_evaluations": "many"}, "at least"),
        ({"seed": -1}, "seed"),
    ],
)
def test_fewer_equations_than_unknowns_are_refused(options: dict[str, Any], message: str) -> None:
    point = read("decoder", pos=8)
    with pytest.raises(InputError, match=message):
        kernel_shap(point, **options)
    kernel_shap(point, max_evaluations=20)
