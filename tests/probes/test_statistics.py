"""Intervals that cover, adjustments that agree with their definitions, and nulls that hold."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.errors import InputError
from probes.statistics import (
    benjamini_hochberg,
    best_of_many,
    bootstrap_means,
    cluster_bootstrap,
    cluster_means,
    holm,
    ratio_interval,
    sign_flips,
)

probabilities = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@given(probabilities)
def test_holm_is_its_definition(p: list[float]) -> None:
    order = sorted(range(len(p)), key=lambda i: p[i])
    expected, so_far = [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        so_far = max(so_far, (len(p) - rank) * p[i])
        expected[i] = min(so_far, 1.0)
    np.testing.assert_allclose(holm(p), expected, atol=1e-15)


@given(probabilities)
def test_benjamini_hochberg_is_its_definition(p: list[float]) -> None:
    ranked = sorted(p)
    n = len(p)

    def adjusted(value: float) -> float:
        return min(1.0, *(n * ranked[k] / (k + 1) for k in range(n) if ranked[k] >= value))

    np.testing.assert_allclose(benjamini_hochberg(p), [adjusted(v) for v in p], rtol=1e-12)


def test_an_interval_of_clusters_is_as_wide_as_of_their_means() -> None:
    """Ten copies of a sentence say no more than one: the interval must not narrow."""
    generator = np.random.default_rng(0)
    one = generator.normal(size=200)
    low, high = cluster_bootstrap(one.repeat(10), np.arange(200).repeat(10))
    single_low, single_high = cluster_bootstrap(one, np.arange(200))
    assert low == pytest.approx(single_low) and high == pytest.approx(single_high)
    width = 2 * 1.96 * one.std() / np.sqrt(200)
    assert high - low == pytest.approx(width, rel=0.1)


def test_columns_of_a_draw_see_the_same_clusters() -> None:
    values = np.random.default_rng(1).normal(size=(60, 1)) + np.array([[0.0, 0.5]])
    means = bootstrap_means(values, np.arange(60), draws=50)
    np.testing.assert_allclose(means[:, 1] - means[:, 0], 0.5)


def test_the_best_column_is_found_and_ties_share() -> None:
    generator = np.random.default_rng(2)
    better = generator.normal(size=(400, 3)) + np.array([0.0, 0.0, 1.0])
    assert best_of_many(better, np.arange(400))[2] > 0.99
    same = np.repeat(generator.normal(size=(50, 1)), 4, axis=1)
    np.testing.assert_allclose(best_of_many(same, np.arange(50)), 0.25)


def test_sign_flips_reject_noise_no_more_often_than_the_level() -> None:
    """Twenty columns of noise: the smallest corrected p is below 0.05 in about 5% of cases."""
    generator = np.random.default_rng(3)
    smallest = [
        sign_flips(generator.normal(size=(40, 20)), np.arange(40), draws=200, seed=i).min()
        for i in range(200)
    ]
    assert np.mean(np.array(smallest) < 0.05) < 0.05 + 3.5 * np.sqrt(0.05 * 0.95 / 200)
    found = sign_flips(generator.normal(size=(40, 20)) + (np.arange(20) == 7), np.arange(40))
    assert found[7] < 0.01 and (np.delete(found, 7) > 0.05).all()


def test_sign_flips_are_a_sample_of_all_flips() -> None:
    """Of seven clusters there are 128 flips: what share of them reaches what was measured."""
    generator = np.random.default_rng(4)
    values = generator.normal(size=(21, 3)) + np.array([0.0, 0.3, 0.8])
    clusters = np.arange(21) // 3
    sums, _ = cluster_means(values, clusters)
    flips = np.array(list(product((-1, 1), repeat=7)))
    statistics = flips @ sums / np.sqrt((sums**2).sum(0))
    observed = statistics[-1] - 1e-12
    alone = sign_flips(values, clusters, draws=200_000, corrected=False)
    np.testing.assert_allclose(alone, (statistics >= observed).mean(0), atol=0.005)
    together = sign_flips(values, clusters, draws=200_000)
    largest = statistics.max(1, keepdims=True)
    np.testing.assert_allclose(together, (largest >= observed).mean(0), atol=0.005)
    assert (alone <= together).all() and (alone < together).any()


def test_columns_without_difference_are_no_evidence() -> None:
    assert (sign_flips(np.zeros((10, 3)), np.arange(10)) == 1).all()


@pytest.mark.parametrize(("values", "clusters"), [([1.0, 2.0], [0]), ([], [])])
def test_what_has_no_mean_is_refused(values: list[float], clusters: list[int]) -> None:
    with pytest.raises(InputError):
        cluster_bootstrap(values, clusters)


def test_what_is_no_probability_is_refused() -> None:
    with pytest.raises(InputError):
        holm([0.5, 1.2])


def test_ratios_of_sums_have_the_interval_of_the_mean_that_they_are() -> None:
    generator = np.random.default_rng(5)
    values, owners = generator.normal(size=(200, 3)), generator.integers(20, size=200)
    sums, counts = cluster_means(values, owners)
    found = ratio_interval(sums, np.repeat(counts[:, None], 3, 1), draws=300)
    for ours, theirs in zip(found, cluster_bootstrap(values, owners, draws=300), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_a_column_that_counts_nothing_has_no_interval() -> None:
    counts = np.array([[1.0, 0.0], [2.0, 0.0]])
    low, high = ratio_interval(counts * 3, counts, draws=50)
    assert low[0] == high[0] == 3 and np.isnan([low[1], high[1]]).all()
    assert np.isnan(ratio_interval(counts[:1], counts[:1])).all()
