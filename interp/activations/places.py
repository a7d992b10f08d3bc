"""Which tokens are read: each row of a harvest is a token, or the mean of a run of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from interp.activations.texts import Side
from interp.data.alignment import Span, align
from interp.errors import InputError

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Places:
    """Rows to be read: row i is the mean over the tokens `start[i]` to before `stop[i]` of a text.

    A row of one token is that token's activation, to the bit.

    Attributes:
        text: which text each row is of, [row].
        start, stop: its tokens, counted from the start of the text, special tokens included.
    """

    text: Ints
    start: Ints
    stop: Ints

    @classmethod
    def of(cls, rows: Sequence[Sequence[int | tuple[int, int]]]) -> Places:
        """For each text its rows: positions, or pairs of a first and a last + 1 position."""
        found = [(i, place) for i, places in enumerate(rows) for place in places]
        pairs = [p if isinstance(p, tuple) else (int(p), int(p) + 1) for _, p in found]
        text = np.array([i for i, _ in found], np.int64)
        start, stop = np.array(pairs, np.int64).reshape(-1, 2).T
        return cls(text, start, stop)

    @classmethod
    def tokens(cls, side: Side) -> Places:
        """A row for every token of every text, special tokens left out."""
        if side.offsets is None:
            return cls.of([range(len(row)) for row in side.tokens])
        return cls.of([[i for i, o in enumerate(row) if o is not None] for row in side.offsets])

    @classmethod
    def whole(cls, side: Side) -> Places:
        """A row for each text, over all its tokens from the first to the last that is not special.

        `whole(side).first()` is the first token of each text, `.last()` the last.

        Raises:
            InputError: a text has special tokens only.
        """
        if side.offsets is None:
            return cls.of([[(0, len(row))] for row in side.tokens])
        rows = []
        for i, row in enumerate(side.offsets):
            real = [place for place, offset in enumerate(row) if offset is not None]
            if not real:
                raise InputError(f"Text {i} has nothing but special tokens; leave it out.")
            rows.append([(real[0], real[-1] + 1)])
        return cls.of(rows)

    @classmethod
    def words(cls, side: Side, spans: Sequence[Sequence[Span]]) -> tuple[Places, Ints]:
        """A row for each word of each text, over its tokens (see `interp.data.alignment.align`).

        Args:
            spans: first and last + 1 character of the words of each text.

        Returns:
            The rows, and which of all words (counted through all texts) each is: a word without a
            token, because the text was cut before it, has no row.

        Raises:
            InputError: it is not known where the tokens stand.
        """
        if side.offsets is None:
            raise InputError(
                "It is not known where the tokens of these texts stand: they were given as ids, or "
                "the tokenizer is a slow one. Encode them with a fast tokenizer."
            )
        if len(spans) != len(side):
            raise InputError(f"There are words of {len(spans)} texts, and {len(side)} texts.")
        found = [align(words, row) for words, row in zip(spans, side.offsets, strict=True)]
        known = [pair is not None for words in found for pair in words]
        return cls.of([[pair for pair in words if pair] for words in found]), np.flatnonzero(known)

    def first(self) -> Places:
        """The first token of each row alone."""
        return Places(self.text, self.start, self.start + 1)

    def last(self) -> Places:
        """The last token of each row alone."""
        return Places(self.text, self.stop - 1, self.stop)

    def __len__(self) -> int:
        return len(self.text)

    def __getitem__(self, rows: Ints | slice) -> Places:
        return Places(self.text[rows], self.start[rows], self.stop[rows])

    def check(self, side: Side) -> None:
        """That every row lies in its text.

        Raises:
            InputError: names the first row that does not.
        """
        if not len(self):
            raise InputError("There is nothing to read: no row is asked for.")
        known = (self.text >= 0) & (self.text < len(side))
        there = side.lengths[np.where(known, self.text, 0)]
        fits = known & (self.start >= 0) & (self.start < self.stop) & (self.stop <= there)
        if not fits.all():
            i = int(np.flatnonzero(~fits)[0])
            size = f"has {there[i]} tokens" if known[i] else f"is none of the {len(side)}"
            raise InputError(
                f"Row {i} asks for the tokens {self.start[i]} to before {self.stop[i]} of text "
                f"{self.text[i]}, which {size}."
            )

    def to_frame(self) -> pd.DataFrame:
        """Columns `text`, `start`, `stop`."""
        return pd.DataFrame({"text": self.text, "start": self.start, "stop": self.stop})
