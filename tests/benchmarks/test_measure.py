"""Statistics of interleaved timing, on a clock that only the tasks move."""

from __future__ import annotations

import gc

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.measure import Ratio, held_bytes, interleave


class Clock:
    """Time that stands still except while a task runs."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Task:
    """Takes `seconds`, times how slow the machine is in the round that runs."""

    def __init__(self, clock: Clock, seconds: float, slow: dict[int, float] | None = None):
        self.clock, self.seconds, self.slow = clock, seconds, slow or {}
        self.calls = 0

    def __call__(self) -> None:
        self.clock.now += self.seconds * self.slow.get(self.calls, 1.0)
        self.calls += 1


def test_a_task_of_known_length_is_measured_as_that() -> None:
    clock = Clock()
    tasks = {"one": Task(clock, 0.5), "two": Task(clock, 0.25)}
    timings = interleave(tasks, rounds=4, clock=clock)
    assert timings.median("one") == pytest.approx(0.5)
    assert timings.ratio("two", "one").median == pytest.approx(0.5)
    assert timings.ratio("one", "two").median == pytest.approx(2.0)


@given(st.lists(st.floats(0.01, 100), min_size=3, max_size=9))
def test_a_machine_of_changing_speed_leaves_ratios_alone(speeds: list[float]) -> None:
    clock = Clock()
    slow = {number + 1: speed for number, speed in enumerate(speeds)}  # after one warm-up call
    tasks = {"one": Task(clock, 3.0, slow), "two": Task(clock, 2.0, slow)}
    timings = interleave(tasks, rounds=len(speeds), warmup=1, clock=clock)
    ratio = timings.ratio("one", "two")
    assert ratio.median == pytest.approx(1.5)
    assert ratio.high - ratio.low == pytest.approx(0, abs=1e-6)


def test_one_bad_round_does_not_move_the_ratio() -> None:
    clock = Clock()
    tasks = {"one": Task(clock, 1.0, {3: 1000.0}), "two": Task(clock, 1.0)}
    assert interleave(tasks, rounds=5, clock=clock).ratio("one", "two").median == 1.0


def test_tasks_take_turns_and_each_goes_first() -> None:
    order: list[str] = []
    clock = Clock()

    def task(name: str) -> None:
        order.append(name)
        clock.now += 1

    interleave({n: lambda n=n: task(n) for n in "abc"}, rounds=3, warmup=1, clock=clock)
    assert "".join(order) == "abc" + "abc" + "bca" + "cab"


def test_a_short_task_is_called_until_the_sample_is_long_enough() -> None:
    clock = Clock()
    tasks = {"short": Task(clock, 0.001), "long": Task(clock, 1.0)}
    timings = interleave(tasks, rounds=2, warmup=2, least=0.0095, clock=clock)
    assert tasks["short"].calls == 2 + 2 * 10
    assert tasks["long"].calls == 2 + 2
    assert timings.median("short") == pytest.approx(0.001)


def test_work_in_the_background_is_waited_for() -> None:
    clock = Clock()
    pending: list[float] = []

    def wait() -> None:
        clock.now += sum(pending)
        pending.clear()

    timings = interleave({"task": lambda: pending.append(2.0)}, rounds=3, wait=wait, clock=clock)
    assert timings.median("task") == 2.0


def test_the_collector_is_left_as_it_was_even_after_an_error() -> None:
    def fail() -> None:
        if not gc.isenabled():
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interleave({"task": fail}, rounds=1)
    assert gc.isenabled()


def test_spread_is_that_of_the_quartiles() -> None:
    ratio = Ratio.of([1.0, 2.0, 3.0, 4.0, 100.0])
    assert (ratio.low, ratio.median, ratio.high) == (2.0, 3.0, 4.0)
    assert str(ratio) == "3.00 ±1.00"


def test_held_bytes_counts_a_block_once_and_nothing_that_is_gone() -> None:
    old = torch.ones(1000)

    def make() -> object:
        torch.ones(5000).sum()  # gone at once
        kept = torch.ones(64, 4)
        return {"rows": [kept, kept[3:], kept.t()], "old": old[2:], "other": (torch.ones(8),)}

    _, size = held_bytes(make)
    assert size == 4 * (64 * 4 + 8)
