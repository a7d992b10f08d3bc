"""Owen values, against the shap library, their definition and games in which players add up."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.cluster.hierarchy import linkage

from interp import InputError
from interp.explain import Baseline, Target, attribute
from interp.explain.game import Value
from interp.explain.methods.owen import Joins, halves, owen, owen_values
from interp.explain.methods.shapley import exact_shapley, shapley_values
from tests.explain.games import difference, game
from tests.explain.readings import read
from tests.model.configurations import EACH_KIND


def tree(n: int, seed: int) -> Joins:
    """Any way to join n units, two clusters at a time."""
    rng = np.random.default_rng(seed)
    free, joins = list(range(n)), []
    for j in range(n - 1):
        a, b = rng.choice(len(free), 2, replace=False)
        joins.append((free[a], free[b]))
        free = [x for i, x in enumerate(free) if i not in (a, b)] + [n + j]
    return joins


def sizes(joins: Joins) -> list[int]:
    n = len(joins) + 1
    found = [1] * n
    for a, b in joins:
        found.append(found[a] + found[b])
    return found


def by_shap(value: Value, joins: Joins, max_evaluations: int, together: int) -> NDArray[np.float64]:
    """The same by the shap library, whose masker hands the mask itself to the model."""
    import shap  # slow to import

    n = len(joins) + 1
    height = sizes(joins)[n:]
    clusters = np.array(
        [[a, b, height[j], height[j]] for j, (a, b) in enumerate(joins)], dtype=float
    )

    class Masker:
        shape = (1, n)
        clustering = clusters

        def __call__(self, mask: NDArray[np.bool_], x: Any) -> NDArray[np.bool_]:
            return mask.reshape(1, -1)

    def of_masks(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = value(torch.tensor(masks.astype(bool))).numpy()
        return found

    explainer = shap.PartitionExplainer(of_masks, Masker())
    found = explainer(
        np.ones((1, n)), max_evals=max_evaluations, batch_size=2 * together, silent=True
    )
    values: NDArray[np.float64] = found.values[0]
    return values


def by_definition(value: Value, joins: Joins) -> torch.Tensor:
    """Owen's: the mean over all orders of the players in which every cluster stays together."""
    n = len(joins) + 1
    orders: list[list[list[int]]] = [[[i]] for i in range(n)]
    for a, b in joins:
        pairs = [(x, y) for x in orders[a] for y in orders[b]]
        orders.append([x + y for x, y in pairs] + [y + x for x, y in pairs])
    total = torch.zeros(n, dtype=torch.float64)
    for order in orders[-1]:
        present = torch.zeros(n + 1, n, dtype=torch.bool)
        for place, player in enumerate(order):
            present[place + 1 :, player] = True
        total[order] += value(present).diff()
    return total / len(orders[-1])


@given(n=st.integers(1, 7), seed=st.integers(0, 99))
@settings(max_examples=25)
def test_they_are_the_mean_over_the_orders_that_keep_clusters_together(n: int, seed: int) -> None:
    value, joins = game(n, seed), tree(n, seed)
    found, undivided = owen_values(value, joins, 10_000)
    assert torch.allclose(found, by_definition(value, joins), rtol=0, atol=1e-12)
    assert undivided == 0


@pytest.mark.parametrize("shape", [tree, lambda n, seed: halves(["input"] * n)])
@pytest.mark.parametrize("n", [2, 5, 9])
def test_shap_finds_the_same(shape: Callable[[int, int], Joins], n: int) -> None:
    value, joins = game(n, n), shape(n, n)
    found, _ = owen_values(value, joins, 10_000)
    np.testing.assert_allclose(found, by_shap(value, joins, 10_000, 5), rtol=0, atol=1e-10)


@pytest.mark.parametrize("max_evaluations", [4, 10, 20, 40, 64])
@pytest.mark.parametrize("together", [1, 4])
def test_shap_finds_the_same_with_too_few_evaluations(max_evaluations: int, together: int) -> None:
    """The groups with the largest stakes are divided first, and the others share equally."""
    value, joins = game(10, 1), halves(["input"] * 10)
    used = 0

    def counted(present: torch.Tensor) -> torch.Tensor:
        nonlocal used
        used += len(present)
        return value(present)

    found, undivided = owen_values(counted, joins, max_evaluations, together)
    assert used == max_evaluations and undivided > 0
    theirs = by_shap(value, joins, max_evaluations, together)
    np.testing.assert_allclose(found, theirs, rtol=0, atol=1e-10)
    assert float(found.sum()) == pytest.approx(difference(value, 10), abs=1e-10)


