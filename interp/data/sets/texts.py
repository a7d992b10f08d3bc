"""Sets of plain text, for language models of characters."""

from __future__ import annotations

from pathlib import Path

from interp.data.records import Split
from interp.data.sets.files import lines, of_side, own_split, text


def tinyshakespeare(data: Path, split: Split) -> list[str]:
    """A megabyte of plays in one piece (Karpathy 2015, public domain): the first nine tenths are
    for training, the rest for testing, as is usual."""
    whole = text(data / "tinyshakespeare" / "input.txt")
    n = int(len(whole) * 0.9)
    return [own_split({"train": whole[:n], "test": whole[n:]}, split, "tinyshakespeare")]


def names(data: Path, split: Split) -> list[str]:
    """32,032 first names (Karpathy 2022, MIT), split by a hash of the name. None stands there
    twice."""
    every = list(dict.fromkeys(lines(data / "names" / "names.txt")))
    return of_side(every, every, split)
