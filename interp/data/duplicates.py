"""Documents that were there before: the same text, or nearly the same words.

Near duplicates share most of their runs of five words. MinHash (Broder 1997) estimates the share,
the Jaccard index J of the two sets of runs, from 100 minima; locality-sensitive hashing in b bands
of r minima finds the pairs worth comparing, with probability 1 - (1 - J^r)^b. r is the largest that
finds 95% at the threshold: 5 with 20 bands from 0.68 on, 2 with 50 bands at 0.3. A document is a
near duplicate when the estimate for one that was kept before is at least the threshold.

A text of which 90% are kept in one piece has J = 0.82 with the original; one of which every tenth
word is another has J = 0.42, since each change breaks five runs.

Memory is bounded: the last million kept documents are remembered for near duplicates, in at most
340 MB (200 bytes a document, touched as they come, and a table of 128 MiB); all of them for exact
ones, in 8 bytes a document.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interp.data.order import stream_seed
from interp.data.words import Hashes, Words, mix

SHINGLE = 5  # words
MINIMA = 100
WINDOW = 1 << 20
"""How many kept documents near duplicates are looked for among."""

_SLOTS = 1 << 25
_RECENT = 1 << 16


class Fingerprint(NamedTuple):
    """What is remembered of a document.

    Attributes:
        exact: of the text, 64 bits. Two of a billion different texts share one with probability 3%.
        minima: [MINIMA], the low 16 bits of each minimum; empty where a text has no words.
        places: [band], the slot of each band in the table of a `NearIndex`.
    """

    exact: int
    minima: NDArray[np.uint16]
    places: NDArray[np.uint32]


def fingerprint(text: str, threshold: float) -> Fingerprint:
    """A pure function of the text and of the threshold of near duplicates; 0 looks for none."""
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()
    minima = _minima(Words(text).grams(SHINGLE) if threshold else _NOTHING)
    places = _places(minima, rows_of_a_band(threshold)) if len(minima) else _NOTHING
    return Fingerprint(int.from_bytes(digest, "little"), minima, places.astype(np.uint32))


def rows_of_a_band(threshold: float) -> int:
    """The largest number of minima in a band with which 95% at the threshold are found."""
    for rows in (5, 4, 3, 2):
        if 1 - (1 - threshold**rows) ** (MINIMA // rows) >= 0.95:
            return rows
    return 1


_NOTHING = np.zeros(0, np.uint64)
# In 32 bits, of which a processor multiplies many at once.
_FACTORS, _SUMMANDS = (
    np.random.default_rng(stream_seed("minhash")).integers(0, 2**32, (2, MINIMA), np.uint32)
    | np.uint32(1)
)[:, :, None]
_BLOCK = 2048  # runs hashed at once: 800 kB stay in the cache


def _minima(runs: Hashes) -> NDArray[np.uint16]:
    if len(runs) == 0:
        return np.zeros(0, np.uint16)
    least = np.full(MINIMA, np.iinfo(np.uint32).max, np.uint32)
    high = (runs >> np.uint64(32)).astype(np.uint32)
    for start in range(0, len(high), _BLOCK):
        # Which product is least depends on its high bits, and those on all bits of the run's.
        hashed = high[start : start + _BLOCK] * _FACTORS + _SUMMANDS
        np.minimum(least, hashed.min(axis=1), out=least)
    return (mix(least.astype(np.uint64)) & np.uint64(0xFFFF)).astype(np.uint16)


_FACTOR_OF_MINIMUM = np.random.default_rng(stream_seed("bands")).integers(
    0, 2**64, MINIMA, np.uint64
) | np.uint64(1)


def _places(minima: NDArray[np.uint16], rows: int) -> Hashes:
    """One slot for each band: the sum of its minima, each hashed by its value and its place."""
    hashed = mix((minima + np.uint64(1)) * _FACTOR_OF_MINIMUM)
    bands = hashed[: MINIMA // rows * rows].reshape(-1, rows).sum(axis=1)
    return mix(bands) % np.uint64(_SLOTS)


class ExactIndex:
    """The exact fingerprints of all kept documents: a sorted array, and a set of the newest."""

    def __init__(self) -> None:
        self._sorted = np.zeros(0, np.uint64)
        self._recent: set[int] = set()

    def __contains__(self, exact: int) -> bool:
        if exact in self._recent:
            return True
        place = int(np.searchsorted(self._sorted, np.uint64(exact)))
        return place < len(self._sorted) and int(self._sorted[place]) == exact

    def add(self, exact: int) -> None:
        self._recent.add(exact)
        if len(self._recent) >= _RECENT:
            new = np.fromiter(self._recent, np.uint64, len(self._recent))
            self._sorted = np.sort(np.concatenate((self._sorted, new)))
            self._recent.clear()


class NearIndex:
    """The minima of the last `window` kept documents, and where to look for similar ones.

    The table is a cache without collisions' bookkeeping: a slot holds the last document that came
    to it. What is found is always compared, so a slot that another took is never a false find, and
    the number of bands makes a lost one harmless.

    Args:
        threshold: the least estimated Jaccard index of a near duplicate, above 0, at most 1; the
            one that the fingerprints were made for.
    """

    def __init__(self, threshold: float, window: int = WINDOW):
        self.threshold = threshold
        self.window = window
        self.kept = 0
        # Pages of zeros cost no memory before they are written to.
        self._minima = np.zeros((window, MINIMA), np.uint16)
        self._slots = np.zeros(_SLOTS, np.uint32)

    def match(self, found: Fingerprint) -> float:
        """The estimated Jaccard index with the most similar one, 0 if it is below the threshold."""
        slots = self._slots[found.places]  # numbers of documents, from 1; 0 is an empty slot
        numbers = slots[slots > max(0, self.kept - self.window)].astype(np.int64) - 1
        if len(numbers) == 0:
            return 0.0
        agree = (self._minima[numbers % self.window] == found.minima).mean(axis=1)
        best = float(agree.max())
        return best if best >= self.threshold else 0.0

    def add(self, found: Fingerprint) -> None:
        if len(found.minima):
            self._minima[self.kept % self.window] = found.minima
            self.kept += 1
            self._slots[found.places] = self.kept