@given(n=st.integers(1, 9), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_they_are_shapley_values_where_players_add_up(n: int, seed: int) -> None:
    value, joins = game(n, seed, order=1), tree(n, seed)
    found, _ = owen_values(value, joins, 10_000)
    assert torch.allclose(found, shapley_values(value, n), rtol=0, atol=1e-12)


def test_a_group_has_the_score_of_its_members_as_one_player() -> None:
    """What Shapley values do not promise: the sum does not depend on how the group acts inside."""
    value, joins = game(6, 2), [(0, 1), (2, 3), (6, 7), (4, 5), (8, 9)]

    def of_two(present: torch.Tensor) -> torch.Tensor:
        return value(present[:, [0, 0, 0, 0, 1, 1]])

    found, _ = owen_values(value, joins, 10_000)
    groups = shapley_values(of_two, 2)
    assert float(found[:4].sum()) == pytest.approx(float(groups[0]), abs=1e-12)
    assert float(found[4:].sum()) == pytest.approx(float(groups[1]), abs=1e-12)


@EACH_KIND
def test_scores_add_up_on_models(name: str) -> None:
    point = read(name)
    found = owen(point)
    assert found.converged and found.complete
    gap = float(found.scores.sum()) - (point.value - point.baseline_value)
    assert abs(gap) < 1e-8


def test_a_comb_of_a_text_differs_from_halves_and_both_add_up() -> None:
    point = read("decoder", pos=6)
    comb = [(0, 1, 1, 2), (6, 2, 2, 3), (7, 3, 3, 4), (8, 4, 4, 5), (9, 5, 5, 6)]
    one, other = owen(point), owen(point, hierarchy=comb)
    assert not torch.allclose(one.scores, other.scores, rtol=0, atol=1e-6)
    assert float(one.scores.sum()) == pytest.approx(float(other.scores.sum()), abs=1e-10)


def test_scipy_says_which_units_belong_together() -> None:
    point = read("decoder", pos=6)
    found = owen(point, hierarchy=linkage(point.embedded.numpy()))
    assert float(found.scores.sum()) == pytest.approx(point.value - point.baseline_value)


def test_two_movable_units_share_as_in_shapley_values() -> None:
    """The other units are cut out of a given hierarchy."""
    model, ids = read("decoder").model, torch.arange(4)
    base = Baseline.text(torch.tensor([9, 1, 2, 8]))
    one, exact = (
        attribute(model, ids, method, Target.logit(3), base, **options)
        for method, options in (
            ("owen", {"hierarchy": [(0, 1), (3, 2), (4, 5)]}),
            ("exact_shapley", {}),
        )
    )
    assert one.scores == pytest.approx(exact.scores, abs=1e-10)
    assert one.scores[1] == one.scores[2] == 0 and one.scores[0]


def test_halves_keep_neighbours_and_sides_together() -> None:
    assert halves(["input"] * 4) == [(0, 1), (2, 3), (4, 5)]
    joins = halves(["source"] * 5 + ["target"] * 2)
    assert sizes(joins)[-1] == 7
    members: list[set[int]] = [{i} for i in range(7)]
    for a, b in joins:
        members.append(members[a] | members[b])
        assert max(members[-1]) - min(members[-1]) == len(members[-1]) - 1  # neighbours
    assert {frozenset(members[x]) for x in joins[-1]} == {
        frozenset({0, 1, 2, 3, 4}),
        frozenset({5, 6}),
    }


def test_it_says_so_when_groups_stay_whole() -> None:
    point = read("decoder", pos=12)
    before = point.forwards
    with pytest.warns(UserWarning, match="equal shares"):
        found = owen(point, max_evaluations=4)
    assert not found.converged and point.forwards - before <= 4
    assert found.scores[:6].unique().numel() == found.scores[6:].unique().numel() == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert owen(point).converged


@pytest.mark.parametrize("n", [5, 8, 16])
def test_it_takes_about_the_square_of_the_units(n: int) -> None:
    point = read("decoder", pos=n)
    before = point.forwards
    owen(point)
    assert n < point.forwards - before <= n * n


@pytest.mark.parametrize("movable", [0, 1])
def test_games_without_others_are_exact(movable: int) -> None:
    model, ids = read("decoder").model, torch.arange(4)
    other = ids.clone()
    other[:movable] = 9
    found = attribute(model, ids, "owen", Target.logit(3), Baseline.text(other))
    assert found.scores[0] == pytest.approx(found.difference, abs=1e-12)
    assert found.scores[1:] == (0.0,) * 3 and found.converged


@pytest.mark.parametrize(
    ("hierarchy", "message"),
    [
        ([(0, 1), (2, 3)], "needs 3 rows"),
        ([(0, 1), (0, 2), (4, 5)], "Row 1"),
        ([(0, 1), (2, 2), (4, 5)], "Row 1"),
        ([(0, 1), (6, 2), (4, 5)], "Row 1"),
        ([(0, 1.5), (2, 3), (4, 5)], "Row 0"),
        ([(0, float("nan")), (2, 3), (4, 5)], "Row 0"),
        ([(0,), (1,), (2,)], "needs 3 rows"),
        ([(0, 1), (2,)], "no table"),
        ("halves", "no table"),
    ],
)
def test_what_is_no_tree_of_the_units_is_refused(hierarchy: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        owen(read("decoder", pos=4), hierarchy=hierarchy)


def test_pairs_alone_share_as_in_shapley_values() -> None:
    point = read("decoder", pos=2)
    assert torch.allclose(owen(point).scores, exact_shapley(point).scores, rtol=0, atol=1e-10)
