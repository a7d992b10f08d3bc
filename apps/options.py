"""Options that several commands have: one name, one meaning, one place.

docs/command-line.md has the table of all names that more than one command knows, and a test holds
the commands to it.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from interp.data.readers import Reading


def add_model(parser: argparse.ArgumentParser, also: str = "") -> None:
    """The model, by position; `also` names what else may be given."""
    what = ("a zoo name", *([also] if also else []), "a model folder", "or a Hugging Face id")
    parser.add_argument("model", help=", ".join(what))


def add_json(parser: argparse.ArgumentParser, what: str = "one JSON object") -> None:
    """For programs that read the answer."""
    parser.add_argument("--json", action="store_true", help=f"print {what} instead of text")


def add_device(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--device", metavar="NAME", help="by default a GPU if there is one")


def add_reading(parser: argparse._ActionsContainer, document: str) -> None:
    """How files are read; `document` is the default."""
    parser.add_argument(
        "--column", default="text", metavar="NAME", help="of a table: its text, by name or number"
    )
    parser.add_argument(
        "--document",
        choices=("file", "document", "paragraph", "line"),
        default=document,
        help=f"what a document is in a text file ({document})",
    )


def reading(options: argparse.Namespace, keep: tuple[str, ...] = ()) -> Reading:
    """What `add_reading` asked for."""
    from interp.data.readers import Reading

    column = int(options.column) if options.column.isdecimal() else options.column
    return Reading(column, keep, options.document)
