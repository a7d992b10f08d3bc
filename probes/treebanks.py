"""The treebank that an analysis is asked about: by its folder, or by its name among all sets."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from interp.data.registry import MIRROR
from interp.errors import InputError


def treebank_folder(data: str | Path) -> Path:
    """The folder of a set.

    Args:
        data: a folder, or a name in the folder that the environment's `INTERP_DATA` names.

    Raises:
        InputError: there is no such folder.
    """
    mirror = Path(os.environ.get(MIRROR, "."))
    folder = next((path for path in (Path(data), mirror / data) if path.is_dir()), None)
    if folder is None:
        raise InputError(
            f"There is no treebank {str(data)!r}. Give its folder, or name with {MIRROR} the "
            "folder in which it lies."
        )
    return folder


def add_treebank_argument(parser: argparse.ArgumentParser) -> None:
    """The option `--data`."""
    parser.add_argument(
        "--data",
        default="ud_english_ewt",
        metavar="TREEBANK",
        help=f"its folder, or its name in the folder that {MIRROR} names",
    )
