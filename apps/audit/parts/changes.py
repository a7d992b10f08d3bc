"""What is new since the last audit."""

from __future__ import annotations

from typing import Any

import pandas as pd

from apps.audit.audited import Audited
from apps.audit.earlier import read_earlier
from apps.audit.recipe import Recipe
from apps.audit.section import Finding, Section
from interp.figures.labels import count

TITLE = "What is new since the last audit"
_WORSE = {"fine": 0, "unknown": 1, "caution": 2, "risk": 3}
_SAME = {
    "weights": "weights",
    "held_out": "held-out examples",
    "learnt": "learnt examples",
    "depth": "depth",
    "code": "code",
}


def part(audited: Audited) -> Section:
    """Findings and measures beside those of an earlier audit."""
    if audited.since is None:
        return Section(
            "changes",
            TITLE,
            text=("No earlier audit was named to compare with (the option --since).",),
        )
    before = read_earlier(audited.since)
    recipe = Recipe.of(audited)
    differs = recipe.differences(before["recipe"])
    findings = _findings(audited, before)
    measures = _measures(audited, before)
    return Section(
        "changes",
        TITLE,
        text=(
            "Findings are compared by their keys, measures by their names. Where the examples, the "
            "depth or the code are others, a difference may come from them and not from the "
            "model.",
        ),
        findings=_verdicts(findings, differs),
        facts={
            "compared with": f"the audit of {before['name']}, {before['date']}",
            **{label: _same(name in differs) for name, label in _SAME.items()},
        },
        tables={"findings": findings, "measures": measures},
        measures={
            "new_risks": float(((findings["now"] == "risk") & (findings["before"] != "risk")).sum())
        },
    )


def _findings(audited: Audited, before: dict[str, Any]) -> pd.DataFrame:
    """A row for each finding that is new, gone, or of another level; the worst first."""
    now = {f.key: f for section in audited.sections.values() for f in section.findings}
    then: dict[str, tuple[str, str]] = before["findings"]
    asked = set(audited.sections)
    rows = []
    for key in sorted(now.keys() | then.keys()):
        if key.partition(".")[0] not in asked:
            continue
        old_level, old_sentence = then.get(key, ("", ""))
        level, sentence = (now[key].level, now[key].sentence) if key in now else ("", "")
        if old_level == level:
            continue
        change = "new" if not old_level else "gone" if not level else "other level"
        rows.append((key, change, old_level, level, sentence or old_sentence))
    rows.sort(key=lambda row: (-_WORSE.get(row[3], -1), row[0]))
    return pd.DataFrame(rows, columns=["key", "change", "before", "now", "sentence"])


def _measures(audited: Audited, before: dict[str, Any]) -> pd.DataFrame:
    """A row for each measure of the parts that were asked now: before, now, and the difference."""
    now = {
        f"{section.name}.{what}": float(value)
        for section in audited.sections.values()
        for what, value in section.measures.items()
    }
    then = {
        name: value
        for name, value in before["measures"].items()
        if name.partition(".")[0] in audited.sections
    }
    nan = float("nan")
    names = sorted(now.keys() | then.keys())
    rows = [(name, then.get(name, nan), now.get(name, nan)) for name in names]
    frame = pd.DataFrame(rows, columns=["measure", "before", "now"])
    frame["difference"] = frame["now"] - frame["before"]
    return frame


def _verdicts(findings: pd.DataFrame, differs: list[str]) -> tuple[Finding, ...]:
    worse = [
        row
        for row in findings.itertuples()
        if _WORSE.get(row.now, -1) > max(1, _WORSE.get(row.before, 0))
    ]
    what = "Of the model" if "weights" in differs else "Of the same weights"
    if worse:
        names = ", ".join(row.key for row in worse[:5])
        return (
            Finding(
                "changes.worse",
                "caution",
                f"{what}, {count(len(worse), 'verdict')} became worse since the last audit: "
                f"{names}{' and others' if len(worse) > 5 else ''}.",
                ("findings",),
            ),
        )
    return (
        Finding(
            "changes.worse",
            "fine",
            f"{what}, no verdict became worse since the last audit.",
            ("findings", "measures"),
        ),
    )


def _same(differs: bool) -> str:
    return "other" if differs else "the same"
