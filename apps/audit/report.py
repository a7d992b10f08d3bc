"""All answers together: what the page, the JSON twin, the model card and the gate are made of."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from apps.audit.parts import PARTS
from apps.audit.recipe import Recipe
from apps.audit.section import Finding, Level, Section

FORMAT = "interp-audit/1"
HEADINGS: dict[Level, str] = {
    "risk": "What you must decide",
    "caution": "To be known",
    "fine": "Checked, and in order",
    "unknown": "Could not be measured",
}
"""Level -> what its findings ask of a reader, the most urgent first."""


@dataclass(frozen=True)
class Report:
    """An audit that has been made.

    Attributes:
        name: of the model.
        command: that makes it again.
        date: when it was made, UTC.
        recipe: what its figures depend on.
        sections: the answers, in the order of `PARTS`.
        checksums: part -> table -> SHA-256 of its file.
    """

    name: str
    command: str
    date: str
    recipe: Recipe
    sections: Sequence[Section]
    checksums: Mapping[str, Mapping[str, str]]

    @functools.cached_property
    def findings(self) -> list[Finding]:
        """The verdicts of all parts: by level, the weightiest first, then in the order of parts."""
        levels = get_args(Level)
        found = [finding for section in self.sections for finding in section.findings]
        return sorted(found, key=lambda finding: (levels.index(finding.level), -finding.weight))

    @functools.cached_property
    def measures(self) -> dict[str, float | None]:
        """`part.what` -> figure; None where it is no number."""
        return {
            f"{section.name}.{what}": _finite(value)
            for section in self.sections
            for what, value in section.measures.items()
        }

    @property
    def skipped(self) -> list[str]:
        """The parts that were not asked."""
        asked = {section.name for section in self.sections}
        return [name for name in PARTS if name not in asked]

    def to_dict(self) -> dict[str, Any]:
        """Plain values; `schema.json` describes them."""
        return {
            "format": FORMAT,
            "name": self.name,
            "command": self.command,
            "date": self.date,
            "recipe": dataclasses.asdict(self.recipe),
            "findings": [
                {"part": part_of(finding), **dataclasses.asdict(finding)}
                for finding in self.findings
            ],
            "measures": self.measures,
            "sections": [self._section(section) for section in self.sections],
            "skipped": self.skipped,
        }

    def _section(self, section: Section) -> dict[str, Any]:
        return {
            "name": section.name,
            "title": section.title,
            "text": list(section.text),
            "facts": {
                name: value if isinstance(value, str) else _finite(value)
                for name, value in section.facts.items()
            },
            "tables": {
                name: {
                    "file": f"tables/{section.name}.{name}.parquet",
                    "sha256": self.checksums[section.name][name],
                    "rows": len(frame),
                    "columns": [str(column) for column in frame.columns],
                }
                for name, frame in section.tables.items()
            },
            "pictures": list(section.pictures),
            "open": list(section.open),
            "seconds": section.seconds,
        }


def part_of(finding: Finding) -> str:
    """The part that a finding is of."""
    return finding.key.partition(".")[0]


def _finite(value: Any) -> float | int | None:
    """A number as JSON has it."""
    plain = value.item() if hasattr(value, "item") else value
    return plain if isinstance(plain, int) or math.isfinite(plain) else None
