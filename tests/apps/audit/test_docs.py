"""What the page on auditing shows works as it stands there."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from apps import cli
from apps.audit.audited import Audited
from apps.audit.gate import Thresholds
from apps.audit.parts import PARTS
from apps.audit.section import Section
from interp.zoo import sample, zoo_folder
from tests.apps.audit.killed import quick
from tests.test_readme import blocks


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "auditing.md").read_text(encoding="utf-8")


def test_the_commands_run(
    page: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: Callable[[str, Callable[[Audited], Section]], None],
) -> None:
    """With parts that answer at once: the parts have tests of their own."""
    for name in PARTS:
        answer(name, lambda audited, name=name: quick(name))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(zoo_folder("reviews"), "my-model")
    for side, file in (("held_out", "test.jsonl"), ("learnt", "train.jsonl")):
        examples = sample("reviews", side)
        assert examples is not None
        shutil.copyfile(examples, file)
    (toml,) = blocks(page, "toml")
    Path("thresholds.toml").write_text(toml[toml.index("[findings]") :])  # these have no measures
    commands = [line for block in blocks(page, "sh") for line in block.splitlines()]
    assert len(commands) >= 5
    for command in commands:
        assert cli.main(shlex.split(command)[1:]) == 0, command
    twin = json.loads(Path("audit-mine/audit.json").read_text("utf-8"))
    assert [section["name"] for section in twin["sections"]] == list(PARTS)


def test_the_thresholds_are_read(page: str, tmp_path: Path) -> None:
    (toml,) = blocks(page, "toml")
    (tmp_path / "thresholds.toml").write_text(toml)
    read = Thresholds.read(tmp_path / "thresholds.toml")
    assert len(read.measures) == 2
    assert read.most == {"risk": 0}
    assert len(read.allow) == 1


def test_every_part_has_its_line(page: str) -> None:
    told = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert [name for name in told if name in PARTS] == list(PARTS)
