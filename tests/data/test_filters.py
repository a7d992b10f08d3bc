"""Filters: each rule stands between two texts that differ only in what it measures."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from interp.data.filters import poor_quality, repetitive, wrong_language, wrong_length
from interp.data.words import Words

RANDOM = random.Random(3)
WORDS = [
    "".join(RANDOM.choice(part) for part in ("bdfgklm", "aeiou", "lmnrst")) for _ in range(400)
]
PROSE = " ".join(f"{word}{i % 7}x" for i, word in enumerate(WORDS))


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_length_counts_words(n: int, low: int, more: int) -> None:
    kept = wrong_length("word, " * n, low, low + more) == ""
    assert kept == (low <= n <= low + more)


def test_language() -> None:
    assert wrong_language("This is what they have said of it.", ("en",)) == ""
    assert wrong_language("This is what they have said of it.", ("fr", "de")) == "language en"


def test_quality() -> None:
    assert poor_quality(PROSE) == ""
    assert poor_quality("") == "empty"
    assert poor_quality("a b c d e f") == "mean length of words"
    assert poor_quality("incomprehensibility " * 9) == "mean length of words"
    assert poor_quality("#tag words " * 9) == "symbols"
    assert poor_quality("\n".join(f"- item number {i}" for i in range(20))) == "bullets"
    trailing = "\n".join(
        f"and then the {word} came along here with all its own..." for word in WORDS
    )
    assert poor_quality(trailing) == "ellipses"
    assert poor_quality("word 1234 5678 " * 9) == "words without letters"


def test_repetition() -> None:
    assert repetitive(PROSE) == ""
    lines = [f"{PROSE[i * 40 : i * 40 + 39]}" for i in range(20)]
    assert repetitive("\n".join(lines)) == ""
    assert repetitive("\n".join(lines + ["again and again"] * 12)) == "repeated lines"
    assert repetitive("\n\n".join(lines + lines[:9])) == "repeated paragraphs"
    words = PROSE.split()
    beaten = [
        w
        for i, word in enumerate(words[:100])
        for w in ([word, "very", "often"] if i % 2 else [word])
    ]
    assert repetitive(" ".join(beaten)) == "one run of 2 words"
    twice = words + words[:120]
    assert repetitive(" ".join(twice)).startswith("repeated runs of")


@given(st.lists(st.sampled_from("aa bb cc".split()), max_size=40), st.integers(1, 6))
def test_repeated_characters_are_counted_once(words: list[str], n: int) -> None:
    from interp.data.filters import _repeated_share

    runs = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    covered = {place for i, run in enumerate(runs) if run in runs[:i] for place in range(i, i + n)}
    assert _repeated_share(Words(" ".join(words)), n) == (
        sum(len(words[i]) for i in covered) if len(words) >= n else 0
    )
