"""The records of an audit as units of text: long ones in pieces, as many as the depth wants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from apps.audit.audited import Audited, Examples
from interp.data.order import stream_seed
from interp.data.records import Example, Pair
from interp.errors import InputError
from probes.privacy.likelihood import Unit
from probes.texts import text_of

_CHARACTERS = 3
"""A token of a trained tokenizer is rarely shorter on average, so that a piece fits the context."""


def texts_of(examples: Examples, model: Any) -> tuple[list[str], list[str]]:
    """Pieces of the texts of records that a model reads whole, and the document of each.

    A document is a record; where there are too few of them to be told apart (less than ten), each
    piece counts as one.
    """
    pieces: list[str] = []
    documents: list[str] = []
    for number, record in enumerate(examples.records):
        mine = cut(text_of(record), _CHARACTERS * int(model.cfg.n_ctx))
        pieces += mine
        documents += [f"record {number}"] * len(mine)
    if len(examples.records) < 10:
        documents = [f"piece {i}" for i in range(len(pieces))]
    return pieces, documents


def units_of(examples: Examples, model: Any) -> list[Unit]:
    """What the model's training could have held of records: see `probes.privacy.likelihood`.

    Raises:
        InputError: records that this model does not read.
    """
    records = examples.records
    kind = Pair if model.cfg.shape == "encoder_decoder" else Example
    if model.cfg.head == "classification" or model.cfg.shape == "encoder_decoder":
        found: list[Unit] = [record for record in records if isinstance(record, kind)]
        if len(found) < len(records):
            raise InputError(f"The examples are no {kind.__name__} records.")
        return found
    return list(texts_of(examples, model)[0])


def cut(text: str, most: int) -> list[str]:
    """A text in pieces of at most so many characters, cut at spaces where there are some; spaces
    at their ends, and pieces without a visible character, are left out."""
    pieces, start = [], 0
    while start < len(text):
        end = min(len(text), start + most)
        if end < len(text):
            space = max(text.rfind(mark, start + 1, end + 1) for mark in " \n\t")
            end = space if space > start else end
        pieces.append(text[start:end].strip())
        start = end
    return [piece for piece in pieces if piece]


def drawn(items: Sequence[Any], most: int | None, audited: Audited, name: str) -> list[int]:
    """Which items are looked at: all, or so many at random, in their order.

    Args:
        name: of the draw; draws of other names are others.
    """
    if most is None or len(items) <= most:
        return list(range(len(items)))
    random = np.random.default_rng(stream_seed(name, audited.seed))
    return sorted(random.permutation(len(items))[:most].tolist())
