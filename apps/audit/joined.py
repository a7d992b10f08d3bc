"""A part whose question falls into several: their answers put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

from apps.audit.audited import Audited
from apps.audit.section import Finding, Section
from interp.errors import InterpError

Question = Callable[[Audited], Section]
"""Answers with a section whose title is that of the part's paragraph."""


def joined(
    name: str, title: str, text: Iterable[str], answers: Iterable[Section], opened: Iterable[str]
) -> Section:
    """One section from several: texts, findings and all else one behind the other.

    Args:
        text: paragraphs above those of the answers.
        opened: what the part leaves open, besides what the answers do.
    """
    found = list(answers)

    def every(field: str) -> tuple[str, ...]:
        return tuple(chain.from_iterable(getattr(one, field) for one in found))

    def merged(field: str) -> dict[str, Any]:
        return {key: value for one in found for key, value in getattr(one, field).items()}

    return Section(
        name,
        title,
        text=(*text, *every("text")),
        findings=tuple(chain.from_iterable(one.findings for one in found)),
        facts=merged("facts"),
        tables=merged("tables"),
        pictures=merged("pictures"),
        measures=merged("measures"),
        open=(*every("open"), *opened),
    )


def asked(key: str, about: str, question: Question, audited: Audited) -> Section:
    """The answer to a question, or that it is unknown, and why.

    Args:
        key: of the finding that says so.
        about: what would be known, to go on from "Not known: ".
    """
    try:
        return question(audited)
    except InterpError as error:
        return unknown(key, about, " ".join(str(error).split()))


def unknown(key: str, about: str, why: str) -> Section:
    """The answer that there is none.

    Args:
        key: of the finding.
        about: what is not known.
        why: and what to give, a sentence.
    """
    sentence = f"Not known: {about}. {why}"
    return Section("", "", findings=(Finding(key, "unknown", sentence),), open=(sentence,))
