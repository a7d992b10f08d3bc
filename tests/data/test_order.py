"""The order of examples: a shuffle without memory, every example once an epoch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from interp.data.order import Bucketed, Permutation, Shuffled, stream_seed
from interp.errors import ConfigError


@given(n=st.integers(1, 700), seed=st.integers(0, 2**63 - 1))
def test_a_permutation_visits_everything_once(n: int, seed: int) -> None:
    assert sorted(Permutation(n, seed)(np.arange(n))) == list(range(n))


@given(n=st.integers(2, 10**12), seed=st.integers(0, 100), data=st.data())
def test_a_look_up_depends_on_nothing_but_its_place(n: int, seed: int, data: st.DataObject) -> None:
    places = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=20)))
    found = Permutation(n, seed)(places)
    assert ((found >= 0) & (found < n)).all()
    assert [int(Permutation(n, seed)(places[i : i + 1])[0]) for i in range(len(places))] == list(
        found
    )


def test_places_and_things_are_independent() -> None:
    """Where 0 lands is uniform over seeds, and neighbours do not stay neighbours."""
    first = [int(Permutation(10, seed)(np.array([0]))[0]) for seed in range(2000)]
    assert stats.chisquare(np.bincount(first, minlength=10)).pvalue > 1e-3
    shuffled = Permutation(5000, 1)(np.arange(5000))
    assert abs(stats.spearmanr(np.arange(5000), shuffled).statistic) < 0.05
    assert abs(stats.spearmanr(shuffled[:-1], shuffled[1:]).statistic) < 0.05


@given(
    n=st.integers(1, 60), rows=st.integers(1, 25), seed=st.integers(0, 9), epochs=st.integers(1, 3)
)
def test_an_epoch_reads_every_example_once(n: int, rows: int, seed: int, epochs: int) -> None:
    order = Shuffled(n, rows, seed)
    steps = -(-n * epochs // rows)
    read = np.concatenate([order.step(step) for step in range(steps)])[: n * epochs]
    for epoch in read.reshape(epochs, n):
        assert sorted(epoch) == list(range(n))


def test_epochs_and_seeds_differ() -> None:
    order = Shuffled(50, 50, seed=0)
    assert list(order.step(0)) != list(order.step(1))
    assert list(order.step(0)) != list(Shuffled(50, 50, seed=1).step(0))


@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=60),
    tokens=st.integers(1, 40),
    seed=st.integers(0, 5),
)
def test_buckets_hold_every_example_once_and_no_more_than_allowed(
    lengths: list[int], tokens: int, seed: int
) -> None:
    order = Bucketed(lengths, tokens, seed)
    for epoch in range(2):
        steps = range(epoch * order.steps_per_epoch, (epoch + 1) * order.steps_per_epoch)
        batches = [list(order.step(step)) for step in steps]
        assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
        for batch in batches:
            longest = max(lengths[i] for i in batch)
            assert len(batch) == 1 or longest * len(batch) <= tokens


def test_equally_long_examples_meet_others_in_each_epoch() -> None:
    order = Bucketed([5] * 40, tokens=50, seed=0)
    epochs = [{frozenset(order.step(4 * e + i).tolist()) for i in range(4)} for e in range(2)]
    assert order.steps_per_epoch == 4 and epochs[0] != epochs[1]


def test_streams_have_seeds_of_their_own() -> None:
    keys = [(0, 1), (0, "1x"), (1, 0), (0,), ("01",), (0, 1, 0)]
    assert len({stream_seed(*key) for key in keys}) == len(keys)
    assert stream_seed(3, "data") == stream_seed(3, "data") < 2**63


def test_nothing_to_read_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing to shuffle"):
        Permutation(0, 0)
    with pytest.raises(ConfigError, match="no batch"):
        Bucketed([], 10, 0)
