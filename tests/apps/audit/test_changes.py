"""What is new since an earlier audit."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from apps.audit.audited import Audited
from apps.audit.parts.changes import part
from apps.audit.recipe import Recipe
from apps.audit.report import Report
from apps.audit.running import write
from apps.audit.section import Finding, Level, Section
from interp import LoadError
from tests.apps.audit.made import report


def section(levels: dict[str, Level], **measures: float) -> Section:
    findings = tuple(Finding(f"privacy.{what}", level, what) for what, level in levels.items())
    return Section("privacy", "Privacy", findings=findings, measures=measures)


def compared(audited: Audited, folder: Path, before: Section, now: Section) -> Section:
    made: Report = report(before)
    write(dataclasses.replace(made, recipe=Recipe.of(audited)), folder)
    return part(dataclasses.replace(audited, since=folder, sections={"privacy": now}))


def test_without_an_earlier_audit_nothing_is_said(induction: Audited) -> None:
    found = part(induction)
    assert not found.findings
    assert not found.tables


def test_what_changed_is_listed_the_worst_first(induction: Audited, tmp_path: Path) -> None:
    before = section({"a": "fine", "b": "risk", "c": "caution", "same": "risk"}, x=1.0, gone=2.0)
    now = section({"a": "caution", "c": "risk", "d": "fine", "same": "risk"}, x=1.5, new=3.0)
    found = compared(induction, tmp_path, before, now)
    rows = found.tables["findings"].drop(columns="sentence").values.tolist()
    assert rows == [
        ["privacy.c", "other level", "caution", "risk"],
        ["privacy.a", "other level", "fine", "caution"],
        ["privacy.d", "new", "", "fine"],
        ["privacy.b", "gone", "risk", ""],
    ]
    measures = found.tables["measures"].set_index("measure")
    assert measures.loc["privacy.x"].tolist() == [1.0, 1.5, 0.5]
    assert measures["difference"].isna().to_dict() == {
        "privacy.gone": True,
        "privacy.new": True,
        "privacy.x": False,
    }
    (verdict,) = found.findings
    assert verdict.level == "caution"
    assert "2 verdicts became worse" in verdict.sentence
    assert found.measures["new_risks"] == 1
    assert found.facts["weights"] == "the same"


def test_the_same_answers_are_no_change(induction: Audited, tmp_path: Path) -> None:
    same = section({"a": "risk", "b": "unknown"}, x=1.0)
    found = compared(induction, tmp_path, same, same)
    assert found.tables["findings"].empty
    assert found.findings[0].level == "fine"
    assert found.measures["new_risks"] == 0


def test_parts_that_were_not_asked_now_are_not_gone(induction: Audited, tmp_path: Path) -> None:
    write(report(section({"a": "risk"}, x=1.0)), tmp_path)
    found = part(dataclasses.replace(induction, since=tmp_path))
    assert found.tables["findings"].empty
    assert found.tables["measures"].empty
    assert found.facts["weights"] == "other"


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"format": "interp-audit/1"}',
        '{"format": "interp-audit/1", "name": "x", "date": "", "recipe": {}, "findings": [1]}',
        '{"format": "interp-audit/1", "name": "x", "date": "", "recipe": {}, "findings": [],'
        ' "measures": {"a.b": "x"}}',
        '{"format": "interp-audit/1", "name": "x", "date": "", "recipe": {}, "findings": [],'
        f' "measures": {{"a.b": 1{"0" * 400}}}}}',
        '{"format": "interp-audit/1", "name": "x", "date": "", "recipe": 3, "findings": [],'
        ' "measures": {}}',
    ],
)
def test_a_file_that_is_no_audit_is_refused(induction: Audited, tmp_path: Path, text: str) -> None:
    (tmp_path / "audit.json").write_text(text)
    with pytest.raises(LoadError, match=r"audit\.json"):
        part(dataclasses.replace(induction, since=tmp_path))


def test_hostile_text_in_an_earlier_audit_is_text(induction: Audited, tmp_path: Path) -> None:
    before = {"key": "privacy.\ud800", "level": "<b>", "sentence": "\ud800"}
    values = {
        **{"format": "interp-audit/1", "name": "\ud800", "date": "", "recipe": {}},
        **{"findings": [before], "measures": {"privacy.x": None}},
    }
    (tmp_path / "audit.json").write_text(json.dumps(values))
    found = part(dataclasses.replace(induction, since=tmp_path, sections={"privacy": section({})}))
    assert found.tables["findings"]["key"].tolist() == ["privacy.?"]
