"""The model card of an audit, in Markdown: what a reader of the model's folder must know first."""

from __future__ import annotations

import re
from collections.abc import Iterable

from apps.audit.report import HEADINGS, Report, part_of
from apps.audit.section import Section
from interp.figures.labels import literal, number

_SHOWN = ("purpose", "data", "performance")
_MOST_FACTS = 12
# What Markdown, as GitHub reads it, takes for more than itself: anywhere, in the addresses that it
# makes links of, and at the beginning of a line.
_MARKS = re.compile(
    r"[\\`*_\[\]<>#|~&$@]|:(?=//)|(?<=www)\.|^[-+=]|(?<=^\d)[.)]|(?<=^\d\d)[.)]", re.I
)


def card_markdown(report: Report) -> str:
    """The card as text; what others wrote is escaped, so that it shows as it is."""
    sections = {section.name: section for section in report.sections}
    blocks = [
        f"# {escaped(report.name)}",
        f"Audited {report.date} at depth {report.recipe.depth}, seed {report.recipe.seed}, with "
        f"weights of SHA-256 `{report.recipe.weights}`. `audit.html` has the whole of it, "
        "`audit.json` the same for programs.",
    ]
    for name in _SHOWN:
        if name in sections:
            blocks += _section(sections[name])
    blocks.append("## Verdicts")
    for level, heading in HEADINGS.items():
        found = [finding for finding in report.findings if finding.level == level]
        if found:
            blocks.append(f"### {heading}")
            blocks.append(_list(f"{escaped(f.sentence)} ({escaped(part_of(f))})" for f in found))
    left = [sentence for section in report.sections for sentence in section.open]
    if left:
        blocks += ["## What cannot be concluded", _list(map(escaped, dict.fromkeys(left)))]
    blocks += ["## How to get the same figures", f"    {literal(_one_line(report.command))}"]
    return "\n\n".join(blocks) + "\n"


def escaped(text: str) -> str:
    """Text on one line in which no character means anything to Markdown or HTML."""
    return _MARKS.sub(r"\\\g<0>", literal(_one_line(text)))


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _section(section: Section) -> list[str]:
    facts = [
        f"**{escaped(name)}**: " + escaped(value if isinstance(value, str) else number(value))
        for name, value in list(section.facts.items())[:_MOST_FACTS]
    ]
    return [
        f"## {escaped(section.title)}",
        *map(escaped, section.text),
        *([_list(facts)] if facts else []),
    ]


def _list(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)
