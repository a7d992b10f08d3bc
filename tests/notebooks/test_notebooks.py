"""Each notebook has the form of the house, and what it says is true when it runs."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from notebooks.notebook import notebooks, parameters, read, run, tidy

EACH = pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)

LARGEST = 400_000  # characters of one output: a page stays quick to open
GUARD = """\
import socket


def _refused(*address, **options):
    raise OSError(f"a notebook asked for the network: {address}")


socket.getaddrinfo = socket.create_connection = _refused
"""


def code(notebook: NotebookNode) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


@EACH
def test_a_notebook_is_tidy(path: Path) -> None:
    assert path.read_text("utf-8") == nbformat.writes(tidy(read(path))) + "\n", (
        "run `python -m notebooks.tidy`"
    )


@EACH
def test_it_begins_with_what_it_answers_for_whom_and_what_it_takes(path: Path) -> None:
    first, *rest = read(path).cells
    assert first.cell_type == "markdown" and first.source.startswith("# ")
    for word in ("**Question.**", "**For**", "**Takes**", "**Needs**"):
        assert word in first.source
    assert all(not cell.source.startswith("# ") for cell in rest if cell.cell_type == "markdown")


@EACH
def test_parameters_are_plain_and_explained(path: Path) -> None:
    notebook = read(path)
    found = parameters(notebook)
    assert found and all(name.isupper() for name in found)
    for line in code(notebook)[0].splitlines():
        assert "=" not in line or "#" in line, f"no comment says what this is: {line}"
    later = "\n".join(code(notebook)[1:])
    unused = [name for name in found if not re.search(rf"\b{name}\b", later)]
    assert not unused


@EACH
def test_it_checks_what_it_claims_and_names_no_place_of_one_machine(path: Path) -> None:
    nodes = list(ast.walk(ast.parse("\n".join(code(read(path))))))
    assert any(isinstance(node, ast.Assert) for node in nodes)
    later = {id(part) for n in nodes if isinstance(n, ast.JoinedStr) for part in n.values[1:]}
    texts = [n.value for n in nodes if isinstance(n, ast.Constant) and id(n) not in later]
    absolute = [t for t in texts if isinstance(t, str) and re.match(r"(/|~|[A-Z]:\\)\w", t)]
    assert not absolute


@EACH
def test_it_has_its_line_in_the_table(path: Path, repository: Path) -> None:
    table = (repository / "notebooks" / "README.md").read_text("utf-8")
    title = read(path).cells[0].source.partition("\n")[0].removeprefix("# ")
    assert f"[{title}]({path.name})" in table


@pytest.mark.slow
@EACH
def test_what_it_says_is_true(
    path: Path, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs to its end, with the data of the package alone and no network, and is quiet."""
    monkeypatch.delenv("INTERP_DATA", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    notebook = read(path)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(GUARD))
    executed = run(notebook, tmp_path)
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", f"noise: {output.text}"
            assert len(str(output)) < LARGEST, f"too large to be shown: {cell.source}"
            shown = str(output.get("data", output.get("text")))
            assert str(tmp_path) not in shown and str(repository) not in shown, (
                f"shows a place of this machine: {cell.source}"
            )
