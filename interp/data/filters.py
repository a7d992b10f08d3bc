"""Which documents are worth keeping: each filter says in words why one is not, or nothing.

The rules of quality and repetition are those of Gopher (Rae et al. 2021, section A.1.1, table A1),
with its thresholds; they were made for pages of the web and are not meant for single sentences.
"""

from __future__ import annotations

import re

import numpy as np

from interp.data.language import identify
from interp.data.words import Words

_WORD = re.compile(r"[^\W_]+")


def wrong_language(text: str, languages: tuple[str, ...]) -> str:
    """Kept are documents in one of `languages`, ISO 639-1 codes (see `interp.data.language`)."""
    found = identify(text).code
    return "" if found in languages else f"language {found}"


def wrong_length(text: str, min_words: int, max_words: int) -> str:
    """Kept are documents of `min_words` to `max_words` words, both included."""
    words = len(_WORD.findall(text))
    if words < min_words:
        return "empty" if words == 0 else f"fewer than {min_words} words"
    return f"more than {max_words} words" if words > max_words else ""


_BULLETS = ("-", "*", "•", "‣", "◦", "–", "·")
_ELLIPSES = ("...", "…")


def poor_quality(text: str) -> str:
    """Gopher's rules of quality, but for its list of English stop words.

    The mean length of a word is 3 to 10 letters; at most one `#` or ellipsis in ten words; at most
    nine lines in ten begin with a bullet and three in ten end in an ellipsis; at least eight words
    in ten hold a letter.
    """
    words = text.split()
    if not words:
        return "empty"
    if not 3 <= sum(map(len, words)) / len(words) <= 10:
        return "mean length of words"
    if text.count("#") + sum(map(text.count, _ELLIPSES)) > 0.1 * len(words):
        return "symbols"
    lines = [line for line in (x.strip() for x in text.split("\n")) if line]
    if sum(line.startswith(_BULLETS) for line in lines) > 0.9 * len(lines):
        return "bullets"
    if sum(line.endswith(_ELLIPSES) for line in lines) > 0.3 * len(lines):
        return "ellipses"
    if sum(any(map(str.isalpha, word)) for word in words) < 0.8 * len(words):
        return "words without letters"
    return ""


# Of all characters, at most so many in the most frequent run of n words, or in repeated runs.
_TOP = {2: 0.20, 3: 0.18, 4: 0.16}
_REPEATED = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}


def repetitive(text: str) -> str:
    """Gopher's rules of repetition: of lines, of paragraphs, and of runs of 2 to 10 words.

    At most 30% of the lines, and of the paragraphs, have been there before, with at most 20% of the
    characters. A character that several repeated runs cover counts once.
    """
    for name, unit in (("paragraphs", "\n\n"), ("lines", "\n")):
        parts = [part for part in (x.strip() for x in text.split(unit)) if part]
        again = _seen_before(parts)
        if len(again) > 0.3 * len(parts) or sum(map(len, again)) > 0.2 * len(text):
            return f"repeated {name}"
    words = Words(text)
    total = int(words.lengths.sum())
    for n, most in _TOP.items():
        if _top_share(words, n) > most * total:
            return f"one run of {n} words"
    for n, most in _REPEATED.items():
        share = _repeated_share(words, n)
        if share > most * total:
            return f"repeated runs of {n} words"
        if share == 0:
            break  # where no run of n words comes twice, no longer one does
    return ""


def _seen_before(parts: list[str]) -> list[str]:
    first = {part: place for place, part in reversed(list(enumerate(parts)))}
    return [part for place, part in enumerate(parts) if first[part] != place]


def _top_share(words: Words, n: int) -> int:
    """Characters in all occurrences of the most frequent run of n words; 0 if none occurs twice."""
    _, first, counts = np.unique(words.grams(n), return_index=True, return_counts=True)
    if len(counts) == 0 or counts.max() < 2:
        return 0
    top = int(counts.argmax())
    return int(counts[top]) * int(words.lengths[first[top] : first[top] + n].sum())


def _repeated_share(words: Words, n: int) -> int:
    """Characters in runs of n words that have occurred before."""
    grams = words.grams(n)
    again = np.ones(len(grams), bool)
    again[np.unique(grams, return_index=True)[1]] = False
    if not again.any():
        return 0
    edges = np.zeros(len(words) + 1, np.int64)
    np.add.at(edges, np.flatnonzero(again), 1)
    np.add.at(edges, np.flatnonzero(again) + n, -1)
    return int(words.lengths[np.cumsum(edges[:-1]) > 0].sum())
