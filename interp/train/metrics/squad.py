"""Exact match and F1 of short answers, as in SQuAD (Rajpurkar et al. 2016, arXiv 1606.05250).

Answers are compared in lower case, without punctuation, articles and superfluous spaces; with
several right ones, the best comparison counts.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

import numpy as np

from interp.errors import InputError
from interp.train.metrics.interval import Floats, Measure, mean, proportion

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def squad(
    answers: Sequence[str], references: Sequence[Sequence[str]], *, seed: int = 0
) -> list[Measure]:
    """`exact_match` and `f1` (0 to 1).

    Args:
        answers: [n] what the system answered.
        references: [n] the right answers of each; none for a question that has no answer, which is
            answered rightly by an empty text.

    Raises:
        InputError: nothing to measure, or unequal numbers.
    """
    scores = squad_each(answers, references)
    return [
        proportion("exact_match", int(scores[:, 0].sum()), len(scores)),
        mean("f1", scores[:, 1], seed=seed),
    ]


def squad_each(answers: Sequence[str], references: Sequence[Sequence[str]]) -> Floats:
    """Exact match and F1 of each answer, [n, 2]; see `squad`."""
    if len(answers) != len(references):
        raise InputError(f"There are {len(answers)} answers to {len(references)} questions.")
    scores = [
        np.max([answer_scores(answer, reference) for reference in right or [""]], axis=0)
        for answer, right in zip(answers, references, strict=True)
    ]
    return np.array(scores).reshape(-1, 2)


def answer_scores(answer: str, reference: str) -> tuple[float, float]:
    """Exact match (0 or 1) and F1 of the words, of one answer against a right one."""
    ours, theirs = normalized(answer).split(), normalized(reference).split()
    if not ours or not theirs:
        return float(ours == theirs), float(ours == theirs)
    common = (Counter(ours) & Counter(theirs)).total()
    return float(ours == theirs), 2 * common / (len(ours) + len(theirs))


def normalized(answer: str) -> str:
    """An answer as it is compared."""
    text = _ARTICLES.sub(" ", answer.lower().translate(_PUNCTUATION))
    return " ".join(text.split())
