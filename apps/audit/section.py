"""What a part of an audit says: sentences for everybody, and the numbers that they rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

Level = Literal["risk", "caution", "fine", "unknown"]
"""`risk`: somebody must decide before the model is used. `caution`: to be known by who uses it.
`fine`: it was checked, and is in order. `unknown`: it could not be measured, and why."""


@dataclass(frozen=True)
class Finding:
    """One verdict, in a sentence that a person who builds no models understands.

    Attributes:
        key: names it, `part.what`, in lower case; the same in every audit, so that audits compare.
        level: what it asks of the reader.
        sentence: the verdict, with its figure.
        evidence: names of the section's tables that it rests on.
        weight: the larger, the earlier among findings of one level.
    """

    key: str
    level: Level
    sentence: str
    evidence: tuple[str, ...] = ()
    weight: float = 0.0


@dataclass(frozen=True)
class Section:
    """The answer of one part.

    Attributes:
        name: of the part, as in `apps.audit.parts.PARTS`.
        title: its heading.
        text: paragraphs of plain text: what was asked, how, and how to read the answer.
        findings: its verdicts.
        facts: names and values without a table's shape.
        tables: name (lower case, underscores) -> tidy frame, rows in reading order; written as
            `PART.NAME.parquet`. Columns hold text, numbers or booleans.
        pictures: name -> trusted HTML of `interp.figures` (`figure_html`, strips); nothing else may
            be put here.
        measures: `what` -> number, for thresholds; called `PART.what` outside.
        open: what this part cannot conclude, a sentence each.
        seconds: that it took.
    """

    name: str
    title: str
    text: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    facts: Mapping[str, str | float | int] = field(default_factory=dict)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    pictures: Mapping[str, str] = field(default_factory=dict)
    measures: Mapping[str, float] = field(default_factory=dict)
    open: tuple[str, ...] = ()
    seconds: float = 0.0
