"""The small models trained here: a folder each, with weights, tokenizer and model card."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from interp.errors import InputError

# Name -> what it is, in a line. The folder beside this file has the same name.
ZOO: dict[str, str] = {
    "grokking": "one layer that adds modulo 113: remembers first, understands later; a suite",
    "induction": "two layers of attention that learn to copy, with a suite of checkpoints",
    "planted": "reviews with a shortcut that is known: a word that means nothing decides",
    "reviews": "encoder that judges sentences about films, pre-trained on masked words",
    "stories": "decoder, 2.6 million parameters, children's and classic English books",
    "stories-suite": "a smaller sibling of stories, with twelve checkpoints on the way",
    "translate-en-fr": "encoder-decoder that translates short English sentences into French",
}


def names() -> list[str]:
    """The names that `interp.load` knows, sorted."""
    return sorted(ZOO)


def zoo_folder(name: str) -> Path:
    """The checkpoint folder of a zoo model.

    Raises:
        InputError: there is no model of this name; the message lists those there are.
    """
    if name not in ZOO:
        raise InputError(f"The zoo has no model {name!r}. It has: {', '.join(names())}.")
    return Path(__file__).parent / name


Side = Literal["held_out", "learnt"]

# Models that learnt from the texts of another one.
_TEXTS_OF = {"stories-suite": "stories"}


def sample(name: str, side: Side) -> Path | None:
    """Some examples of a model's task that come with it, as JSON lines; None if none do.

    Args:
        side: `held_out` are some that it has not learnt from, `learnt` some that it has.
    """
    path = zoo_folder(_TEXTS_OF.get(name, name)) / f"{side}.jsonl"
    return path if path.is_file() else None
