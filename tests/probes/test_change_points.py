"""Jumps are found where they are, and in noise as rarely as was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from interp.errors import InputError
from probes.change_points import change_points


def steps(*levels: float, n: int = 15, noise: float = 0.1, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.repeat(levels, n) + noise * random.standard_normal(n * len(levels))


def test_noise_jumps_as_often_as_alpha_says() -> None:
    """Also noise with heavy tails; 400 curves, so that 5 % has an error of 1.1."""
    for draw in (
        np.random.default_rng(0).standard_normal,
        np.random.default_rng(1).standard_cauchy,
    ):
        found = [bool(change_points(draw(20), shuffles=199, seed=i)) for i in range(400)]
        assert 0.02 <= np.mean(found) <= 0.085


def test_jumps_are_found_where_they_are() -> None:
    found = [change_points(steps(0, 1, 0.4, seed=seed), shuffles=199) for seed in range(100)]
    exact = [[jump.place for jump in jumps] == [15, 30] for jumps in found]
    assert sum(exact) >= 90  # one in twenty may see one more
    for jump in found[exact.index(True)]:
        assert jump.p <= 0.05 and abs(jump.after - jump.before) > 0.3
    again = change_points(100 * steps(0, 1, 0.4, seed=3) + 7, shuffles=199)
    assert [(j.place, j.p) for j in again] == [(j.place, j.p) for j in found[3]]


def test_the_cut_is_that_of_ruptures() -> None:
    ruptures = pytest.importorskip("ruptures")
    for seed in range(5):
        curve = steps(0, 1, noise=0.5, seed=seed)
        (theirs, _) = ruptures.Binseg(model="l2", min_size=2, jump=1).fit(curve).predict(n_bkps=1)
        assert theirs in [jump.place for jump in change_points(curve)]


def test_what_cannot_jump_does_not() -> None:
    assert change_points([1.0] * 30) == []
    assert change_points([0.0, 1.0, 0.0]) == []
    assert change_points([0.0] * 6 + [1.0] * 6)[0].place == 6


def test_a_wrong_curve_or_level_is_refused() -> None:
    with pytest.raises(InputError, match="finite"):
        change_points([0.0, np.nan, 1.0])
    with pytest.raises(InputError, match="alpha"):
        change_points([0.0] * 9, alpha=0.001, shuffles=99)
