"""Single predictions, chosen by a rule that is stated before it is known what they show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from interp.data.order import stream_seed

Rules = dict[str, NDArray[np.int64]]
"""Name of a rule -> the examples that it may choose, its first choice first."""


def choose(rules: Mapping[str, Sequence[int] | NDArray[np.int64]]) -> Iterator[tuple[str, int]]:
    """For each rule the first of its examples that no rule before has chosen, if there is one."""
    taken: set[int] = set()
    for rule, order in rules.items():
        free = (int(i) for i in order if int(i) not in taken)
        if (one := next(free, None)) is not None:
            taken.add(one)
            yield rule, one


def by_confidence(
    confidence: NDArray[np.float64],
    right: NDArray[np.bool_],
    groups: Sequence[str] | None = None,
    *,
    random: int = 1,
    seed: int = 0,
) -> Rules:
    """Rules for answers that are right or wrong.

    Args:
        confidence: of each answer, [example].
        groups: the true class of each, for rules that look at each class by itself.
        random: how many are drawn.
    """
    surest = np.argsort(-confidence, kind="stable")
    wrong, good = surest[~right[surest]], surest[right[surest]]
    rules: Rules = {"surest error": wrong}
    names = np.array(groups if groups is not None else [""] * len(right))
    for name in dict.fromkeys(names.tolist()) if groups is not None else ():
        rules[f"surest error where {name} is right"] = wrong[names[wrong] == name]
        rules[f"surest right answer where {name} is right"] = good[names[good] == name]
    if groups is None:
        rules["surest right answer"] = good
    rules["least sure answer"] = surest[::-1]
    rules["median confidence"] = _from_the_middle(surest)
    return rules | _drawn(len(right), random, seed)


def by_score(
    scores: NDArray[np.float64], *, higher: bool = True, random: int = 1, seed: int = 0
) -> Rules:
    """Rules for answers that are better or worse, by the score of each."""
    worst = np.argsort(scores if higher else -scores, kind="stable")
    rules = {"worst": worst, "median": _from_the_middle(worst), "best": worst[::-1]}
    return rules | _drawn(len(scores), random, seed)


def _from_the_middle(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """The middle one, then its neighbours."""
    distance = np.abs(np.arange(len(order)) - (len(order) - 1) / 2)
    found: NDArray[np.int64] = order[np.argsort(distance, kind="stable")]
    return found


def _drawn(n: int, random: int, seed: int) -> Rules:
    order = np.random.default_rng(stream_seed("audit cases", seed)).permutation(n)
    names = ["drawn at random", *(f"drawn at random, {i}" for i in range(2, random + 1))]
    return dict.fromkeys(names[:random], order)
