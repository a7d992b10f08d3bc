"""An audit is kept part by part, goes on after a stop, and mixes with no other."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.audit.audited import Audited
from apps.audit.folder import AuditFolder
from apps.audit.parts import PARTS
from apps.audit.recipe import Recipe
from apps.audit.running import ask, chosen, run_audit, write
from apps.audit.section import Finding, Section
from interp import ConfigError, InputError, LoadError
from tests.apps.audit.killed import quick
from tests.apps.audit.made import report

Put = Callable[[str, Callable[[Audited], Section]], None]


def refuse(audited: Audited) -> Section:
    raise AssertionError("this part has answered before")


def test_parts_are_asked_in_the_order_of_the_page() -> None:
    assert chosen(None) == list(PARTS)
    assert chosen(["reproduce", "identity"]) == ["identity", "reproduce"]
    with pytest.raises(InputError, match="no part 'privcy'"):
        chosen(["privcy"])


def test_all_that_a_section_holds_comes_back(induction: Audited, tmp_path: Path) -> None:
    section = Section(
        "data",
        "Data",
        text=("a", "b"),
        findings=(Finding("data.x", "risk", "It is so.", ("t",), 0.5),),
        facts={"n": np.int64(3), "share": np.float32(0.5), "no": float("nan"), "name": "x"},  # type: ignore[dict-item]
        tables={
            "t": pd.DataFrame({"x": ["a", None], "y": [1.5, float("nan")], "z": [True, False]})
        },
        pictures={"p": "<p>x</p>"},
        measures={"m": np.float64(0.25)},
        open=("unknown",),
        seconds=1.5,
    )
    folder = AuditFolder.open(tmp_path / "audit", Recipe.of(induction))
    folder.save(section)
    back = folder.stored("data")
    assert back is not None
    pd.testing.assert_frame_equal(back.tables["t"], section.tables["t"])
    assert math.isnan(float(back.facts["no"]))
    unlike = {"tables": {}, "facts": {**section.facts, "no": 0.0}}
    assert dataclasses.replace(back, **{**unlike, "facts": {**back.facts, "no": 0.0}}) == (
        dataclasses.replace(section, **unlike)
    )


@given(st.data())
def test_no_damage_to_an_answer_is_more_than_an_error(
    induction: Audited, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Bytes of a stored answer are changed at will: it is refused, or it still makes a page."""
    folder = AuditFolder.open(tmp_path_factory.mktemp("a") / "audit", Recipe.of(induction))
    finding = Finding("data.x", "risk", "It is so.", ("t",), 0.5)
    facts, measures = {"n": 3, "name": "x"}, {"m": 0.25}
    frame = pd.DataFrame({"x": [1]})
    folder.save(Section("data", "D", ("a",), (finding,), facts, {"t": frame}, {}, measures, ("b",)))
    file = folder.section_file("data")
    text = json.dumps(json.loads(file.read_text("utf-8")))
    # From the beginning of one thing to the end of another.
    tokens = [found.span() for found in re.finditer(r'"[^"]*"|[\d.]+|[\[\]{},:]', text)]
    first = data.draw(st.integers(0, len(tokens) - 1))
    last = data.draw(st.integers(first, min(first + 3, len(tokens) - 1)))
    start, end = tokens[first][0], tokens[last][1]
    put = data.draw(
        st.sampled_from(
            ["", "[]", "{}", "null", "1", '"', ",", "NaN", "1e999", "1" * 400, "\\ud800"]
        )
    )
    file.write_text(text[:start] + put + text[end:], "utf-8")
    try:
        section = folder.stored("data")
    except LoadError:
        return
    if section is not None:
        write(report(section), folder.path)


def test_a_part_that_refuses_is_unknown_and_the_others_go_on(
    induction: Audited, tmp_path: Path, answer: Put
) -> None:
    def part(audited: Audited) -> Section:
        raise InputError("There is\nno text.")

    answer("data", part)
    answer("performance", lambda audited: quick("performance"))
    report = run_audit(induction, tmp_path / "a", parts=["data", "performance"])
    told = {finding.key: (finding.level, finding.sentence) for finding in report.findings}
    assert told["data.refused"] == ("unknown", "Could not be measured: There is no text.")
    assert told["performance.found"][0] == "fine"


def test_an_error_of_our_own_is_none_of_these(induction: Audited, answer: Put) -> None:
    answer("data", refuse)
    with pytest.raises(AssertionError):
        ask("data", induction)


def test_what_has_answered_is_not_asked_again(
    induction: Audited, tmp_path: Path, answer: Put
) -> None:
    out = tmp_path / "a"
    answer("data", lambda audited: quick("data"))
    first = run_audit(induction, out, parts=["data"])
    answer("data", refuse)
    answer("performance", lambda audited: quick("performance"))
    lines: list[str] = []
    second = run_audit(induction, out, parts=["data", "performance"], tell=lines.append)
    assert lines[0] == "[1/2] data: done before"
    assert [section.name for section in second.sections] == ["data", "performance"]
    assert second.checksums["data"] == first.checksums["data"]


