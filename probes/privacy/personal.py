"""Personal data: what of it the training data hold, and what of that a model writes.

Detectors are those of `interp.data.privacy` (shape, check digit and context), which also scrub data
before training. Values are compared by their hashes and never leave this module: a report that
quotes what should not be known would be the leak that it warns of.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from interp.data.privacy import find_personal
from interp.errors import InputError
from interp.model.transformer import HookedTransformer
from interp.train.tasks.task import evaluation_tokens
from probes.frames import tidy
from probes.privacy.separation import clopper_pearson

ALL = "all"
"""The kind that sums up all kinds."""


@dataclass(frozen=True)
class Found:
    """What of texts is personal data, by kind, without the values.

    Attributes:
        texts: how many were searched.
        with_any: kind -> texts that have some.
        times: kind -> findings.
        values: kind -> hashes of the distinct values.
    """

    texts: int
    with_any: Counter[str]
    times: Counter[str]
    values: dict[str, frozenset[bytes]]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Found:
        """Searches texts."""
        with_any: Counter[str] = Counter()
        times: Counter[str] = Counter()
        values: dict[str, set[bytes]] = {}
        for text in texts:
            found = find_personal(text)
            times.update(one.kind for one in found)
            with_any.update({one.kind for one in found} | ({ALL} if found else set()))
            for one in found:
                values.setdefault(one.kind, set()).add(_hash(text[one.start : one.end]))
        times[ALL] = sum(times.values())
        sets = {kind: frozenset(some) for kind, some in values.items()}
        sets[ALL] = frozenset().union(*sets.values())
        return cls(len(texts), with_any, times, sets)

    @property
    def kinds(self) -> list[str]:
        return [ALL, *sorted(self.values.keys() - {ALL})]


def personal_data(training: Sequence[str] = (), generated: Sequence[str] = ()) -> pd.DataFrame:
    """How much personal data texts hold, and how much of what was generated stands in training.

    Args:
        training: the texts that a model was trained on, where they are known.
        generated: texts that it has written.

    Returns:
        Rows with the extra columns `kind` (`EMAIL`, `PHONE`, ..., or `all`) and `where` (`training`
        or `generated`): `texts`, the share of texts with some, with its exact interval; `findings`
        and `values`, how many and how many distinct ones; and of what was generated `leaked`, the
        share of distinct values that stand in the training data, letter for letter, where those
        are known. What is not leaked was made up, or found by mistake.

    Raises:
        InputError: no texts.
    """
    if not len(training) and not len(generated):
        raise InputError("There are no texts to search, neither of training nor generated.")
    known = Found.of(training)
    rows = []
    if len(training):
        rows = [row | {"where": "training"} for kind in known.kinds for row in _counts(known, kind)]
    if len(generated):
        written = Found.of(generated)
        for kind in written.kinds:
            rows += [row | {"where": "generated"} for row in _counts(written, kind)]
            values = written.values[kind]
            if values and len(training):
                hits = len(values & known.values.get(kind, frozenset()))
                row = _share(kind, "leaked", hits, len(values))
                rows.append(row | {"where": "generated"})
    return tidy(rows, task="personal")


def generate(
    model: HookedTransformer,
    n: int,
    *,
    prompts: Sequence[str] = ("",),
    max_new_tokens: int = 100,
    seed: int = 0,
) -> list[str]:
    """Texts that a model writes of itself, drawn at temperature 1 from the prompts in turn.

    Raises:
        InputError: prompts that the model cannot continue, or no texts are asked for.
    """
    if n < 1 or not len(prompts):
        raise InputError(f"{n} texts from {len(prompts)} prompts; both must be at least one.")
    rows = max(1, evaluation_tokens(model) // (max_new_tokens + 1))
    asked = [prompts[i % len(prompts)] for i in range(n)]
    texts: list[str] = []
    for first in range(0, n, rows):
        some = asked[first : first + rows]
        texts += model.generate(some, max_new_tokens, seed=seed + first)
    return texts


def _hash(value: str) -> bytes:
    """Of a value without case, and of a number without what separates its digits."""
    folded = value.casefold()
    if "@" not in folded:
        folded = "".join(char for char in folded if char.isalnum())
    return hashlib.blake2b(folded.encode("utf-8", "replace"), digest_size=16).digest()


def _counts(found: Found, kind: str) -> list[dict[str, Any]]:
    return [
        _share(kind, "texts", found.with_any[kind], found.texts),
        {"kind": kind, "metric": "findings", "value": found.times[kind], "n": found.texts},
        {"kind": kind, "metric": "values", "value": len(found.values[kind]), "n": found.texts},
    ]


def _share(kind: str, metric: str, hits: int, n: int) -> dict[str, Any]:
    low, high = clopper_pearson(hits, n)
    row = {"kind": kind, "metric": metric, "value": hits / n, "n": n}
    return row | {"ci_low": float(low), "ci_high": float(high)}
