"""What reads, changes, runs and prints notebooks."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from interp.errors import InputError
from notebooks.notebook import INJECTED, parameters, read, run, tidy, with_parameters
from notebooks.pages import assignment, page
from tests.figures.markup import read_html


def a_notebook(*cells: str, tag: str = "parameters") -> NotebookNode:
    made = [nbformat.v4.new_markdown_cell("# A <b>\n\nIt says *this*.")]
    made += [nbformat.v4.new_code_cell(source) for source in cells]
    made[1].metadata["tags"] = [tag]
    return nbformat.v4.new_notebook(cells=made)


def test_parameters_are_read_with_their_defaults() -> None:
    found = parameters(a_notebook('import os\nMODEL = "stories"\nN = 3  # so many'))
    assert found == {"MODEL": "'stories'", "N": "3"}


@pytest.mark.parametrize(
    "notebook", [a_notebook("N = 3", tag="other"), a_notebook("N = 3\nprint(N)")]
)
def test_a_cell_of_parameters_is_marked_and_does_nothing_else(notebook: NotebookNode) -> None:
    with pytest.raises(InputError):
        parameters(notebook)


def test_an_unknown_parameter_is_refused_and_the_others_named() -> None:
    with pytest.raises(InputError, match="no parameter M; it has N"):
        with_parameters(a_notebook("N = 3"), {"M": 4})


def test_what_is_no_notebook_is_refused(tmp_path: Path) -> None:
    for name, content in (("a", "text"), ("b", '{"cells": 3}'), ("c", None)):
        if content is not None:
            (tmp_path / name).write_text(content)
        with pytest.raises(InputError, match=name):
            read(tmp_path / name)


def test_tidy_keeps_the_text_alone_and_is_done_once() -> None:
    notebook = a_notebook("N = 3", "N")
    notebook.metadata["language_info"] = {"name": "python", "version": "3.99"}
    notebook.cells[2].update(
        execution_count=7, outputs=[nbformat.v4.new_output("stream", text="3\n")]
    )
    notebook.cells[2].metadata["scrolled"] = True
    kept = tidy(notebook)
    nbformat.validate(kept)
    assert "3.99" not in str(kept) and "scrolled" not in str(kept)
    assert kept.cells[1].metadata.tags == ["parameters"]
    assert kept.cells[2].outputs == [] and kept.cells[2].execution_count is None
    assert [c.source for c in kept.cells] == [c.source for c in notebook.cells]
    assert nbformat.writes(tidy(kept)) == nbformat.writes(kept)
    assert notebook.cells[2].execution_count == 7, "the one that was given is left alone"


def test_a_run_with_other_parameters_becomes_a_page(tmp_path: Path) -> None:
    notebook = a_notebook(
        "N = 3",
        "from pathlib import Path\nimport pandas as pd\nprint('<i>', N, Path.cwd().name)",
        "pd.DataFrame({'a': [N]})",
    )
    executed = run(with_parameters(notebook, {"N": 4}), tmp_path)
    assert executed.cells[2].metadata.tags == [INJECTED]
    assert executed.cells[3].outputs[0].text == f"<i> 4 {tmp_path.name}\n"
    assert not any(cell.get("outputs") for cell in notebook.cells)

    tree = read_html(page(executed).removeprefix("<!doctype html>"))
    assert tree.all("title")[0].text == tree.all("h1")[0].text == "A <b>"
    assert tree.all("em")[0].text == "this"
    assert [block.text for block in tree.all("pre", "out")] == [f"<i> 4 {tmp_path.name}\n"]
    assert not tree.all("i"), "what is printed is shown literally"
    assert tree.all("td")[0].text == "4"
    assert not tree.all("script") and not tree.all("link")


def test_parameters_of_the_command_line_are_values_or_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    assert assignment("N=3") == ("N", 3)
    assert assignment("MODEL=stories") == ("MODEL", "stories")
    assert assignment("PROMPT=a = b") == ("PROMPT", "a = b")
    assert assignment("MODEL=mine") == ("MODEL", str(tmp_path / "mine"))
    with pytest.raises(InputError, match="NAME=VALUE"):
        assignment("N")


def test_a_cell_that_fails_ends_the_run(tmp_path: Path) -> None:
    from nbclient.exceptions import CellExecutionError

    with pytest.raises(CellExecutionError, match="N is 3"):
        run(a_notebook("N = 3", "assert N == 4, f'N is {N}'"), tmp_path)
