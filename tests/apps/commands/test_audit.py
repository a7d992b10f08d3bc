"""`interp audit` as its users meet it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from apps import cli
from apps.audit import running
from apps.audit.audited import Audited
from apps.audit.section import Section

PARTS = ("--parts", "identity,reproduce")


def audit(*words: str) -> int:
    return cli.main(["audit", *words])


def test_it_writes_the_folder_and_says_what_was_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit("induction", *PARTS, "--out", str(tmp_path / "a")) == 0
    told = capsys.readouterr()
    assert "identity.weights" in told.out
    assert str(tmp_path / "a" / "audit.html") in told.out
    assert "[1/2] identity" in told.err
    assert {path.name for path in (tmp_path / "a").iterdir()} == {
        *("audit.html", "audit.json", "MODEL_CARD.md", "recipe.json", "sections", "tables")
    }


def test_as_json_each_line_is_a_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit("induction", *PARTS, "--json", "--out", str(tmp_path / "a")) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    twin = json.loads((tmp_path / "a" / "audit.json").read_text("utf-8"))
    assert lines == twin["findings"]


def test_the_command_on_the_page_makes_the_same_audit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shlex

    monkeypatch.chdir(tmp_path)
    assert audit("induction", *PARTS, "--seed", "3") == 0
    first = json.loads(Path("audit-induction/audit.json").read_text("utf-8"))
    words = shlex.split(first["command"])
    assert words[:3] == ["interp", "audit", "induction"]
    assert cli.main([*words[1:], "--out", "again"]) == 0
    second = json.loads(Path("again/audit.json").read_text("utf-8"))
    for twin in (first, second):
        for section in twin["sections"]:
            del section["seconds"], section["facts"]
        del twin["date"]
    assert second == first


def test_the_gate_decides_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gate = tmp_path / "thresholds.toml"
    for text, code in (("[findings]\nrisk = 0", 0), ("[findings]\nfine = 0", 1)):
        gate.write_text(text)
        words = ("induction", *PARTS, "--out", str(tmp_path / "a"), "--fail-on", str(gate))
        assert audit(*words) == code
    assert "not kept: identity.weights (fine)" in capsys.readouterr().err


def test_mistakes_are_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = tmp_path / "thresholds.toml"
    gate.write_text("[findings]\nrisky = 0")
    out = ("--out", str(tmp_path / "a"))
    assert audit("induction", *out, "--fail-on", str(gate)) == 2
    assert audit("induction", *out, "--parts", "privcy") == 2
    assert audit("no-such-model/", *out) == 2
    assert audit("induction", *out, "--since", str(tmp_path / "none")) == 2
    assert not (tmp_path / "a").exists()
    assert all(line.startswith("interp: ") for line in capsys.readouterr().err.splitlines())


def test_a_stop_keeps_what_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = running.ask

    def ask(name: str, audited: Audited) -> Section:
        if name == "reproduce":
            raise KeyboardInterrupt
        return asked(name, audited)

    words: Any = ("induction", *PARTS, "--out", str(tmp_path / "a"))
    monkeypatch.setattr(running, "ask", ask)
    assert audit(*words) == 130
    assert "the same command goes on" in capsys.readouterr().err
    monkeypatch.setattr(running, "ask", asked)
    assert audit(*words) == 0
    assert "identity: done before" in capsys.readouterr().err