def test_parts_see_the_answers_before_them(induction: Audited, tmp_path: Path, answer: Put) -> None:
    seen: list[list[str]] = []

    def part(audited: Audited) -> Section:
        seen.append(list(audited.sections))
        return quick("performance")

    answer("data", lambda audited: quick("data"))
    answer("performance", part)
    run_audit(induction, tmp_path / "a", parts=["performance", "data"])
    assert seen == [["data"]]


@pytest.mark.parametrize("damage", ["table", "json"])
def test_a_damaged_answer_is_noticed(
    induction: Audited, tmp_path: Path, answer: Put, damage: str
) -> None:
    out = tmp_path / "a"
    answer("data", lambda audited: quick("data"))
    run_audit(induction, out, parts=["data"])
    if damage == "table":
        (out / "tables" / "data.rows.parquet").write_bytes(b"PAR1")
        run_audit(induction, out, parts=["data"])  # asks again
        assert pd.read_parquet(out / "tables" / "data.rows.parquet")["x"].tolist() == [1, 2]
    else:
        for text in ("{", "[]", '{"tables": 1}', '{"tables": {}, "findings": [{}]}'):
            (out / "sections" / "data.json").write_text(text)
            with pytest.raises(LoadError, match=r"data\.json"):
                run_audit(induction, out, parts=["data"])


@pytest.mark.parametrize("change", ["depth", "seed"])
def test_a_folder_of_another_recipe_is_refused(
    induction: Audited, tmp_path: Path, answer: Put, change: str
) -> None:
    answer("data", lambda audited: quick("data"))
    run_audit(induction, tmp_path / "a", parts=["data"])
    value: Any = "full" if change == "depth" else 7
    other = dataclasses.replace(induction, **{change: value})
    with pytest.raises(ConfigError, match=f"differs in {change}"):
        run_audit(other, tmp_path / "a", parts=["data"])


def test_a_folder_of_something_else_is_left_alone(induction: Audited, tmp_path: Path) -> None:
    (tmp_path / "novel.txt").write_text("Once")
    with pytest.raises(ConfigError, match="holds other files"):
        run_audit(induction, tmp_path, parts=["limits"])
    assert [path.name for path in tmp_path.iterdir()] == ["novel.txt"]


def test_what_a_kill_left_half_written_is_taken_away(
    induction: Audited, tmp_path: Path, answer: Put
) -> None:
    out = tmp_path / "a"
    out.mkdir()
    (out / ".recipe.json-x0").write_text("half")
    answer("data", lambda audited: quick("data"))
    run_audit(induction, out, parts=["data"])
    half = (
        ".recipe.json-x0",
        "sections/.data.json-x1",
        "tables/.data.rows.parquet-y2",
        ".audit.html-z3",
    )
    for name in (*half, ".gitignore", "notes.md"):
        (out / name).write_text("half")
    run_audit(induction, out, parts=["data"])
    assert not any((out / name).exists() for name in half)
    assert (out / ".gitignore").exists() and (out / "notes.md").exists()


def test_two_audits_of_one_recipe_have_the_same_tables(induction: Audited, tmp_path: Path) -> None:
    parts = ["identity", "limits", "changes", "reproduce"]
    reports = [run_audit(induction, tmp_path / name, parts=parts) for name in "ab"]
    assert reports[0].checksums == reports[1].checksums
    for file in (tmp_path / "a" / "tables").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / "tables" / file.name).read_bytes()


def test_an_audit_that_was_killed_goes_on(
    induction: Audited,
    tmp_path: Path,
    answer: Put,
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "a"
    command = [sys.executable, "-m", "tests.apps.audit.killed", str(out)]
    with subprocess.Popen(
        command, cwd=repository, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ) as it:
        until = time.monotonic() + 120
        while not (out / "sections" / "data.json").is_file():
            assert it.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        it.send_signal(signal.SIGKILL)
    assert not (out / "audit.json").exists()
    assert not list(out.rglob(".*"))
    # Somebody may have changed the package since these tests began.
    code = json.loads((out / "recipe.json").read_text("utf-8"))["code"]
    monkeypatch.setattr("apps.audit.recipe.code_sha256", lambda: code)
    for name in ("purpose", "data"):
        answer(name, refuse)
    answer("performance", lambda audited: quick("performance"))
    run_audit(induction, out, parts=["purpose", "data", "performance"])
    twin = json.loads((out / "audit.json").read_text("utf-8"))
    assert [section["name"] for section in twin["sections"]] == ["purpose", "data", "performance"]
