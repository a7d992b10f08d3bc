"""Duplicates: planted ones are found, others are not, and the estimate is the Jaccard index."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.data.duplicates import MINIMA, ExactIndex, NearIndex, fingerprint, rows_of_a_band
from interp.data.words import Words

VOCABULARY = [f"w{i}" for i in range(3000)]


def document(rng: random.Random, n: int = 200) -> list[str]:
    return rng.choices(VOCABULARY, k=n)


def shares(one: list[str], other: list[str]) -> float:
    """The Jaccard index of the runs of five words, by sets."""
    a, b = ({tuple(words[i : i + 5]) for i in range(len(words) - 4)} for words in (one, other))
    return len(a & b) / len(a | b)


def overlapping(rng: random.Random, words: list[str], share: float) -> list[str]:
    """Another document that has so much of the text in common, in one piece, and is as long."""
    kept = round(share * len(words))
    start = rng.randint(0, len(words) - kept)
    others = document(rng, len(words) - kept)
    return [*others[:start], *words[start : start + kept], *others[start:]]


def test_planted_near_duplicates_are_found_and_others_are_not() -> None:
    rng = random.Random(0)
    index = NearIndex(0.7)
    originals = [document(rng) for _ in range(1000)]
    for words in originals:
        index.add(fingerprint(" ".join(words), 0.7))
    planted = [overlapping(rng, words, 0.9) for words in originals]
    found = sum(index.match(fingerprint(" ".join(words), 0.7)) > 0 for words in planted)
    assert found / len(planted) >= 0.95
    strangers = [document(rng) for _ in range(1000)]
    halves = [overlapping(rng, words, 0.5) for words in originals]
    for others in (strangers, halves):
        assert sum(index.match(fingerprint(" ".join(words), 0.7)) > 0 for words in others) <= 5


def test_scattered_changes_are_found_with_a_low_threshold() -> None:
    rng = random.Random(4)
    index = NearIndex(0.25)

    def found(words: list[str]) -> bool:
        return index.match(fingerprint(" ".join(words), 0.25)) > 0

    originals = [document(rng) for _ in range(500)]
    for words in originals:
        index.add(fingerprint(" ".join(words), 0.25))
    planted = [
        [rng.choice(VOCABULARY) if rng.random() < 0.1 else word for word in words]
        for words in originals
    ]
    assert sum(map(found, planted)) >= 475
    assert not any(found(document(rng)) for _ in range(500))


@given(st.floats(0.1, 1.0))
def test_bands_find_what_is_at_the_threshold(threshold: float) -> None:
    rows = rows_of_a_band(threshold)
    assert 1 - (1 - threshold**rows) ** (MINIMA // rows) >= 0.95


@pytest.mark.parametrize("share", [0.8, 0.9, 0.97])
def test_the_estimate_is_the_jaccard_index(share: float) -> None:
    """Its mean over many pairs is within three standard errors of the index by sets."""
    rng = random.Random(1)
    errors = []
    for _ in range(150):
        one = document(rng)
        other = overlapping(rng, one, share)
        agree = fingerprint(" ".join(one), 0.7).minima == fingerprint(" ".join(other), 0.7).minima
        errors.append(agree.mean() - shares(one, other))
    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(len(errors))
    assert np.std(errors) < 0.06  # of a hundred draws: the square root of J (1 - J) / 100


def test_what_leaves_the_window_is_forgotten() -> None:
    rng = random.Random(2)
    index = NearIndex(0.7, window=50)
    prints = [fingerprint(" ".join(document(rng)), 0.7) for _ in range(120)]
    for one in prints:
        index.add(one)
    assert [index.match(one) == 1 for one in prints] == [False] * 70 + [True] * 50


@given(st.lists(st.integers(0, 2**64 - 1), max_size=300), st.integers(1, 20))
def test_the_exact_index_is_a_set(values: list[int], recent: int) -> None:
    import interp.data.duplicates as module

    index, known = ExactIndex(), set()
    whole, module._RECENT = module._RECENT, recent
    try:
        for value in values:
            assert (value in index) == (value in known)
            index.add(value)
            known.add(value)
        assert all(value in index for value in values)
    finally:
        module._RECENT = whole


@given(st.lists(st.sampled_from("ab c, É".split()), max_size=30), st.integers(1, 7))
def test_equal_runs_of_words_have_equal_hashes_and_others_do_not(parts: list[str], n: int) -> None:
    words = Words(" ".join(parts))
    plain = [w for w in (p.strip(",").casefold() for p in parts) if w]
    assert len(words) == len(plain)
    assert words.lengths.tolist() == [len(w.encode()) for w in plain]
    runs = [tuple(plain[i : i + n]) for i in range(max(1, len(plain) - n + 1))] if plain else []
    hashes = words.grams(n).tolist()
    assert len(hashes) == len(runs)
    assert len(set(zip(hashes, runs, strict=True))) == len(set(hashes)) == len(set(runs))


def test_case_punctuation_and_spacing_do_not_matter_to_near_duplicates() -> None:
    index = NearIndex(1.0)
    index.add(fingerprint("The cat sat on the mat, and the dog on the log.", 1.0))
    assert index.match(fingerprint("the CAT sat; on the mat -- and the dog\non the log", 1.0)) == 1
    assert not index.match(fingerprint("the cat sat on the mat and the dog on the bog", 1.0))


def test_texts_without_words_are_no_near_duplicates() -> None:
    index = NearIndex(0.1)
    for text in ("", "...", "!?"):
        assert not index.match(fingerprint(text, 0.1))
        index.add(fingerprint(text, 0.1))
    assert index.kept == 0
