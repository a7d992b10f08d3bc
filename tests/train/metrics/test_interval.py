"""Intervals cover the truth as often as they say, and depend on nothing but data and seed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from interp.errors import InputError
from interp.train.metrics.interval import bootstrap, mean, of_sums, proportion, ratio, to_frame


def test_an_interval_of_a_share_covers_the_truth() -> None:
    """95% of the samples of 200 give an interval with the true share in it, within noise."""
    random = np.random.default_rng(0)
    for truth in (0.1, 0.5, 0.9):
        hits = random.binomial(200, truth, 400)
        found = [proportion("accuracy", int(k), 200) for k in hits]
        covered = np.mean([one.ci_low <= truth <= one.ci_high for one in found])
        assert 0.92 <= covered <= 0.98


def test_the_interval_of_a_share_is_wilsons() -> None:
    """Its ends are where the share is 1.96 standard errors *of that end* away."""
    found = proportion("accuracy", 3, 20)
    for end in (found.ci_low, found.ci_high):
        error = math.sqrt(end * (1 - end) / 20)
        assert abs(found.value - end) == pytest.approx(stats.norm.ppf(0.975) * error)


def test_a_bootstrap_interval_covers_the_truth() -> None:
    """Of a ratio of sums, as a perplexity or a BLEU is one."""
    random = np.random.default_rng(1)
    covered = []
    for seed in range(300):
        tokens = random.integers(5, 40, 120)
        nats = tokens * random.gamma(4, 0.5, 120)  # 2 nats a token in truth
        low, high = bootstrap(
            np.stack([nats, tokens], 1),
            lambda s: ratio(s[..., 0], s[..., 1]),
            resamples=400,
            seed=seed,
        )
        covered.append(low <= 2 <= high)
    assert 0.91 <= np.mean(covered) <= 0.98


def test_the_bootstrap_agrees_with_scipy() -> None:
    values = np.random.default_rng(2).exponential(size=80)
    ours = mean("loss", values, seed=0)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=0)
    assert ours.value == pytest.approx(values.mean())
    assert ours.ci_low == pytest.approx(theirs.confidence_interval.low, abs=0.02)
    assert ours.ci_high == pytest.approx(theirs.confidence_interval.high, abs=0.02)


def test_a_paired_difference_is_surer_than_two_intervals() -> None:
    """Two systems that differ by a constant differ by it in every resample."""
    one = np.random.default_rng(3).normal(size=200)
    both = np.stack([one, one + 0.1, np.ones(200)], 1)
    low, high = bootstrap(both, lambda s: (s[..., 1] - s[..., 0]) / s[..., 2])
    assert low == pytest.approx(0.1) and high == pytest.approx(0.1)
    alone = mean("score", one)
    assert alone.ci_high - alone.ci_low > 0.1


@given(values=st.lists(st.floats(-5, 5), min_size=2, max_size=30), seed=st.integers(0, 9))
def test_an_interval_lies_within_the_values_and_follows_from_the_seed(
    values: list[float], seed: int
) -> None:
    found = mean("m", np.array(values), seed=seed)
    assert min(values) - 1e-9 <= found.ci_low <= found.ci_high <= max(values) + 1e-9
    assert found == mean("m", np.array(values), seed=seed)


def test_memory_is_bounded_by_drawing_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(4).normal(size=(50, 1))
    whole = bootstrap(values, lambda s: s[..., 0])
    monkeypatch.setattr("interp.train.metrics.interval._AT_ONCE", 300)
    assert bootstrap(values, lambda s: s[..., 0]) == pytest.approx(whole)


def test_one_example_says_nothing_of_others() -> None:
    found = of_sums("m", np.array([[3.0]]), lambda s: s[..., 0])
    assert found.value == 3 and math.isnan(found.ci_low) and math.isnan(found.ci_high)


def test_no_example_is_refused_and_a_table_has_the_promised_columns() -> None:
    with pytest.raises(InputError, match="no example"):
        mean("m", np.array([]))
    with pytest.raises(InputError, match="no example"):
        proportion("m", 0, 0)
    frame = to_frame([proportion("accuracy", 3, 4)])
    assert list(frame) == ["metric", "value", "ci_low", "ci_high", "n", "signature"]
