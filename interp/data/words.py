"""The words of a text as arrays: runs of n of them hashed at once, without a Python loop."""

from __future__ import annotations

import functools
import re

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

_BASE = 0x9E3779B97F4A7C15 | 1  # odd, so that it has an inverse modulo 2**64


class Words:
    """Case, punctuation and spacing folded away; the rest hashed by a polynomial modulo 2**64.

    The hash of any stretch is a difference of two prefix sums (Karp & Rabin 1987), then mixed. It
    is a pure function of the text: equal in every process and on every machine.

    Attributes:
        lengths: of the words, in bytes of UTF-8, [word].
    """

    def __init__(self, text: str):
        folded = re.sub(r"[\W_]+", " ", text.casefold()).strip().encode("utf-8", "replace")
        letters = np.frombuffer(folded, np.uint8)
        spaces = np.flatnonzero(letters == 32)
        self._starts = np.concatenate(([0], spaces + 1)) if folded else spaces
        self._ends = np.concatenate((spaces, [len(letters)])) if folded else spaces
        self._prefix = np.zeros(len(letters) + 1, np.uint64)
        np.cumsum((letters + np.uint64(1)) * _powers(len(letters))[0], out=self._prefix[1:])
        self.lengths = self._ends - self._starts

    def __len__(self) -> int:
        return len(self.lengths)

    def grams(self, n: int) -> Hashes:
        """The hashes of every n words in a row, [word - n + 1]; of all words, if they are fewer."""
        n = min(n, len(self))
        if n == 0:
            return np.zeros(0, np.uint64)
        starts, ends = self._starts[: len(self) - n + 1], self._ends[n - 1 :]
        inverse = _powers(int(starts[-1]) + 1)[1]
        return mix((self._prefix[ends] - self._prefix[starts]) * inverse[starts])


def mix(x: Hashes) -> Hashes:
    """The finaliser of SplitMix64 (Steele et al. 2014): every bit of x reaches every bit."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _powers(n: int) -> tuple[Hashes, Hashes]:
    """The base and its inverse to the powers 0 ... n - 1; computed in steps of doubled length."""
    base, inverse = _power_table(max(12, (n - 1).bit_length()))
    return base[:n], inverse[:n]


@functools.lru_cache(maxsize=2)
def _power_table(bits: int) -> tuple[Hashes, Hashes]:
    def table(base: int) -> Hashes:
        factors = np.full(1 << bits, base, np.uint64)
        factors[0] = 1
        return np.cumprod(factors, dtype=np.uint64)

    return table(_BASE), table(pow(_BASE, -1, 1 << 64))
