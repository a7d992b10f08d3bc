"""Rows of a data set of the Hugging Face `datasets` package, where that is installed."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from interp.errors import InputError, LoadError


def is_saved(path: Path) -> bool:
    """Whether a folder was written by `datasets`' `save_to_disk`."""
    return (path / "dataset_info.json").is_file() or (path / "dataset_dict.json").is_file()


def hub_rows(name: str, keep: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
    """The rows of a saved folder, or of `NAME[:CONFIGURATION][:SPLIT]` on the hub, streamed.

    A data set of several splits gives them one after the other, the split in the row's `split`
    where `keep` names it.

    Raises:
        InputError: the package is not installed.
        LoadError: the data set cannot be had.
    """
    try:
        datasets = importlib.import_module("datasets")
    except ImportError as error:
        raise InputError(
            f"{name} is read with Hugging Face's datasets. Install the extra: "
            "pip install 'interp[datasets]'."
        ) from error
    try:
        if Path(name).is_dir():
            loaded = datasets.load_from_disk(name)
        else:
            name, *chosen = name.split(":")
            split = chosen.pop() if chosen else None
            loaded = datasets.load_dataset(name, *chosen, split=split, streaming=True)
        splits = loaded if isinstance(loaded, Mapping) else {"": loaded}
        for split, rows in splits.items():
            for row in rows:
                yield {**row, "split": split} if "split" in keep and "split" not in row else row
    except Exception as error:  # the package raises whatever its many storages do
        raise LoadError(f"The data set {name} cannot be read: {error}") from error
