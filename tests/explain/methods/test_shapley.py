"""Exact Shapley values: the axioms that only they meet, and the definition."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from interp import InputError
from interp.explain import Baseline, Target, attribute
from interp.explain.methods.shapley import exact_shapley, shapley_values
from tests.explain.games import by_all_orders, difference, game
from tests.explain.readings import read

SHAPES = ["decoder-rotary", "decoder-relative", "encoder-bert", "encoder-bert-classification"]


@pytest.mark.parametrize("n", range(8))
def test_they_are_the_mean_over_all_orders(n: int) -> None:
    value = game(n, seed=n)
    assert torch.allclose(shapley_values(value, n), by_all_orders(value, n), rtol=0, atol=1e-12)


def test_they_are_the_mean_over_all_orders_of_eight() -> None:
    value = game(8, seed=1, order=3)
    players = torch.eye(8, dtype=torch.bool)
    scores = shapley_values(value, 8)
    # Each group of up to three shares what it adds: the closed form of such a game.
    pairs = torch.combinations(torch.arange(8))
    alone = value(players) - value(torch.zeros(1, 8, dtype=torch.bool))
    both = value(players[pairs[:, 0]] | players[pairs[:, 1]]) - alone[pairs].sum(1)
    triples = torch.combinations(torch.arange(8), 3)
    inside = {tuple(p.tolist()): float(b) for p, b in zip(pairs, both, strict=True)}
    expected = alone.clone()
    for pair, amount in inside.items():
        expected[list(pair)] += amount / 2
    for triple in triples.tolist():
        a, b, c = triple
        present = players[triple].any(0)[None]
        amount = float(value(present)) - float(alone[triple].sum())
        amount -= inside[a, b] + inside[a, c] + inside[b, c]
        expected[triple] += amount / 3
    assert torch.allclose(scores, expected, rtol=0, atol=1e-12)


@given(n=st.integers(1, 8), seed=st.integers(0, 99))
@settings(max_examples=25)
def test_axioms(n: int, seed: int) -> None:
    one, other = game(n, seed), game(n, seed + 1000)
    scores = shapley_values(one, n)
    assert float(scores.sum()) == pytest.approx(difference(one, n), abs=1e-10)  # efficiency

    def mixed(present: Tensor) -> Tensor:
        return 2 * one(present) - 3 * other(present)

    linear = 2 * scores - 3 * shapley_values(other, n)
    assert torch.allclose(shapley_values(mixed, n), linear, rtol=0, atol=1e-10)

    def idle_first(present: Tensor) -> Tensor:
        return one(present[:, 1:])

    with_idle = shapley_values(idle_first, n + 1)
    assert float(with_idle[0]) == pytest.approx(0, abs=1e-12)  # dummy
    assert torch.allclose(with_idle[1:], scores, rtol=0, atol=1e-10)

    def doubled(present: Tensor) -> Tensor:
        """The last player and a twin: either will do."""
        return one(torch.cat([present[:, : n - 1], present[:, n - 1 :].any(1, True)], 1))

    twins = shapley_values(doubled, n + 1)[-2:]
    assert float(twins[0]) == pytest.approx(float(twins[1]), abs=1e-12)  # symmetry


@pytest.mark.parametrize("name", [*SHAPES, "pair-original"])
def test_scores_add_up_on_models(name: str) -> None:
    point = read(name)
    found = exact_shapley(point)
    gap = float(found.scores.sum()) - (point.value - point.baseline_value)
    assert abs(gap) < 1e-8 and found.complete
    assert int((found.scores != 0).sum()) > 1


def test_tokens_are_the_players_of_the_model() -> None:
    """The mean over orders, with runs of the whole model for the value of a coalition."""
    point = read("decoder", pos=4)

    def value(present: Tensor) -> Tensor:
        at = torch.where(present[..., None], point.embedded, point.baselines[0])
        return point.values(at).detach()

    expected = by_all_orders(value, 4)
    assert torch.allclose(exact_shapley(point).scores, expected, rtol=0, atol=1e-10)


def test_words_are_the_players_where_words_are_asked_for() -> None:
    origin = attribute(
        read("decoder", pos=6).model,
        torch.arange(6),
        "exact_shapley",
        Target.logit(3),
        units=[(0, 2), (3, 6)],
    )
    assert len(origin.scores) == 3
    assert sum(origin.scores) == pytest.approx(origin.difference, abs=1e-8)


def test_too_many_players_are_refused_with_a_way_on() -> None:
    with pytest.raises(InputError, match=r"13 units.*permutation_shapley"):
        exact_shapley(read("decoder", pos=13))


def test_fixed_units_are_no_players() -> None:
    """A text equal to its baseline but for one token: that token has it all."""
    model = read("decoder", pos=5).model
    ids, other = torch.tensor([1, 2, 3, 4, 5]), torch.tensor([1, 2, 7, 4, 5])
    found = attribute(model, ids, "exact_shapley", Target.logit(3), baseline=Baseline.text(other))
    assert [i for i, score in enumerate(found.scores) if score] == [2]
    assert found.scores[2] == pytest.approx(found.difference, abs=1e-10)
    same = attribute(model, ids, "exact_shapley", Target.logit(3), baseline=Baseline.text(ids))
    assert set(same.scores) == {0.0}
