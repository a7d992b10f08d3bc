"""Figures against scikit-learn and scipy, and what chance, an oracle and silence get."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score

from interp import InputError
from interp.explain.planted import COMPILED, HAND_WRITTEN, Item
from interp.explain.planted.ranking import (
    auprc,
    auroc,
    expected_auprc,
    false_share,
    measure,
    noise,
    oracle,
    precision_at_k,
    shuffled,
    sign_accuracy,
    spearman,
    summary,
)

PAIRS = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=12)


@given(PAIRS)
@settings(deadline=None)
def test_areas_are_those_of_scikit_learn_ties_included(pairs: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in pairs], dtype=float)
    positive = np.array([is_positive for _, is_positive in pairs])
    if positive.all() or not positive.any():
        assert math.isnan(auprc(scores, positive)) and math.isnan(auroc(scores, positive))
        return
    assert auprc(scores, positive) == pytest.approx(average_precision_score(positive, scores))
    assert auroc(scores, positive) == pytest.approx(roc_auc_score(positive, scores))


@given(PAIRS)
@settings(deadline=None)
def test_correlation_is_that_of_scipy(pairs: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in pairs], dtype=float)
    truth = np.array([float(flag) * score + flag for score, flag in pairs])
    if len(set(truth)) < 2:
        assert math.isnan(spearman(scores, truth))
    elif len(set(scores)) < 2:
        assert spearman(scores, truth) == 0
    else:
        assert spearman(scores, truth) == pytest.approx(spearmanr(scores, truth).statistic)


@pytest.mark.parametrize("positives", [1, 2, 4])
def test_chance_is_the_mean_over_all_orders(positives: int) -> None:
    positive = np.arange(5) < positives
    found = [auprc(np.array(order, dtype=float), positive) for order in permutations(range(5))]
    assert expected_auprc(5, positives) == pytest.approx(np.mean(found))
    assert math.isnan(expected_auprc(5, 0)) and math.isnan(expected_auprc(5, 5))


def test_small_cases_by_hand() -> None:
    scores, truth = np.array([3.0, -2.0, 0.5, 0.0]), np.array([1.0, 2.0, 0.0, 1.0])
    assert precision_at_k(np.abs(scores), truth != 0) == pytest.approx(2 / 3)
    assert sign_accuracy(scores, truth) == pytest.approx(1 / 3)
    assert false_share(scores, truth) == pytest.approx(0.5 / 5.5)
    assert false_share(np.zeros(2), np.zeros(2)) == 0 and math.isnan(
        false_share(scores, scores + 4)
    )


@pytest.fixture(scope="module")
def items() -> list[Item]:
    names = ("additive", "negation", "lookup", "copy")
    return [item for name in names for item in HAND_WRITTEN[name](0).items(60)]


def truth(item: Item) -> list[float]:
    assert item.contribution is not None
    return item.contribution.tolist()


def mean(items: list[Item], scores: str, metric: str) -> tuple[float, float, float, float]:
    """A control's mean with its interval, and the mean of chance."""
    rows = []
    for seed, item in enumerate(items):
        found = oracle(item, seed) if scores == "oracle" else measure(item, noise(item, seed), seed)
        rows.append({"method": scores, "value": found[metric], "chance": found["auprc chance"]})
    frame = pd.DataFrame(rows)
    row = summary(frame, ["method"]).iloc[0]
    return row["value"], row["ci_low"], row["ci_high"], frame["chance"].mean()


@pytest.mark.parametrize(
    "metric", ["auprc", "auroc", "precision at k", "sign accuracy", "spearman"]
)
def test_the_oracle_is_perfect(items: list[Item], metric: str) -> None:
    value, low, high, _ = mean(items, "oracle", metric)
    assert value == low == high == pytest.approx(1)


def test_noise_is_at_chance(items: list[Item]) -> None:
    _, low, high, chance = mean(items, "random", "auprc")
    assert low < chance < high
    _, low, high, _ = mean(items, "random", "auroc")
    assert low < 0.5 < high


def test_with_shuffled_truth_even_the_oracle_is_at_chance(items: list[Item]) -> None:
    rows = []
    for seed, item in enumerate(items):
        found = measure(shuffled(item, seed), truth(item), seed)
        rows.append({"method": "oracle", "value": found["auprc"], "chance": found["auprc chance"]})
    frame = pd.DataFrame(rows)
    row = summary(frame, ["method"]).iloc[0]
    assert row["ci_low"] < frame["chance"].mean() < row["ci_high"]
    dealt = shuffled(items[0], 1)
    assert dealt.contribution is not None and items[0].contribution is not None
    assert sorted(dealt.contribution.tolist()) == sorted(items[0].contribution.tolist())
    fixed = ~items[-1].movable
    assert torch.equal(shuffled(items[-1]).causal[fixed], items[-1].causal[fixed])


def test_silence_and_rounding_are_worth_a_guess(items: list[Item]) -> None:
    """Noise far below the target's changes must not be read as a ranking."""
    guesses, chances = [], []
    for seed, item in enumerate(items):
        whisper = [1e-7 * value for value in truth(item)]
        found = measure(item, whisper, seed)
        guesses.append(found["auprc"])
        chances.append(found["auprc chance"])
        assert found["false share"] == 0 and not found["sign accuracy"] > 0
    spread = np.nanstd(guesses) / len(guesses) ** 0.5
    assert abs(np.nanmean(guesses) - np.nanmean(chances)) < 3 * spread


def test_rounding_costs_an_exact_explainer_nothing() -> None:
    """Equal truths must stay equal, and a target that is always 0 has no ranking."""
    generator = np.random.default_rng(0)
    for name in ("redundant copies", "position only"):
        for seed, item in enumerate(HAND_WRITTEN[name](0).items(20)):
            nearly = np.array(truth(item)) + 1e-6 * generator.normal(size=len(item.ids))
            found, expected = measure(item, nearly.tolist(), seed), oracle(item, seed)
            for metric in ("auprc", "sign accuracy", "spearman", "false share"):
                assert found[metric] == pytest.approx(expected[metric], nan_ok=True)
    silent = [item for item in COMPILED["fraction previous"](0).items(60) if item.scale == 0]
    assert silent and all(measure(item, [1e-6] * 7)["false share"] == 0 for item in silent)


def test_the_interval_holds_the_mean_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        frame = pd.DataFrame({"method": "a", "value": generator.normal(size=40)})
        row = summary(frame, ["method"], seed).iloc[0]
        hits += row["ci_low"] < 0 < row["ci_high"]
    assert 0.88 <= hits / 200 <= 0.99


def test_scores_that_do_not_fit_are_refused(items: list[Item]) -> None:
    with pytest.raises(InputError, match="one finite score"):
        measure(items[0], [1.0])
    with pytest.raises(InputError, match="one finite score"):
        measure(items[0], [math.nan] * 8)
