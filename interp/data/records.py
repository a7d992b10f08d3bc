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
