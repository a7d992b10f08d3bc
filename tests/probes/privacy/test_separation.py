"""Areas and rates are those of counting pairs; intervals cover; ties are chance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.errors import InputError
from probes.privacy.separation import (
    auroc,
    auroc_interval,
    clopper_pearson,
    difference,
    p_value,
    roc,
    tpr_at,
)

SIDES = st.lists(st.integers(-3, 3), min_size=1, max_size=12)


def joined(inside: list[int], outside: list[int]) -> tuple[np.ndarray, np.ndarray]:
    scores = np.array([*inside, *outside], float)
    return scores, np.repeat([True, False], [len(inside), len(outside)])


@given(SIDES, SIDES)
def test_the_area_counts_pairs_and_ties_half(inside: list[int], outside: list[int]) -> None:
    pairs = [(a > b) + (a == b) / 2 for a in inside for b in outside]
    scores, member = joined(inside, outside)
    assert auroc(scores, member) == pytest.approx(np.mean(pairs), abs=1e-12)
    curve = roc(scores, member)
    assert np.trapezoid(curve["tpr"], curve["fpr"]) == pytest.approx(np.mean(pairs), abs=1e-12)
    assert auroc(-scores, member) == pytest.approx(1 - np.mean(pairs), abs=1e-12)


def test_scikit_learn_agrees() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(0)
    scores, member = np.round(random.normal(size=200), 1), random.random(200) < 0.4
    assert auroc(scores, member) == pytest.approx(metrics.roc_auc_score(member, scores))


def test_constant_scores_are_chance() -> None:
    member = np.arange(2000) % 2 == 0
    assert auroc(np.ones(2000), member) == 0.5
    found = tpr_at(np.ones(2000), member, 0.01)
    assert (found.tpr, found.fpr, found.threshold) == (0.0, 0.0, math.inf)


def test_the_interval_covers_and_mirrors() -> None:
    random = np.random.default_rng(1)
    shift, m, n, hits = 0.8, 40, 60, 0
    from scipy.stats import norm

    truth = norm.cdf(shift / math.sqrt(2))
    for _ in range(300):
        scores = np.concatenate([random.normal(shift, size=m), random.normal(size=n)])
        area = auroc(scores, np.arange(m + n) < m)
        low, high = auroc_interval(area, m, n)
        hits += low <= truth <= high
        assert auroc_interval(1 - area, n, m) == pytest.approx((1 - high, 1 - low), abs=1e-6)
    assert 0.92 <= hits / 300 <= 0.99
    low, high = auroc_interval(1.0, 20, 20)
    assert 0.7 < low < 1
    assert high == 1


def test_the_difference_of_areas_is_paired() -> None:
    random = np.random.default_rng(2)
    member = np.arange(400) % 2 == 0
    easy = random.normal(size=400)
    one, other = easy + 0.6 * member + 0.1 * random.normal(size=400), easy
    value, low, high = difference(one, other, member)
    assert value == pytest.approx(auroc(one, member) - auroc(other, member))
    draws = []
    for _ in range(400):
        some = np.concatenate(
            [random.choice(np.flatnonzero(member == side), 200) for side in (True, False)]
        )
        draws.append(auroc(one[some], member[some]) - auroc(other[some], member[some]))
    assert (high - low) / 2 == pytest.approx(1.96 * np.std(draws), rel=0.15)
    assert difference(easy, easy, member) == (0.0, 0.0, 0.0)


def test_clopper_pearson_is_scipys() -> None:
    from scipy.stats import binomtest

    for n in (1, 7, 200):
        for hits in {0, 1, n // 2, n - 1, n}:
            low, high = clopper_pearson(hits, n)
            wanted = binomtest(hits, n).proportion_ci(0.95, "exact")
            assert (float(low), float(high)) == pytest.approx((wanted.low, wanted.high))


def test_the_share_found_keeps_to_the_rate_and_asks_for_enough_others() -> None:
    random = np.random.default_rng(3)
    member = np.arange(4000) < 2000
    scores = random.normal(size=4000) + 2 * member
    found = tpr_at(scores, member, 0.01)
    assert found.fpr <= 0.01 < found.fpr + 1 / 2000 + 1e-12
    assert found.tpr == (scores[member] >= found.threshold).mean()
    assert found.ci_low < found.tpr < found.ci_high
    with pytest.raises(InputError, match="needs at least 10,000 non-members; there are 2,000"):
        tpr_at(scores, member, 0.001)


@pytest.mark.parametrize(
    ("scores", "member", "match"),
    [
        ([1.0, np.nan], [True, False], "unit 1 is not finite"),
        ([1.0, 2.0], [True, True], "both sides are needed"),
        ([1.0, 2.0], [True], "scores for"),
    ],
)
def test_bad_scores_are_refused(scores: list[float], member: list[bool], match: str) -> None:
    with pytest.raises(InputError, match=match):
        auroc(scores, member)


def test_the_p_value_keeps_its_level_and_needs_both_chance_and_the_other_score() -> None:
    random = np.random.default_rng(0)
    member = np.arange(80) % 2 == 0
    alarms = [
        p_value(random.normal(size=80), random.normal(size=80), member) < 0.05 for _ in range(400)
    ]
    assert sum(alarms) <= 20 + 3 * math.sqrt(20)
    noise, strong = random.normal(size=80), member + 0.1 * random.normal(size=80)
    assert p_value(strong, noise, member) < 1e-6
    assert p_value(strong, strong, member) == 1.0  # no better than itself
    assert p_value(noise, -strong, member) > 0.05  # better than the other, but not than chance
