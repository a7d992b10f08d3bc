"""The optimum of a law is the closed form of its paper; intervals hold what they promise."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from interp.errors import InputError
from interp.train.size import LAWS, PUBLISHED, ScalingLaw, effective_tokens, known_law


def a_law(**changes: Any) -> ScalingLaw:
    values: dict[str, Any] = {
        "E": 2.0,
        "A": 40.0,
        "B": 300.0,
        "alpha": 0.3,
        "beta": 0.35,
        "counting": "matrices",
        "unit": "nats per token",
        "source": "a test",
        "compute": (1e12, 1e14),
        "n_runs": 12,
    }
    return ScalingLaw(**{**values, **changes})


@given(
    flops=st.floats(1e9, 1e26),
    A=st.floats(1, 1e4),
    B=st.floats(1, 1e4),
    alpha=st.floats(0.1, 1.0),
    beta=st.floats(0.1, 1.0),
)
def test_the_optimum_is_the_least_loss_for_its_operations(
    flops: float, A: float, B: float, alpha: float, beta: float
) -> None:
    law = a_law(E=0.0, A=A, B=B, alpha=alpha, beta=beta)  # E moves nothing but the digits
    n, d = law.optimum(flops)
    assert 6 * n * d == pytest.approx(flops)

    def loss(log_n: float) -> float:
        size = np.exp(log_n)
        return float(law.loss(size, flops / 6 / size))

    # Convex in log N, so that a search of one dimension finds the least.
    bracket = (np.log(n) - 9, np.log(n) + 11)
    found = minimize_scalar(loss, bounds=bracket, method="bounded", options={"xatol": 1e-8})
    assert np.exp(found.x) == pytest.approx(n, rel=1e-2)
    assert loss(np.log(n)) <= found.fun * (1 + 1e-9)


def test_published_laws_say_what_their_papers_say() -> None:
    """Chinchilla: 70 billion parameters and 1.4 trillion tokens; the replication found that about
    20 tokens a parameter are best there, approach 3 of the original far more."""
    flops = 5.76e23
    n, d = PUBLISHED["besiroglu"].optimum(flops)
    assert 15 < d / n < 30 and 5e10 < n < 9e10
    n, d = PUBLISHED["hoffmann"].optimum(flops)
    assert 3e10 < n < 5e10 and d / n > 40
    assert float(PUBLISHED["hoffmann"].loss(70e9, 1.4e12)) == pytest.approx(1.94, abs=0.01)


@given(beyond=st.floats(1.0, 1e6))
def test_distance_is_counted_from_the_nearer_end(beyond: float) -> None:
    law = a_law()
    assert law.beyond(1e14 * beyond) == pytest.approx(beyond)
    assert law.beyond(1e12 / beyond) == pytest.approx(beyond)
    assert law.beyond(1e13) == law.beyond(1e12) == law.beyond(1e14) == 1


def test_an_interval_holds_the_spread_of_draws_and_of_runs() -> None:
    draws = tuple((2.0 + x, 40.0, 300.0, 0.3, 0.35) for x in np.linspace(-0.1, 0.1, 401))
    law, size, read = a_law(draws=draws), 1e6, 1e7
    centre = float(law.loss(size, read))
    low, high = law.interval(size, read)
    assert centre - low == pytest.approx(0.095, rel=1e-2)
    assert high - centre == pytest.approx(0.095, rel=1e-2)
    alone = a_law(draws=draws[200:201], scatter=0.01).interval(size, read)
    assert np.log(alone[1] / alone[0]) == pytest.approx(2 * 1.96 * 0.01)
    both = a_law(draws=draws, scatter=0.01).interval(size, read)
    assert both[0] < min(low, alone[0]) and both[1] > max(high, alone[1])


def test_without_draws_there_is_no_interval() -> None:
    assert np.isnan(a_law().interval([1e6, 1e7], 1e7)).all()


def test_laws_broadcast() -> None:
    law = a_law(draws=((2.0, 40.0, 300.0, 0.3, 0.35),) * 3)
    sizes, tokens = np.geomspace(1e5, 1e7, 4)[:, None], np.geomspace(1e6, 1e8, 5)
    assert law.loss(sizes, tokens).shape == (4, 5)
    assert law.losses(sizes, tokens).shape == (3, 4, 5)
    assert (law.losses(sizes, tokens)[1] == law.loss(sizes, tokens)).all()


def test_a_law_survives_json() -> None:
    law = a_law(draws=((2.0, 40.0, 300.0, 0.3, 0.35),), unidentified=("E",), d_vocab=4096)
    assert ScalingLaw.from_dict(json.loads(json.dumps(law.to_dict()))) == law


def test_laws_are_known_by_name_and_counting() -> None:
    assert known_law().counting == "matrices" and known_law("stories", "blocks").draws
    assert known_law("hoffmann", "all") is PUBLISHED["hoffmann"]
    with pytest.raises(InputError, match=", ".join(LAWS)):
        known_law("newton")
    with pytest.raises(InputError, match="do not hold for 'blocks'"):
        known_law("besiroglu", "blocks")
    with pytest.raises(InputError, match="'fingers'"):
        known_law("stories", "fingers")


@given(unique=st.floats(1e3, 1e12), epochs=st.floats(0.01, 1000))
def test_repeated_text_is_worth_less_and_less(unique: float, epochs: float) -> None:
    worth = float(effective_tokens(epochs * unique, unique))
    assert worth <= epochs * unique * (1 + 1e-12)
    assert worth <= unique * (1 + 15.387756) * (1 + 1e-12)
    assert float(effective_tokens(1.1 * epochs * unique, unique)) >= worth
    if epochs <= 1:
        assert worth == pytest.approx(epochs * unique)
    if epochs <= 4:
        assert worth >= 0.9 * epochs * unique  # nearly free


def test_unlimited_text_is_not_repeated() -> None:
    assert float(effective_tokens(1e12, None)) == 1e12
