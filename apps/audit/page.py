"""The audit as one page that opens anywhere, offline: verdicts first, then what they rest on."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from apps.audit.page_style import css
from apps.audit.page_tables import table_html, table_id, words
from apps.audit.report import HEADINGS, Report, part_of
from apps.audit.section import Finding, Level, Section
from interp.figures.labels import count, literal
from interp.figures.page import facts_html, page_html, paragraph_html

_MARKS: dict[Level, str] = {"risk": "▲", "caution": "●", "fine": "✓", "unknown": "?"}
_LABELS: dict[Level, str] = {
    "risk": "To decide",
    "caution": "To be known",
    "fine": "In order",
    "unknown": "Not measured",
}
_NOTHING: dict[Level, str] = {
    "risk": "Nothing was found that somebody must decide.",
    "caution": "Nothing was found that who uses it must know.",
    "fine": "Nothing that was checked is in order.",
    "unknown": "Everything that was asked could be measured.",
}
# Framework -> its heading -> the parts whose evidence belongs there.
_BELONGS: Mapping[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "NIST AI RMF 1.0": (
        ("MEASURE 2.1: test sets, metrics and tools are documented", ("data", "reproduce")),
        ("MEASURE 2.3: performance is measured", ("performance", "cases")),
        ("MEASURE 2.5: validity, and limits of generalising", ("performance", "limits")),
        (
            "MEASURE 2.9: the model is explained, validated and documented, and its output "
            "interpreted in context",
            ("purpose", "shortcuts", "explainers", "cases", "probes", "interventions"),
        ),
        ("MEASURE 2.10: privacy risk is examined", ("privacy",)),
        ("MEASURE 2.13: the measures themselves are examined", ("explainers", "probes")),
        ("MEASURE 3.1: risks are followed over time", ("changes",)),
    ),
    "EU AI Act, Annex IV": (
        ("1: general description, intended purpose, version", ("identity", "purpose")),
        ("2(d): data, where they come from and how they were made", ("data",)),
        ("2(g): validation and testing, metrics and logs", ("performance", "reproduce")),
        (
            "3: capabilities and limits, accuracy, foreseeable unintended outcomes",
            ("performance", "shortcuts", "privacy", "limits"),
        ),
        ("4: whether the metrics are appropriate", ("performance", "explainers")),
        ("6: changes over the lifecycle", ("changes",)),
    ),
}
_SIGNED = ("Audited by", "Reviewed by", "Decision, and on which conditions", "Date", "Signature")


def page_of(report: Report) -> str:
    """A complete page; text of data and models is escaped, and nothing in it runs or is fetched."""
    asked = {section.name for section in report.sections}
    return page_html(
        f"Audit of {report.name}",
        f"<style>{css()}</style>",
        _lead(report),
        _contents(report),
        _verdicts(report),
        *(_section(section, report.checksums[section.name]) for section in report.sections),
        _mapping(asked),
        _sign_off(),
    )


# -- the front -----------------------------------------------------------------------------------


def _lead(report: Report) -> str:
    counts = {level: sum(f.level == level for f in report.findings) for level in HEADINGS}
    said = (
        f"{count(len(report.findings), 'verdict')}: {counts['risk']} to decide, "
        f"{counts['caution']} to be known, {counts['fine']} in order, "
        f"{counts['unknown']} that could not be measured."
    )
    lines = [
        f"Made on {report.date} at depth {report.recipe.depth} with seed {report.recipe.seed}. "
        f"The weights begin with {report.recipe.weights[:12]} (SHA-256).",
        said,
    ]
    if report.skipped:
        lines.append(f"This is not the whole audit. Not asked: {', '.join(report.skipped)}.")
    return f'<div class="lead">{"".join(map(paragraph_html, lines))}</div>'


def _contents(report: Report) -> str:
    links = [("findings", "Verdicts")]
    links += [(f"part-{section.name}", section.title) for section in report.sections]
    links += [("mapping", "Where this evidence belongs"), ("sign-off", "Sign-off")]
    items = "".join(f'<li><a href="#{to}">{_text(title)}</a></li>' for to, title in links)
    return f'<nav aria-label="Contents"><ol class="contents">{items}</ol></nav>'


def _verdicts(report: Report) -> str:
    body = []
    for level, heading in HEADINGS.items():
        found = [finding for finding in report.findings if finding.level == level]
        body.append(f"<h3>{heading} ({len(found)})</h3>")
        if not found:
            body.append(paragraph_html(_NOTHING[level]))
            continue
        items = "".join(
            f"<li>{_mark(level)}{_text(f.sentence)} {_evidence(f, f'#part-{part_of(f)}')}</li>"
            for f in found
        )
        body.append(f'<ul class="verdicts {level}">{items}</ul>')
    return _block("findings", "Verdicts", *body)


def _mark(level: Level) -> str:
    return f'<span class="mark {level}" aria-hidden="true">{_MARKS[level]}</span>'


def _evidence(finding: Finding, part: str = "") -> str:
    """Links to a finding's part, if it is told, and to its tables."""
    name = part_of(finding)
    links = [f'<a href="{part}">{_text(name)}</a>'] if part else []
    links += [
        f'<a href="#{table_id(name, table)}">table {_text(words(table))}</a>'
        for table in finding.evidence
    ]
    return f'<span class="where">{", ".join(links)}</span>' if links else ""


