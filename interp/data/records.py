"""What examples are before they become tokens: plain records of text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "dev", "test"]


@dataclass(frozen=True)
class Example:
    """A text with the name of its class."""

    text: str
    label: str


@dataclass(frozen=True)
class Pair:
    """A text and what should be made of it: a translation, a summary, a correction.

    Attributes:
        references: the right answers, the first of them the one that is preferred; at least one.
    """

    source: str
    references: tuple[str, ...]


@dataclass(frozen=True)
class Tagged:
    """The words of a sentence, each with its label."""

    words: tuple[str, ...]
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """A piece of a context: `context[start : start + len(text)] == text`."""

    text: str
    start: int


@dataclass(frozen=True)
class Question:
    """A question to a context.

    Attributes:
        answers: the right ones; empty where the context has none.
    """

    id: str
    question: str
    context: str
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Turn:
    """What somebody (`system`, `user`, `assistant`) says in a dialogue."""

    role: str
    text: str


Dialogue = tuple[Turn, ...]

ASSISTANT = "assistant"
"""The role whose turns are learnt."""


@dataclass(frozen=True)
class Preference:
    """Two answers to a dialogue, of which people prefer one."""

    prompt: Dialogue
    chosen: str
    rejected: str


@dataclass(frozen=True)
class MinimalPair:
    """Two sentences that differ in one thing, of which a model should find one more probable.

    Attributes:
        kind: what the difference is (a paradigm of BLiMP).
        field: what it belongs to, such as `morphology`.
    """

    good: str
    bad: str
    kind: str
    field: str


@dataclass(frozen=True)
class StereotypePair:
    """A sentence about a group, and the same about another, of which one fits a stereotype more.

    Attributes:
        more, less: the more and the less stereotypical one.
        direction: `stereo` where the disadvantaged group's sentence fits the stereotype,
            `antistereo` where it goes against it.
        kind: of the group, such as `religion`.
    """

    more: str
    less: str
    direction: Literal["stereo", "antistereo"]
    kind: str


@dataclass(frozen=True)
class Condition:
    """One of the sentences of an item of a syntactic test, in regions."""

    name: str
    regions: tuple[str, ...]


@dataclass(frozen=True)
class Suite:
    """A syntactic test: items of several conditions, and what a model should be surprised by.

    Attributes:
        formulas: predictions over the surprisals of regions, `(6;%match%) < (6;%mismatch%)`:
            regions count from 1.
        items: the conditions of each.
    """

    name: str
    formulas: tuple[str, ...]
    items: tuple[tuple[Condition, ...], ...]


@dataclass(frozen=True)
class Relation:
    """Facts of one kind, and the ways to say them.

    Attributes:
        kind: such as `factual`.
        patterns: sentences with `[X]` for the subject and `[Y]` for the object, which all say the
            same.
        facts: pairs of a subject and its object.
    """

    name: str
    kind: str
    patterns: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
