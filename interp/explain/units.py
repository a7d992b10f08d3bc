"""What gets one score: a token, a word, a sentence, or any span of tokens."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
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
            if tokenizer is None:
                raise InputError(
                    "The model has no tokenizer, so its words are unknown; give spans."
                )
            begun = _Run.words if spec == "words" else _Run.sentences
            for run in _runs(ids, sides, tokenizer):
                begins -= set(run.positions) - set(begun(run))
    else:
        begins -= _inside(spec, sides)
    edges = [*sorted(begins), len(ids)]
    groups = tuple(tuple(range(a, b)) for a, b in pairwise(edges))

    def text(group: tuple[int, ...]) -> str:
        if len(group) == 1 or tokenizer is None:
            return " ".join(texts[i] for i in group)
        return tokenizer.decode([ids[i] for i in group])

    names = tuple(text(group) for group in groups)
    return Units(groups, names, tuple(sides[group[0]] for group in groups))


@dataclass(frozen=True)
class _Run:
    """Tokens of one side with no special token among them, which read as one text.

    Attributes:
        positions: of the tokens.
        text: of all of them.
        starts: where each begins in the text.
        split: whether it begins within a character, as bytes may.
    """

    positions: range
    text: str
    starts: tuple[int, ...]
    split: tuple[bool, ...]

    def words(self) -> Iterator[int]:
        """Positions where a word begins. Marks stand alone, and so do the tokens of scripts that
        put no space between words."""
        for i, start, _ in self._characters():
            if not _within_word(self.text, start):
                yield i

    def sentences(self) -> Iterator[int]:
        """Positions where a sentence begins: behind . ! ? and a space, or behind a line break."""
        ends = [match.end() for match in _END.finditer(self.text)]
        for i, start, stop in self._characters():
            own = self.text[start:stop]
            body = stop - len(own.lstrip())
            if i == self.positions[0]:
                yield i
            elif body < stop and ends and ends[0] <= body:
                yield i
                ends = [end for end in ends if end > body]

    def _characters(self) -> Iterator[tuple[int, int, int]]:
        """Tokens that begin with a character: position, and where in the text they begin and
        the next of them does."""
        whole = [i for i, split in enumerate(self.split) if not split]
        stops = [*(self.starts[i] for i in whole[1:]), len(self.text)]
        for i, stop in zip(whole, stops, strict=True):
            yield self.positions[i], self.starts[i], stop


# Closing marks go with the sentence. A point between two numbers is none: some tokenizers put a
# space behind that of 3.14.
_END = re.compile(
    r"""[.!?…।؟۔]+(?!(?<=\d[.])\s+\d)["']*(?:\s*[”’»)\]])*(?=\s|$)|[。！？]+[”’」』）]*|\n"""
)
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")


def _runs(ids: Sequence[int], sides: Sequence[str], tokenizer: Tokenizer) -> Iterator[_Run]:
    """What is between special tokens; those that stand for a word, unknown or masked, are text
    like others. The tokenizer itself knows what stands between two tokens,
    whatever mark it uses for a space; a token alone does not show it."""
    words = {tokenizer.mask_token_id, tokenizer.token_id(tokenizer.special.get("unk", ""))}
    special = tokenizer.special_ids - words
    for (_, alone), group in groupby(range(len(ids)), lambda i: (sides[i], ids[i] in special)):
        mine = list(group)
        if alone:
            continue
        positions = range(mine[0], mine[-1] + 1)
        before = [tokenizer.decode(ids[mine[0] : i]) for i in positions]
        text = tokenizer.decode(ids[mine[0] : mine[-1] + 1])
        starts = tuple(_reached(x, text) for x in before)
        # What stands there and not in the whole text is a character without its last bytes.
        split = tuple(len(x) > start for x, start in zip(before, starts, strict=True))
        yield _Run(positions, text, starts, split)


def _reached(before: str, text: str) -> int:
    """How many characters of a text are there already."""
    n = len(before)
    while not text.startswith(before[:n]):
        n -= 1
    return n


def _within_word(text: str, i: int) -> bool:
    """Whether a word goes on from character i - 1 to character i; an apostrophe is part of it
    between letters."""
    if not 0 < i < len(text):
        return False
    left, right = text[i - 1], text[i]
    if right in "'’":
        return _in_word(left) and i + 1 < len(text) and _in_word(text[i + 1])
    if left in "'’":
        return _in_word(right) and i > 1 and _in_word(text[i - 2])
    return _in_word(left) and _in_word(right) and not (_unspaced(left) or _unspaced(right))


def _in_word(character: str) -> bool:
    """Letters, digits, and the signs that scripts put on letters."""
    return character.isalnum() or unicodedata.category(character)[0] == "M"


def _unspaced(character: str) -> bool:
    return unicodedata.name(character, "").startswith(_UNSPACED)


def _inside(spans: Sequence[tuple[int, int]], sides: Sequence[str]) -> set[int]:
    """Positions that continue a span."""
    inside: set[int] = set()
    taken: set[int] = set()
    for start, stop in _pairs(spans):
        if not 0 <= start < stop <= len(sides):
            raise InputError(
                f"The span {(start, stop)} does not lie in the text's {len(sides)} tokens."
            )
        if taken & set(range(start, stop)):
            raise InputError(f"The span {(start, stop)} overlaps another.")
        if sides[start] != sides[stop - 1]:
            raise InputError("A span of units must not reach from one side into the other.")
        taken |= set(range(start, stop))
        inside |= set(range(start + 1, stop))
    return inside


def _pairs(spans: object) -> list[tuple[int, int]]:
    """Spans, as they came in."""
    try:
        pairs = [(start, stop) for start, stop in spans]  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        pairs = [(None, None)]
    if any(type(x) is not int for pair in pairs for x in pair):
        raise InputError(
            f"units is {spans!r}; it must be 'tokens', 'words', 'sentences', or spans "
            "(start, stop) of token positions."
        )
    return pairs
