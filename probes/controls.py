"""What a probe is held against: control tasks, words that it never saw, and simple guesses."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def control_labels(types: Sequence[str], shares: NDArray[np.float64], draw: int) -> Ints:
    """A control task (Hewitt & Liang 2019, arXiv 1909.03368): a random class for each word type,
    whatever the word means or stands next to. Only memory of the words can solve it.

    A type's class is a function of its name and the draw alone: the same in every part, for every
    model, in every process.

    Args:
        shares: how frequent each class is, [class]; classes are drawn as often.

    Returns:
        [word].
    """
    edges = np.cumsum(shares)
    uniform = {name: _uniform(f"control {draw} {name}") for name in set(types)}
    found = np.searchsorted(edges, [uniform[name] * edges[-1] for name in types], side="right")
    return np.minimum(found, len(shares) - 1).astype(np.int64)


def held_out(
    train: Sequence[str], test: Sequence[str], folds: int
) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Folds of names (of word types, or of lemmas), such that no name is on both sides of one: a
    probe must know the class of a name that it never saw from elsewhere than the name.

    A name's fold is a function of the name alone.

    Args:
        train, test: the name of each word that is fitted to and of each that is judged, [word].

    Returns:
        Of each fold that judges anything, which words are fitted to and which are judged; each
        word of the test part is judged once.
    """
    fold = {name: int(_uniform(f"fold {name}") * folds) for name in {*train, *test}}
    fitted, judged = (np.array([fold[name] for name in names], np.int64) for names in (train, test))
    return [(fitted != f, judged == f) for f in np.unique(judged)]


def majority(train: Sequence[str], words: int) -> list[str]:
    """The most frequent label of the part that is fitted to, for every word."""
    return [_most(Counter(train))] * words


def type_majority(
    train_types: Sequence[str], train: Sequence[str], types: Sequence[str]
) -> list[str]:
    """The most frequent label of each word's type; for a type that was not seen, the most frequent
    label of all types that occur once, which are most like it."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for name, label in zip(train_types, train, strict=True):
        counts[name][label] += 1
    best = {name: _most(count) for name, count in counts.items()}
    rare = Counter(best[name] for name, count in counts.items() if count.total() == 1)
    unseen = _most(rare or Counter(train))
    return [best.get(name, unseen) for name in types]


def _most(counts: Counter[str]) -> str:
    """Of equally frequent labels the first by name, so that order does not matter."""
    return min(counts, key=lambda label: (-counts[label], label))


def _uniform(name: str) -> float:
    """A number in [0, 1) that is a function of a name."""
    return int(hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:13], 16) / 16**13