# -- the parts -----------------------------------------------------------------------------------


def _section(section: Section, checksums: Mapping[str, str]) -> str:
    body = list(map(paragraph_html, section.text))
    if section.findings:
        items = "".join(
            f"<li>{_mark(f.level)}<strong>{_LABELS[f.level]}:</strong> {_text(f.sentence)} "
            f"{_evidence(f)}</li>"
            for f in section.findings
        )
        body.append(f'<ul class="verdicts">{items}</ul>')
    if section.facts:
        body.append(facts_html(section.facts))
    body += section.pictures.values()
    shown = {t for f in section.findings if f.level in ("risk", "caution") for t in f.evidence}
    shown |= set(list(section.tables)[:1])
    body += [
        table_html(section.name, name, frame, checksums[name], folded=name not in shown)
        for name, frame in section.tables.items()
    ]
    if section.open:
        left = "".join(f"<li>{_text(sentence)}</li>" for sentence in section.open)
        summary = f"What this part leaves open ({len(section.open)})"
        body.append(f'<details><summary>{summary}</summary><ul class="plain">{left}</ul></details>')
    return _block(f"part-{section.name}", section.title, *body)


# -- the end -------------------------------------------------------------------------------------


def _mapping(asked: set[str]) -> str:
    """Which parts are evidence under which heading of a framework."""
    body = [
        paragraph_html(
            "Two frameworks ask for files of this kind. The table says under which of their "
            "headings each part is evidence. It is no claim that the model conforms to either: "
            "that is judged by people, for a use, with more than this page."
        )
    ]
    for framework, headings in _BELONGS.items():
        rows = "".join(
            f'<tr><th scope="row">{_text(heading)}</th><td>'
            + ", ".join(
                f'<a href="#part-{name}">{name}</a>' if name in asked else f"{name} (not asked)"
                for name in parts
            )
            + "</td></tr>"
            for heading, parts in headings
        )
        body.append(
            f'<table class="mapping"><caption>{_text(framework)}</caption><thead><tr>'
            '<th scope="col">heading</th><th scope="col">evidence</th></tr></thead>'
            f"<tbody>{rows}</tbody></table>"
        )
    return _block("mapping", "Where this evidence belongs", *body)


def _sign_off() -> str:
    """Lines to be filled in by hand."""
    rows = "".join(f'<tr><th scope="row">{line}</th><td></td></tr>' for line in _SIGNED)
    return _block(
        "sign-off",
        "Sign-off",
        paragraph_html(
            "Nobody has signed this page yet. Whoever does says that they have read it, and what "
            "was decided."
        ),
        f'<table class="sign-off"><tbody>{rows}</tbody></table>',
    )


def _block(anchor: str, title: str, *body: str) -> str:
    return (
        f'<section id="{anchor}" aria-labelledby="{anchor}-title">'
        f'<h2 id="{anchor}-title">{_text(title)}</h2>{"".join(body)}</section>'
    )


def _text(text: str) -> str:
    return escape(literal(text))
