"""The rules of the house: imports go down only, and a file holds one idea."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Folder -> the other folders it may import. The files of the ground are open to all.
GROUND = {"interp.model", "interp.data", "interp.figures"}
SECOND = {"interp.pretrained", "interp.activations"}
MAY_IMPORT: dict[str, set[str]] = {
    "interp.errors": set(),
    "interp.atomic": set(),
    "interp.processes": set(),
    "interp.tokenizer": set(),
    "interp.untrusted": set(),
    "interp.model": set(),
    "interp.data": set(),
    "interp.figures": set(),
    "interp.pretrained": {"interp.model"},
    "interp.activations": {"interp.model", "interp.data"},
    "interp.explain": GROUND | SECOND,
    "interp.train": GROUND | SECOND,
    "interp.zoo": GROUND | SECOND | {"interp.train"},
}
THIRD = {"interp.explain", "interp.train", "interp.zoo"}
MAY_IMPORT["interp"] = GROUND | SECOND | THIRD  # the lazy door in interp/__init__.py
MAY_IMPORT["probes"] = MAY_IMPORT["interp"] | {"interp"}
MAY_IMPORT["apps"] = MAY_IMPORT["probes"] | {"probes"}
OURS = ("interp", "probes", "apps", "benchmarks", "notebooks", "tests")
OPEN_TO_ALL = {
    "interp.errors",
    "interp.atomic",
    "interp.processes",
    "interp.tokenizer",
    "interp.untrusted",
    "interp.__version__",
}

FILES = sorted(path for top in ("interp", "probes", "apps") for path in (ROOT / top).rglob("*.py"))
EACH_FILE = pytest.mark.parametrize(
    ("name", "path"),
    [pytest.param(name := str(path.relative_to(ROOT)), path, id=name) for path in FILES],
)


def folder_of(path: str) -> str:
    """`interp/model/tap.py` lives in `interp.model`, `apps/views/start.py` in `apps`."""
    parts = Path(path).with_suffix("").parts
    if parts[0] != "interp":
        return parts[0]
    return "interp" if parts[1] == "__init__" else f"interp.{parts[1]}"


def imported(source: str) -> set[str]:
    """Every dotted name of this repository that `source` imports, at whatever depth it does so."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] in OURS}


def broken_rules(path: str, source: str) -> set[str]:
    """The imports of a file at `path` that go sideways or up."""
    home = folder_of(path)
    allowed = MAY_IMPORT[home] | {home} | OPEN_TO_ALL
    return {
        name
        for name in imported(source)
        if not any(name == door or _inside(name, door) for door in allowed)
    }


def _inside(name: str, door: str) -> bool:
    # `interp` itself is the lazy door: it opens its own names, not every folder below it.
    if door == "interp":
        return name.startswith("interp.") and f"interp.{name.split('.')[1]}" not in MAY_IMPORT
    return name.startswith(f"{door}.")


@EACH_FILE
def test_imports_go_down_only(name: str, path: Path) -> None:
    assert not broken_rules(name, path.read_text(encoding="utf-8"))


@EACH_FILE
def test_a_file_holds_one_idea(name: str, path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= 400, f"{name} has {lines} lines: it holds more than one idea"


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("interp/model/tap.py", "from interp.explain import attribute"),
        ("interp/model/tap.py", "import interp.pretrained.load"),
        ("interp/model/tap.py", "from interp import load"),
        ("interp/model/tap.py", "import interp"),
        ("interp/pretrained/gpt2.py", "from interp import explain"),
        ("interp/figures/strip.py", "def f():\n    from interp.model.config import Shape"),
        ("interp/explain/scores.py", "from probes.atlas import atlas"),
        ("interp/explain/scores.py", "from apps import cli"),
        ("interp/data/clean.py", "import interp.modelling"),
        ("probes/atlas.py", "from apps.cli import main"),
        ("apps/cli.py", "from tests.conftest import ROOT"),
        ("apps/cli.py", "import benchmarks.hooks"),
        ("apps/cli.py", "from notebooks.notebook import read"),
    ],
)
def test_the_rule_notices(path: str, source: str) -> None:
    assert broken_rules(path, source)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("interp/model/tap.py", "from interp.errors import HookError\nimport torch"),
        ("interp/model/tap.py", "from interp.model import config"),
        ("interp/pretrained/folder.py", "from interp import __version__"),
        ("interp/pretrained/gpt2.py", "from interp.model.config import TransformerConfig"),
        ("interp/zoo/recipes/stories.py", "from interp.train.loop import train"),
        ("probes/atlas.py", "import interp\nfrom interp import load\nfrom interp.explain import x"),
        ("apps/views/start.py", "import interp\nfrom probes import atlas\nfrom apps.cli import x"),
    ],
)
def test_the_rule_lets_pass(path: str, source: str) -> None:
    assert not broken_rules(path, source)
