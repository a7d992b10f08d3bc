"""A classifier that is right as often as it says has no calibration error."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss

from interp.errors import InputError
from interp.train.metrics import calibration, reliability


def binary(confidence: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([1 - confidence, confidence], 1)


def drawn(n: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities, and answers that come true as often as those say."""
    random = np.random.default_rng(seed)
    p = random.uniform(0, 1, n)
    return binary(p), (random.uniform(0, 1, n) < p).astype(np.int64)


def test_an_honest_classifier_has_little_error_and_a_boaster_as_much_as_it_boasts() -> None:
    probabilities, true = drawn(20_000)
    found = {m.metric: m for m in calibration(probabilities, true)}
    assert found["ece"].value < 0.015
    random = np.random.default_rng(1)
    right = random.uniform(0, 1, 20_000) < 0.6  # says 0.9, is right in 0.6
    boast = {m.metric: m for m in calibration(binary(np.full(20_000, 0.9)), right.astype(int))}
    assert boast["ece"].value == pytest.approx(0.3, abs=0.01)
    assert boast["ece"].signature == "1 equal-mass bins"


def test_brier_is_that_of_scikit_learn() -> None:
    probabilities, true = drawn(300)
    found = {m.metric: m for m in calibration(probabilities, true)}
    # scikit-learn counts one class of two, and the sum over both is twice that.
    assert found["brier"].value == pytest.approx(2 * brier_score_loss(true, probabilities[:, 1]))


def test_the_error_is_the_mean_gap_of_the_reliability_table() -> None:
    probabilities, true = drawn(500, seed=3)
    table = reliability(probabilities, true, bins=7)
    found = {m.metric: m for m in calibration(probabilities, true, bins=7)}
    gap = (table["n"] * (table["value"] - table["confidence"]).abs()).sum() / 500
    assert found["ece"].value == pytest.approx(gap)
    assert table["n"].sum() == 500 and table["n"].max() - table["n"].min() <= 1
    assert ((table["ci_low"] <= table["value"]) & (table["value"] <= table["ci_high"])).all()
    assert table["confidence"].is_monotonic_increasing


def test_equal_probabilities_share_a_bin_in_whatever_order_they_come() -> None:
    confidence = np.array([0.6] * 30 + [0.8] * 5)
    true = np.array([1] * 18 + [0] * 12 + [1] * 4 + [0])
    order = np.random.default_rng(0).permutation(35)
    one = reliability(binary(confidence), true, bins=10)
    other = reliability(binary(confidence[order]), true[order], bins=10)
    assert list(one["n"]) == [30, 5] and list(one["value"]) == [0.6, 0.8]
    assert one["value"].equals(other["value"])


def test_what_is_no_probability_is_refused() -> None:
    with pytest.raises(InputError, match="softmax"):
        calibration(np.array([[2.0, -1.0]]), np.array([0]))
    with pytest.raises(InputError, match="one row"):
        calibration(np.ones((2, 1)), np.array([0]))
    with pytest.raises(InputError, match="none of the 2 classes"):
        calibration(np.array([[0.5, 0.5]]), np.array([2]))
    with pytest.raises(InputError, match="bins is 0"):
        reliability(np.array([[0.5, 0.5]]), np.array([1]), bins=0)
