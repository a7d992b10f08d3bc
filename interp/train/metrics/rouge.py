"""ROUGE-1, ROUGE-2 and ROUGE-L (Lin 2004, "ROUGE: a package for automatic evaluation of
summaries"): how many words, pairs of words, and words in the same order a summary shares with a
right one.

Words are runs of letters and digits in lower case, without stemming; scores are F1. A summary with
several right ones gets the best score among them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from interp.errors import InputError
from interp.train.metrics.interval import Floats, Measure, mean

KINDS = ("rouge1", "rouge2", "rougeL")
SIGNATURE = "f1|case:lower|stem:no"

_WORD = re.compile(r"[^\W_]+")


def rouge(
    summaries: Sequence[str], references: Sequence[Sequence[str]], *, seed: int = 0
) -> list[Measure]:
    """The mean F1 (0 to 1) over examples of each kind of ROUGE.

    Args:
        summaries: [n] what the system wrote.
        references: [n] the right summaries of each, one or several.

    Raises:
        InputError: nothing to measure, or a summary without a reference.
    """
    scores = rouge_each(summaries, references)
    return [mean(kind, scores[:, i], SIGNATURE, seed=seed) for i, kind in enumerate(KINDS)]


def rouge_each(summaries: Sequence[str], references: Sequence[Sequence[str]]) -> Floats:
    """The F1 of each summary, [n, kind] in the order of `KINDS`; see `rouge`."""
    if len(summaries) != len(references) or not all(references):
        raise InputError("Each summary needs at least one reference to be compared with.")
    scores = [
        np.max([rouge_scores(summary, reference) for reference in right], axis=0)
        for summary, right in zip(summaries, references, strict=True)
    ]
    return np.array(scores).reshape(-1, len(KINDS))


def rouge_scores(summary: str, reference: str) -> tuple[float, float, float]:
    """F1 of one summary against one reference, in the order of `KINDS`."""
    ours, theirs = words(summary), words(reference)
    common = longest_common_subsequence(ours, theirs)
    return (
        _ngram_f1(ours, theirs, 1),
        _ngram_f1(ours, theirs, 2),
        _f1(common, len(ours), len(theirs)),
    )


def words(text: str) -> list[str]:
    """The words that are compared."""
    return _WORD.findall(text.lower())


def longest_common_subsequence(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """Its length, for a whole row of the table at once in the bits of a number (Hyyrö 2004)."""
    places: dict[Hashable, int] = {}
    for place, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << place
    every = (1 << len(one)) - 1
    row = every  # a bit is 0 where the length grows
    for word in other:
        hits = row & places.get(word, 0)
        row = ((row + hits) | (row - hits)) & every
    return len(one) - row.bit_count()


def _ngram_f1(ours: list[str], theirs: list[str], n: int) -> float:
    one, other = _ngrams(ours, n), _ngrams(theirs, n)
    return _f1((one & other).total(), one.total(), other.total())


def _ngrams(words: list[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[i:] for i in range(n)), strict=False))


def _f1(common: int, ours: int, theirs: int) -> float:
    return 2 * common / (ours + theirs) if common else 0.0
