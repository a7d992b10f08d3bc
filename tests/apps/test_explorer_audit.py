"""Audit: chosen parts are asked, their verdicts shown, and the files are those of the command."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from apps.audit.report import HEADINGS
from tests.apps.test_explorer import go


@pytest.fixture
def page(repository: Path) -> AppTest:
    app = AppTest.from_file(str(repository / "apps" / "explorer.py"), default_timeout=300)
    return go(app.run(), "audit")


def ask(page: AppTest, *parts: str) -> AppTest:
    page.pills(key="audit_parts").set_value(list(parts))
    next(button for button in page.button if button.label == "Audit it").click().run()
    assert not page.exception
    return page


def test_the_parts_that_were_chosen_answer(page: AppTest) -> None:
    assert not page.get("download_button")
    ask(page, "identity", "purpose", "reproduce")
    made = page.session_state[next(k for k in page.session_state if k.startswith("audit-"))]
    assert [section.name for section in made.report.sections] == [
        "identity", "purpose", "reproduce",
    ]  # fmt: skip
    shown = {text.value for text in page.text}
    assert made.report.findings
    assert all(f"• {finding.sentence}" in shown for finding in made.report.findings)
    assert b"<!doctype html>" in made.page
    assert json.loads(made.twin)["name"] == "stories"
    assert len(page.get("download_button")) == 3
    # Another model has another audit.
    page.selectbox(key="model").set_value("induction").run()
    assert not page.exception
    assert not page.get("download_button")


def test_headings_are_those_of_the_report(repository: Path) -> None:
    tree = ast.parse((repository / "apps" / "views" / "audit.py").read_text("utf-8"))
    (kinds,) = [
        ast.literal_eval(line.value)
        for line in tree.body
        if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "_KINDS"
    ]
    assert kinds == HEADINGS
