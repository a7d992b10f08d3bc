"""Times of several tasks that are to be compared, taken so that noise meets all of them alike.

Tasks are not run one after the other, but in turn, round after round: a machine that slows down
for a second then slows every task of that round. A ratio of two tasks is therefore taken within
each round, and the median of those ratios reported; a single bad round cannot move it.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Generic, TypeVar

import torch

Key = TypeVar("Key", bound=Hashable)
Task = Callable[[], object]
Clock = Callable[[], float]

LEAST_SAMPLE = 0.02
"""Seconds that one sample lasts at least: a shorter task is called several times for it."""


@dataclass(frozen=True)
class Ratio:
    """A ratio of two tasks: the median over rounds, and the quartiles around it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Ratio:
        """Summarises the ratios of single rounds."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, middle, high = quantiles(values, n=4, method="inclusive")
        return cls(middle, low, high)

    def __str__(self) -> str:
        return f"{self.median:.2f} ±{(self.high - self.low) / 2:.2f}"


@dataclass(frozen=True)
class Timings(Generic[Key]):
    """Seconds per call of each task, one value a round."""

    seconds: dict[Key, list[float]]

    def __contains__(self, key: Key) -> bool:
        return key in self.seconds

    def median(self, key: Key) -> float:
        """Median seconds of a call."""
        return median(self.seconds[key])

    def ratio(self, key: Key, base: Key) -> Ratio:
        """How long `key` takes, in units of `base`."""
        pairs = zip(self.seconds[key], self.seconds[base], strict=True)
        return Ratio.of([mine / other for mine, other in pairs])


def interleave(
    tasks: Mapping[Key, Task],
    *,
    rounds: int = 15,
    warmup: int = 2,
    least: float = LEAST_SAMPLE,
    wait: Callable[[], object] = lambda: None,
    clock: Clock = time.perf_counter,
) -> Timings[Key]:
    """Times tasks in turn.

    Each round starts with another task, so that none always follows the same neighbour (and finds
    the caches as that one left them). Python's garbage collector runs between rounds only.

    Args:
        rounds: samples of each task.
        warmup: calls before the first sample; the last of them decides how many calls make one.
        least: seconds that a sample lasts at least.
        wait: returns when what was called has finished, for devices that work in the background.
        clock: the time in seconds.
    """

    def sample(task: Task, calls: int) -> float:
        start = clock()
        for _ in range(calls):
            task()
        wait()
        return (clock() - start) / calls

    calls: dict[Key, int] = {}
    for key, task in tasks.items():
        for _ in range(max(warmup, 1)):
            seconds = sample(task, 1)
        calls[key] = max(1, math.ceil(least / max(seconds, 1e-9)))
    order = list(tasks)
    taken: dict[Key, list[float]] = {key: [] for key in order}
    collecting = gc.isenabled()
    gc.disable()
    gc.freeze()  # what was there before is no garbage of a round, and need not be searched for any
    try:
        for turn in range(rounds):
            gc.collect()
            first = turn % len(order) if order else 0
            for key in order[first:] + order[:first]:
                taken[key].append(sample(tasks[key], calls[key]))
    finally:
        gc.unfreeze()
        if collecting:
            gc.enable()
    return Timings(taken)


def held_bytes(make: Callable[[], object]) -> tuple[object, int]:
    """What `make` returns, and the bytes of tensors that live on after it.

    Counts each new block of memory once, however many tensors look at it, and whoever owns them.
    """
    gc.collect()
    before = _tensors()  # held meanwhile, so that none of their blocks is freed and given out anew
    known = {_block(tensor) for tensor in before}
    made = make()
    gc.collect()
    new = {_block(tensor) for tensor in _tensors()} - known
    return made, sum(size for _, size in new)


def _tensors() -> list[torch.Tensor]:
    real = (torch.Tensor, torch.nn.Parameter)  # not the stand-ins of compilers, without memory
    return [thing for thing in gc.get_objects() if type(thing) in real and not thing.is_meta]


def _block(tensor: torch.Tensor) -> tuple[int, int]:
    """Address and length of the memory behind a tensor."""
    storage = tensor.untyped_storage()
    return storage.data_ptr(), storage.nbytes()
