"""In which order examples are read: a pure function of seed and position.

Nothing here remembers where it is. A run that was stopped finds its place by its step number, and
what step 1,234 read can be said without reading what came before it.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from interp.errors import ConfigError

Indices = NDArray[np.int64]

_ROUNDS = 6


def stream_seed(*key: int | str) -> int:
    """A seed of 63 bits that is a pure function of `key`, for a random stream of its own."""
    digest = hashlib.sha256("\x1f".join(map(str, key)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


@dataclass(frozen=True)
class Permutation:
    """A shuffle of 0 ... n - 1 that is looked up, not stored.

    A Feistel network of six rounds permutes the next power of four; whatever falls outside n is
    sent through again until it falls inside ("cycle walking", Black & Rogaway 2002). A look-up
    costs the same at any place, and no memory.

    Args:
        n: how many things are shuffled, at least 1.
        seed: which shuffle.
    """

    n: int
    seed: int

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ConfigError(f"There is nothing to shuffle: n is {self.n}.")

    def __call__(self, places: Indices) -> Indices:
        """Which of the n things stand at these places (of 0 to n - 1), [any] -> the same shape."""
        half, keys = self._network
        value = np.array(places, dtype=np.uint64)
        outside = np.ones(value.shape, dtype=bool)
        while outside.any():
            value[outside] = _feistel(value[outside], half, keys)
            outside = value >= self.n
        return value.astype(np.int64)

    @functools.cached_property
    def _network(self) -> tuple[np.uint64, NDArray[np.uint64]]:
        half = max(1, ((self.n - 1).bit_length() + 1) // 2)
        random = np.random.default_rng(stream_seed("permutation", self.seed))
        return np.uint64(half), random.integers(0, 2**63, _ROUNDS, dtype=np.uint64)


def _feistel(
    value: NDArray[np.uint64], half: np.uint64, keys: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = value >> half, value & mask
    for key in keys:
        left, right = right, left ^ (_mix(right ^ key) & mask)
    return (left << half) | right


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64 (Steele et al. 2014): every bit of x reaches every bit."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@dataclass(frozen=True)
class Shuffled:
    """Fixed numbers of examples a step, every example once an epoch, each epoch in another order.

    A batch may hold the end of one epoch and the beginning of the next.

    Args:
        n: examples, at least 1.
        rows: examples a step.
        seed: of the order.
    """

    n: int
    rows: int
    seed: int

    @property
    def steps_per_epoch(self) -> float:
        return self.n / self.rows

    def step(self, step: int) -> Indices:
        """The examples of a step, [rows]."""
        place = step * self.rows + np.arange(self.rows)
        out = np.empty(self.rows, dtype=np.int64)
        for epoch in np.unique(place // self.n):
            here = place // self.n == epoch
            shuffle = Permutation(self.n, stream_seed(self.seed, int(epoch)))
            out[here] = shuffle(place[here] % self.n)
        return out


class Bucketed:
    """Batches of examples of like length with at most `tokens` each, padding included.

    The cuts lie in the sorted lengths, so they are the same in every epoch; which of the equally
    long examples come together, and the order of the batches, is another one each time.

    Args:
        lengths: of all examples, in tokens. An example longer than `tokens` is a batch of its own.
        tokens: the most that a batch holds, as rows times the longest of them.
        seed: of the order.
    """

    def __init__(self, lengths: Sequence[int] | Indices, tokens: int, seed: int):
        self.lengths = np.asarray(lengths, dtype=np.int64)
        self.seed = seed
        if len(self.lengths) == 0 or tokens < 1:
            raise ConfigError(
                f"{len(self.lengths)} examples in batches of {tokens} tokens make no batch; both "
                "must be positive."
            )
        cuts, first = [0], 0
        ascending = np.sort(self.lengths)
        for i, length in enumerate(ascending):
            if i > first and length * (i + 1 - first) > tokens:
                first = i
                cuts.append(i)
        self.cuts = np.array([*cuts, len(ascending)])
        self._epoch = functools.lru_cache(maxsize=2)(self._sorted)

    @property
    def steps_per_epoch(self) -> int:
        return len(self.cuts) - 1

    def step(self, step: int) -> Indices:
        """The examples of a step, [rows]; the number of rows differs from step to step."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order = Permutation(self.steps_per_epoch, stream_seed(self.seed, epoch, "batches"))
        chosen = int(order(np.array([place]))[0])
        return self._epoch(epoch)[self.cuts[chosen] : self.cuts[chosen + 1]]

    def _sorted(self, epoch: int) -> Indices:
        """Examples by length, equal ones shuffled."""
        random = np.random.default_rng(stream_seed(self.seed, epoch, "examples"))
        shuffled = random.permutation(len(self.lengths))
        out: Indices = shuffled[np.argsort(self.lengths[shuffled], kind="stable")]
        return out
