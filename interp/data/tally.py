"""What cleaning did, counted: sums that may be taken over parts of a corpus and added up."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from interp.data.privacy import scrub
from interp.untrusted import record

EXAMPLES = 5
"""How many examples of each step are shown: the first ones."""

_SIDE, _SEEN = 90, 2400  # characters of an example, and of what is searched for personal data
_DIGITS = re.compile(r"\d(?:[\d .,/\-]*\d)?")


@dataclass
class StepTally:
    """One step's counts.

    Attributes:
        reasons: why documents were removed, and how often.
        examples: texts before and after, or before and why they were removed; without personal
            data, see `redacted`.
    """

    documents_in: int = 0
    documents_changed: int = 0
    documents_removed: int = 0
    characters_in: int = 0
    characters_out: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, str]] = field(default_factory=list)

    def changed(self, before: str, after: str) -> None:
        """One document that stays, as it was and as it is."""
        self._count(before, len(after))
        if before is not after and before != after:
            self.documents_changed += 1
            if len(self.examples) < EXAMPLES and (example := _difference(before, after)):
                self.examples.append(example)

    def removed(self, text: str, reason: str) -> None:
        """One document that goes."""
        self._count(text, 0)
        self.documents_removed += 1
        self.reasons[reason] += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append({"before": redacted(text), "removed": reason})

    def _count(self, before: str, characters_out: int) -> None:
        self.documents_in += 1
        self.characters_in += len(before)
        self.characters_out += characters_out


@dataclass
class Tally:
    """The counts of all steps, by name, in their order.

    Attributes:
        personal: personal data that was replaced, by type.
    """

    steps: dict[str, StepTally] = field(default_factory=dict)
    personal: Counter[str] = field(default_factory=Counter)

    def step(self, name: str) -> StepTally:
        return self.steps.setdefault(name, StepTally())

    def add(self, other: Tally) -> None:
        """Adds the counts of what came after."""
        self.personal.update(other.personal)
        for name, theirs in other.steps.items():
            ours = self.step(name)
            for count in vars(theirs):
                if isinstance(getattr(theirs, count), int):
                    setattr(ours, count, getattr(ours, count) + getattr(theirs, count))
            ours.reasons.update(theirs.reasons)
            ours.examples = (ours.examples + theirs.examples)[:EXAMPLES]

    def to_dict(self) -> dict[str, Any]:
        return {
            "steps": {
                name: {**vars(step), "reasons": dict(step.reasons)}
                for name, step in self.steps.items()
            },
            "personal": dict(self.personal),
        }

    @staticmethod
    def from_dict(values: dict[str, Any]) -> Tally:
        """What `to_dict` gave; any of `MALFORMED` for something else."""
        steps = {
            str(name): record(StepTally, {**step, "reasons": Counter(step["reasons"])})
            for name, step in values["steps"].items()
        }
        return record(Tally, {"steps": steps, "personal": Counter(values["personal"])})


def redacted(text: str) -> str:
    """The beginning of a text as it may be shown: personal data as types, long numbers as `#`.

    Numbers that are no personal data by their check digits may be so by a slip of the pen.
    """
    # A finding may lie across a cut, so the scrub sees much more than is shown.
    return _shown(scrub(text[:_SEEN])[0])


def _difference(before: str, after: str) -> dict[str, str]:
    """Both texts around the first place where they differ; empty if redaction hides it."""
    start = max(0, _first_difference(before, after) - _SEEN // 2)
    old, new = (scrub(text[start : start + _SEEN])[0] for text in (before, after))
    if old == new:
        return {}
    place = max(0, _first_difference(old, new) - _SIDE // 3)
    return {"before": _shown(old[place:]), "after": _shown(new[place:])}


def _first_difference(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))


def _shown(text: str) -> str:
    masked = _DIGITS.sub(lambda m: "#" * len(m[0]) if _long(m[0]) else m[0], text)
    return masked if len(masked) <= _SIDE else masked[:_SIDE] + "…"


def _long(number: str) -> bool:
    return sum(map(str.isdigit, number)) > 4
