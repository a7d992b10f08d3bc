"""Which tokens say a word: words and tokens are both stretches of characters of one text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Span = tuple[int, int]


def align(words: Sequence[Span], offsets: Sequence[Span | None]) -> list[Span | None]:
    """The first and last + 1 token of each word.

    A token belongs to every word that it shares a character with: `don't` read as one token is
    both `do` and `n't`. The space that a token begins with belongs to no word.

    Args:
        words: first and last + 1 character of each word.
        offsets: the same of each token, in the order of the text; None for special tokens.

    Returns:
        A pair for each word; None where no token has a character of it (the tokenizer drops it,
        or the text was cut before it).
    """
    real = [(i, span) for i, span in enumerate(offsets) if span is not None and span[0] < span[1]]
    if not words or not real:
        return [None] * len(words)
    places = np.array([i for i, _ in real])
    starts, ends = np.array([span for _, span in real]).T
    begins, stops = np.array(words).T
    first = np.searchsorted(ends, begins, side="right")  # the first token that ends behind it
    last = np.searchsorted(starts, stops, side="left") - 1  # the last that starts before its end
    found = first <= last
    pairs = zip(places[first * found].tolist(), (places[last * found] + 1).tolist(), strict=True)
    return [pair if known else None for pair, known in zip(pairs, found.tolist(), strict=True)]
