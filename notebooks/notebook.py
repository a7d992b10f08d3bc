"""A notebook as a file of the repository: its form, its parameters, its run.

The form is papermill's: the first cell of code has the tag `parameters` and gives each parameter a
default; other values go into a cell behind it. A notebook is kept without what it printed, since a
page can be made at any time (`notebooks.pages`) and a difference between two versions is then one
between their texts.
"""

from __future__ import annotations

import ast
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from interp.errors import InputError

FOLDER = Path(__file__).parent
PARAMETERS, INJECTED = "parameters", "injected-parameters"

_KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def notebooks() -> list[Path]:
    """The notebooks of this folder, in the order in which they are read."""
    return sorted(FOLDER.glob("*.ipynb"))


def read(path: str | Path) -> NotebookNode:
    """A notebook, checked against the format.

    Raises:
        InputError: there is no such file, or it holds no notebook.
    """
    try:
        notebook = nbformat.reads(Path(path).read_text("utf-8"), nbformat.NO_CONVERT)
        nbformat.validate(notebook)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, nbformat.ValidationError) as error:
        raise InputError(f"{path} is no notebook: {str(error).splitlines()[0]}") from error
    if notebook.nbformat != 4:
        raise InputError(f"{path} is in format {notebook.nbformat}; save it in format 4.")
    return notebook


def tidy(notebook: NotebookNode) -> NotebookNode:
    """A copy without outputs, counts and whatever an editor wrote into it; tags stay."""
    cells = []
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        kept = {
            "id": cell.id,
            "cell_type": cell.cell_type,
            "metadata": {"tags": tags} if tags else {},
            "source": cell.source.strip("\n"),
        }
        if cell.cell_type == "code":
            kept |= {"execution_count": None, "outputs": []}
        cells.append(NotebookNode(kept))
    metadata = {"kernelspec": _KERNEL, "language_info": {"name": "python"}}
    return nbformat.from_dict(
        {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    )


def parameters(notebook: NotebookNode) -> dict[str, str]:
    """The parameters with their defaults, as Python source.

    Raises:
        InputError: the first cell of code has not the tag, or holds more than assignments.
    """
    first = next((cell for cell in notebook.cells if cell.cell_type == "code"), None)
    if first is None or PARAMETERS not in first.metadata.get("tags", []):
        raise InputError(f"The first cell of code must have the tag `{PARAMETERS}`.")
    found = {}
    for line in ast.parse(first.source).body:
        if isinstance(line, ast.Import | ast.ImportFrom):
            continue
        if not isinstance(line, ast.Assign) or not isinstance(line.targets[0], ast.Name):
            raise InputError(
                f"The cell of parameters holds {ast.unparse(line)!r}; it may only import and "
                "assign."
            )
        found[line.targets[0].id] = ast.unparse(line.value)
    return found


def with_parameters(notebook: NotebookNode, values: Mapping[str, Any]) -> NotebookNode:
    """A copy that runs with other values of some parameters.

    Raises:
        InputError: a parameter that the notebook has not; see `parameters` for the rest.
    """
    known = parameters(notebook)
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InputError(
            f"The notebook has no parameter {', '.join(unknown)}; it has {', '.join(known)}."
        )
    changed = nbformat.from_dict(notebook)
    if values:
        source = "\n".join(f"{name} = {value!r}" for name, value in values.items())
        cell = nbformat.v4.new_code_cell(source, metadata={"tags": [INJECTED]}, id=INJECTED)
        place = next(i for i, old in enumerate(changed.cells) if old.cell_type == "code")
        changed.cells.insert(place + 1, cell)
    return changed


def run(notebook: NotebookNode, folder: str | Path, minutes: float = 30) -> NotebookNode:
    """A copy with what its cells print, from a new kernel that works in `folder`.

    Args:
        minutes: that one cell may take, so that what hangs ends.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed; the message shows it.
        nbclient.exceptions.CellTimeoutError: a cell took longer.
    """
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient

    executed = nbformat.from_dict(notebook)
    with tempfile.TemporaryDirectory() as own:
        client = NotebookClient(
            executed,
            AsyncKernelManager(
                kernel_name=_KERNEL["name"],
                # Sockets of the file system, where there are such, are out of others' reach.
                transport="ipc" if os.name == "posix" else "tcp",
                connection_file=str(Path(own) / "kernel.json"),
            ),
            timeout=round(60 * minutes),
            coalesce_streams=True,
            resources={"metadata": {"path": str(folder)}},
        )
        # Its history goes where the sockets are, and no debugger warns that it is not used.
        own_settings = {"IPYTHONDIR": own, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
        client.execute(cleanup_kc=True, env={**os.environ, **own_settings})
    return executed
