"""`import interp` is light, and every public name is where the package says it is."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import interp

HEAVY = ["torch", "transformers", "transformer_lens", "streamlit", "pandas", "captum", "shap"]


def in_fresh_python(code: str) -> str:
    """What `code` prints in an interpreter that has imported nothing yet."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_import_brings_in_nothing_heavy() -> None:
    loaded = in_fresh_python("import sys, interp; print(*sys.modules)").split()
    assert "interp" in loaded
    assert not set(HEAVY) & set(loaded)


def test_listing_the_names_brings_in_nothing_heavy() -> None:
    loaded = in_fresh_python("import sys, interp; dir(interp); print(*sys.modules)").split()
    assert not set(HEAVY) & set(loaded)


def test_import_takes_no_time() -> None:
    code = "import time; t = time.perf_counter(); import interp; print(time.perf_counter() - t)"
    assert min(float(in_fresh_python(code)) for _ in range(3)) <= 0.3


@pytest.mark.parametrize("name", interp.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert hasattr(interp, name)
    assert name in dir(interp)


@pytest.mark.parametrize(("name", "home"), interp._HOME.items())
def test_a_public_name_is_the_object_of_its_home(name: str, home: str) -> None:
    assert getattr(interp, name) is getattr(import_module(home), name)


def test_type_checkers_are_told_the_same_homes(repository: Path) -> None:
    tree = ast.parse((repository / "interp" / "__init__.py").read_text(encoding="utf-8"))
    guarded = [
        statement
        for block in tree.body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
    ]
    told = {alias.name: imported.module for imported in guarded for alias in imported.names}
    assert told == interp._HOME
    assert set(told) < set(interp.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'attribution'"):
        _ = interp.attribution


def test_version_is_the_one_that_is_published(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert interp.__version__ == project["version"]
    changes = (repository / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## {interp.__version__}" in changes
