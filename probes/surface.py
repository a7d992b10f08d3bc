"""Whether a model says the same of a text that is written otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from interp.train.metrics.interval import Measure, proportion
from probes.verdicts import Floats, Pieces, Verdicts

Edit = Callable[[Pieces], Pieces]


def _each(change: Callable[[str], str]) -> Edit:
    return lambda pieces: tuple(change(piece) for piece in pieces)


def _without_last_mark(pieces: Pieces) -> Pieces:
    text = " ".join(pieces).rstrip()
    return tuple(text.rstrip(".!?…。").rstrip().split(" ")) if text else pieces


EDITS: dict[str, Edit] = {
    "in capitals": _each(str.upper),
    "in small letters": _each(str.lower),
    "without its last mark": _without_last_mark,
    "said twice": lambda pieces: (*pieces, *pieces),
    "without its first word": lambda pieces: pieces[1:],
    "without its last word": lambda pieces: pieces[:-1],
}
"""What is done to words; the first four leave a text's meaning, and its length, case and marks are
no evidence."""

KEEPS_MEANING = tuple(EDITS)[:4]


def surface(
    asked: Verdicts, base: Floats, texts: int, random: np.random.Generator
) -> Iterator[tuple[str, str, Measure]]:
    """The edit, the answer that most texts change to, and the share of answers that change; beside
    it, as `a word taken out`, what a word less does at a random place.

    Args:
        base: what the model says of the texts as they are, [text, answer].
        texts: how many are changed at most.
    """
    chosen = sorted(random.permutation(len(base))[:texts].tolist())
    edits = {**EDITS, "a word taken out": partial(_without_one, random=random)}
    for name, edit in edits.items():
        variants = [(i, edit(asked.texts[i])) for i in chosen]
        variants = [(i, new) for i, new in variants if new and new != asked.texts[i]]
        if not variants:
            continue
        after = asked.probabilities(variants).argmax(1)
        changed = after != base[[i for i, _ in variants]].argmax(1)
        to = asked.name(int(np.bincount(after[changed]).argmax())) if changed.any() else ""
        yield name, to, proportion("changed", int(changed.sum()), len(changed))


def _without_one(pieces: Pieces, random: np.random.Generator) -> Pieces:
    at = int(random.integers(len(pieces)))
    return pieces[:at] + pieces[at + 1 :]
