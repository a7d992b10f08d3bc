"""The blind baseline: tell members from non-members without ever asking the model.

Members and non-members that differ in date, source or topic are told apart by their words alone;
an attack on such units measures the difference of the texts, not what the model remembers (Das et
al. 2024, arXiv 2406.16201; Meeus et al. 2024, arXiv 2406.17975). So an attack counts only by how
far it is above this baseline, which knows the words, the pairs of neighbouring words (dates are
among them) and the length of each text.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from interp.data.order import stream_seed
from interp.data.words import Hashes, Words
from interp.errors import InputError
from probes.privacy.likelihood import Floats, Unit, text_of
from probes.privacy.separation import as_members

FOLDS = 5
GRAM = 13
"""Words in a row that two texts hardly share by chance (Brown et al. 2020, appendix C)."""


def blind_scores(units: Sequence[Unit], member: ArrayLike, *, seed: int = 0) -> Floats:
    """How much the words of each unit are those of members, [unit], from 0 to 1.

    Log-count ratios of naive Bayes over features that are there or not (Wang & Manning 2012), for
    each fold learnt from the others. A score is the rank within the fold, so that folds compare.

    Raises:
        InputError: fewer members or non-members than folds.
    """
    inside = as_members(member, len(units))
    least = min(int(inside.sum()), int((~inside).sum()))
    if least < FOLDS:
        raise InputError(
            f"The blind baseline needs {FOLDS} members and {FOLDS} non-members; there are {least}."
        )
    from scipy.sparse import csr_array
    from scipy.stats import rankdata

    rows = [_features(text_of(unit)) for unit in units]
    names, column = np.unique(np.concatenate(rows), return_inverse=True)
    starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    present = csr_array((np.ones(len(column)), column, starts), shape=(len(rows), len(names)))
    fold = _folds(inside, seed)
    scores = np.zeros(len(units))
    for i in range(FOLDS):
        learnt, here = fold != i, fold == i
        # Shares of texts, not of all features: on a side whose texts happen to be short every
        # feature is rarer, which must speak against long texts and not for them.
        yes, no = (
            np.log((present[learnt & side].sum(0) + 1) / ((learnt & side).sum() + 2))
            for side in (inside, ~inside)
        )
        scores[here] = rankdata(present[here] @ (yes - no)) / here.sum()
    return scores


def _features(text: str) -> Hashes:
    """Hashes of the words, of the pairs of neighbours, and of the length in powers of two."""
    words = Words(text)
    length = np.array([len(words).bit_length()], np.uint64)
    return np.unique(np.concatenate([words.grams(1), words.grams(2), length]))


def _folds(inside: np.ndarray, seed: int) -> np.ndarray:
    """A fold for each unit, members and non-members dealt out alike."""
    random = np.random.default_rng(stream_seed("blind", seed))
    fold = np.empty(len(inside), np.int64)
    for side in (inside, ~inside):
        fold[side] = random.permutation(int(side.sum())) % FOLDS
    return fold


def overlap(units: Sequence[Unit], member: ArrayLike, n: int = GRAM) -> Floats:
    """For each non-member the share of its runs of n words that stand in some member too.

    Near 0 for unrelated texts. What overlaps much is not a non-member in any useful sense.
    """
    inside = as_members(member, len(units))
    grams = [Words(text_of(unit)).grams(n) for unit in units]
    known = np.unique(np.concatenate([g for g, m in zip(grams, inside, strict=True) if m]))
    shares = [np.isin(g, known).mean() if len(g) else 0.0 for g in grams]
    found: Floats = np.array(shares)[~inside]
    return found
