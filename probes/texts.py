"""The texts of any data set, for analyses that need no more than text."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from interp.data.order import stream_seed
from interp.data.readers import read_documents
from interp.data.records import Preference, Turn
from interp.data.sets import SETS, read_set
from interp.errors import InputError


def text_of(record: Any) -> str:
    """The text of a record of `interp.data.records`, of which it is the first one where there are
    several; of a dialogue, all that is said.

    Raises:
        InputError: it has none.
    """
    if isinstance(record, str):
        return record
    for name in ("text", "source", "question", "good", "more"):
        if isinstance(found := getattr(record, name, None), str):
            return found
    if isinstance(words := getattr(record, "words", None), tuple):
        return " ".join(words)
    if isinstance(record, Preference):
        record = record.prompt
    if isinstance(record, tuple) and record and all(isinstance(turn, Turn) for turn in record):
        return "\n".join(turn.text for turn in record)
    raise InputError(f"A {type(record).__name__} is no text; choose another data set.")


def all_text(record: Any) -> str:
    """Every text that a record holds, a line each."""
    if isinstance(record, str):
        return record
    if dataclasses.is_dataclass(record):
        record = [getattr(record, field.name) for field in dataclasses.fields(record)]
    if not isinstance(record, (list, tuple)):
        return ""
    return "\n".join(filter(None, map(all_text, record)))


def add_text_options(parser: argparse.ArgumentParser) -> None:
    """Options for texts: files, or a public set, and how many of them."""
    parser.add_argument("--files", nargs="+", type=Path, metavar="FILE", help="texts of any format")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="of data sets, for --set")
    parser.add_argument("--set", choices=SETS, metavar="NAME", help="a public data set")
    parser.add_argument("--split", default="test", help="of the set (default: test)")
    parser.add_argument("--sample", type=int, default=100, metavar="N", help="so many texts (100)")
    parser.add_argument("--seed", type=int, default=0, help="of all draws")


def records_of(options: argparse.Namespace) -> list[Any]:
    """What these options ask for.

    Raises:
        InputError: neither files nor a set, both, or none with a text.
    """
    if (options.files is None) == (options.set is None):
        raise InputError("Give texts as --files, or name a set by --set and --data.")
    if options.files is not None:
        every: Sequence[Any] = [document.text for document in read_documents(options.files)]
    elif options.data is None:
        raise InputError("--set needs --data, the folder of data sets.")
    else:
        every = read_set(options.set, options.data, options.split)
    every = [record for record in every if text_of(record).strip()]
    if not every:
        raise InputError("There is no text in what was given.")
    if options.sample < 1:
        raise InputError(f"--sample is {options.sample}; it must be positive.")
    if len(every) <= options.sample:
        return list(every)
    random = np.random.default_rng(stream_seed("texts", options.seed))
    return [every[i] for i in sorted(random.permutation(len(every))[: options.sample].tolist())]
