"""A bad batch is skipped; a steeper place is not taken for one."""

from __future__ import annotations

import math

import pytest

from interp.errors import TrainingError
from interp.train.guard import Guard


def taken(guard: Guard, norm: float, loss: float = 1.0) -> bool:
    skipped = guard.verdict(loss, norm) is not None
    guard.note(norm, skipped=skipped)
    return not skipped


def settled() -> Guard:
    guard = Guard(6.0)
    assert all(taken(guard, 1 + 0.1 * math.sin(i)) for i in range(200))
    return guard


def test_single_bad_batches_are_skipped_and_change_nothing() -> None:
    guard = settled()
    before = guard.history[:-1].clone()
    for _ in range(10):
        assert not taken(guard, 50.0)
        assert taken(guard, 1.0)
    assert guard.history[10:-1].equal(before[:-10])


def test_norms_that_stay_large_become_the_usual_ones() -> None:
    guard = settled()
    steps = [taken(guard, 56 + math.sin(i)) for i in range(60)]
    assert steps == [False] * 4 + [True] * 56
    assert not taken(guard, 5_000.0)  # it guards there too


def test_what_is_not_finite_is_never_taken() -> None:
    guard = settled()
    assert not any(taken(guard, math.inf) for _ in range(19))
    with pytest.raises(TrainingError, match="20 steps in a row"):
        taken(guard, math.nan)
    guard = settled()
    assert not any(taken(guard, 1.0, loss=math.nan) for _ in range(19))
    assert taken(guard, 1.0)
