"""What gets one score: a token, a word, a sentence, or any span of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from interp.errors import InputError
from interp.tokenizer import Tokenizer

UnitName = Literal["tokens", "words", "sentences"]
UnitSpec = UnitName | Sequence[tuple[int, int]]
"""A name, or spans (start, stop) of token positions; tokens outside all spans stay alone."""


@dataclass(frozen=True)
class Units:
    """A partition of the positions of a text, of all parts of it behind one another.

    Attributes:
        groups: the positions of each unit, in reading order.
        names: the text of each.
        sides: the part that each belongs to.
    """

    groups: tuple[tuple[int, ...], ...]
    names: tuple[str, ...]
    sides: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.groups)


def divide(
    spec: UnitSpec,
    ids: Sequence[int],
    sides: Sequence[str],
    texts: Sequence[str],
    tokenizer: Tokenizer | None,
) -> Units:
    """The units of a text.

    Args:
        ids, sides, texts: of each token.

    Raises:
        InputError: an unknown name, words without a tokenizer, or spans that overlap or lie
            outside the text.
    """
    begins = set(range(len(ids)))
    if isinstance(spec, str):
        if spec not in ("tokens", "words", "sentences"):
            raise InputError(
                f"units is {spec!r}; it must be 'tokens', 'words', 'sentences' or spans of tokens."
            )
        if spec != "tokens":
            begins = _words(ids, sides, tokenizer)
        if spec == "sentences":
            begins = _sentences(begins, sides, texts, tokenizer)
    else:
        begins -= _inside(spec, len(ids))
        if any(sides[a] != sides[b - 1] for a, b in spec):
            raise InputError("A span of units must not reach from one side into the other.")
    edges = [*sorted(begins), len(ids)]
    groups = tuple(tuple(range(a, b)) for a, b in pairwise(edges))

    def text(group: tuple[int, ...]) -> str:
        if len(group) == 1 or tokenizer is None:
            return " ".join(texts[i] for i in group)
        return tokenizer.decode([ids[i] for i in group])

    names = tuple(text(group) for group in groups)
    return Units(groups, names, tuple(sides[group[0]] for group in groups))


def _words(ids: Sequence[int], sides: Sequence[str], tokenizer: Tokenizer | None) -> set[int]:
    """Positions where a word begins. Punctuation and special tokens stand alone."""
    if tokenizer is None:
        raise InputError("The model has no tokenizer, so its words are unknown; give spans.")
    special = tokenizer.special_ids

    def continues(i: int) -> bool:
        a, b = ids[i - 1], ids[i]
        if sides[i - 1] != sides[i] or a in special or b in special:
            return False
        # The tokenizer itself knows whether a space belongs between two tokens, whatever mark it
        # uses for that; a token alone does not show it.
        both = tokenizer.decode([a, b])
        before = tokenizer.decode([a])
        if before[-1:].isspace() or not before:
            return False
        seam = len(both) - len(tokenizer.decode([b]).lstrip().removeprefix("##"))
        around = both[max(0, seam - 1) : seam + 1]
        return len(around) == 2 and all(c.isalnum() or c in "'’" for c in around)

    return {i for i in range(len(ids)) if i == 0 or not continues(i)}


def _sentences(
    words: set[int], sides: Sequence[str], texts: Sequence[str], tokenizer: Tokenizer | None
) -> set[int]:
    """Positions where a sentence begins: after a word that ends with . ! ? or a line break."""
    begins, open_ = {0}, True
    for i in sorted(words):
        new_side = i > 0 and sides[i] != sides[i - 1]
        ends_again = texts[i].strip() in {".", "!", "?", '"', "'", "”", "’", ")"}
        if new_side or (open_ and not ends_again):
            begins.add(i)
        if new_side or not ends_again:
            open_ = False
        word = texts[i].rstrip(" \"'”’)")
        open_ = open_ or word.endswith((".", "!", "?", "\n"))
    return begins


def _inside(spans: Sequence[tuple[int, int]], n: int) -> set[int]:
    """Positions that continue a span."""
    inside: set[int] = set()
    taken: set[int] = set()
    for start, stop in spans:
        if not 0 <= start < stop <= n:
            raise InputError(f"The span {(start, stop)} does not lie in the text's {n} tokens.")
        if taken & set(range(start, stop)):
            raise InputError(f"The span {(start, stop)} overlaps another.")
        taken |= set(range(start, stop))
        inside |= set(range(start + 1, stop))
    return inside
