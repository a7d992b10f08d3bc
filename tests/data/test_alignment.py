"""Words and tokens: a pair for each word that is exactly the tokens which share a character."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from interp.data.alignment import Span, align

CUTS = st.lists(st.integers(1, 4), min_size=1, max_size=12)


def spans(sizes: list[int], gaps: list[bool], start: int = 0) -> list[Span]:
    """Stretches one after the other; some are left out."""
    ends = list(itertools.accumulate(sizes, initial=start))
    pairs = list(itertools.pairwise(ends))
    return [pair for pair, kept in zip(pairs, itertools.cycle(gaps)) if kept]


@given(
    words=CUTS,
    tokens=CUTS,
    gaps=st.lists(st.booleans(), min_size=1, max_size=7),
    dropped=st.lists(st.booleans(), min_size=1, max_size=7),
    frame=st.booleans(),
)
def test_brute_force(
    words: list[int], tokens: list[int], gaps: list[bool], dropped: list[bool], frame: bool
) -> None:
    said, read = spans(words, gaps), spans(tokens, dropped)
    offsets: list[Span | None] = [None, *read, None] if frame else [*read]
    for (start, stop), found in zip(said, align(said, offsets), strict=True):
        shares = [i for i, o in enumerate(offsets) if o and o[0] < stop and o[1] > start]
        assert found == ((shares[0], shares[-1] + 1) if shares else None)


def test_a_token_of_two_words_and_bytes_of_one_character() -> None:
    # don't é: one token for two words; two tokens for one character; a lone space for none.
    offsets: list[Span | None] = [(0, 0), (0, 5), (5, 6), (6, 7), (6, 7), None]
    assert align([(0, 2), (2, 5), (6, 7), (9, 12)], offsets) == [(1, 2), (1, 2), (3, 5), None]
    assert align([], offsets) == [] and align([(0, 1)], [None]) == [None]
