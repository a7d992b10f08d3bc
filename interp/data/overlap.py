"""Texts that stand in other texts too: word for word, nearly, or in long runs of words.

A model is only measured on what it has not read. What it has read may come as the same text, as a
near copy (see `interp.data.duplicates`), or as a passage within a longer text, which shares runs of
13 words with it (Brown et al. 2020, appendix C).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from interp.data.duplicates import NearIndex, fingerprint
from interp.data.words import Words

NEAR = 0.7
"""The least share of runs of five words that near copies have in common (the Jaccard index)."""
RUN = 13
"""Words in a row that two texts hardly share by chance."""


@dataclass(frozen=True)
class Copies:
    """Of each text, what of it stands in others.

    Attributes:
        exact: [text], whether one of them is the same, letter for letter.
        near: [text], the estimated Jaccard index with the most similar of them; 0 if it is below
            `NEAR`. An exact copy has 1, if it has words.
        runs: [text], the share of its runs of 13 words that stand in some of them. A shorter text
            is one run.
    """

    exact: NDArray[np.bool_]
    near: NDArray[np.float64]
    runs: NDArray[np.float64]

    @property
    def copied(self) -> NDArray[np.bool_]:
        """[text], whether it is a copy: exact, near, or at least half of its runs."""
        found: NDArray[np.bool_] = self.exact | (self.near > 0) | (self.runs >= 0.5)
        return found


def copies(texts: Sequence[str], others: Sequence[str]) -> Copies:
    """What of texts stands in others."""
    known, index = set(), NearIndex(NEAR, window=max(1, len(others)))
    for text in others:
        found = fingerprint(text, NEAR)
        known.add(found.exact)
        index.add(found)
    runs = [Words(text).grams(RUN) for text in others]
    every = np.unique(np.concatenate([np.zeros(0, np.uint64), *runs]))
    prints = [fingerprint(text, NEAR) for text in texts]
    mine = [Words(text).grams(RUN) for text in texts]
    return Copies(
        np.array([one.exact in known for one in prints], bool),
        np.array([index.match(one) if len(one.minima) else 0.0 for one in prints], np.float64),
        np.array([np.isin(one, every).mean() if len(one) else 0.0 for one in mine], np.float64),
    )


def repeats(texts: Sequence[str]) -> Copies:
    """What of each text stands in those before it."""
    known: set[int] = set()
    index = NearIndex(NEAR, window=max(1, len(texts)))
    every: set[int] = set()
    exact, near, runs = [], [], []
    for text in texts:
        found, mine = fingerprint(text, NEAR), Words(text).grams(RUN).tolist()
        exact.append(found.exact in known)
        near.append(index.match(found) if len(found.minima) else 0.0)
        runs.append(sum(run in every for run in mine) / len(mine) if mine else 0.0)
        known.add(found.exact)
        index.add(found)
        every.update(mine)
    return Copies(np.array(exact, bool), np.array(near, np.float64), np.array(runs, np.float64))
