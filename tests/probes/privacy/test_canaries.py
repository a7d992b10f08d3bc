"""Canaries are random, of their own, and in the data as often as they say."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from interp.data.records import Pair
from interp.errors import InputError, LoadError
from probes.privacy.canaries import (
    EACH,
    REPEATS,
    Canary,
    insert,
    insert_pairs,
    make_canaries,
    open_canaries,
    save,
)


def test_the_default_is_a_hundred_with_prefixes_of_their_own() -> None:
    canaries = make_canaries()
    assert Counter(c.repeats for c in canaries) == dict.fromkeys(REPEATS, EACH)
    assert len({c.prefix for c in canaries}) == len(canaries)
    assert all(len(c.secret) == 6 and c.secret.isdigit() for c in canaries)
    assert canaries == make_canaries()
    assert canaries != make_canaries(seed=1)


def test_every_digit_is_equally_frequent() -> None:
    from scipy.stats import chisquare

    digits = "".join(c.secret for c in make_canaries((0,), 2000))
    for place in range(6):
        counts = Counter(digits[place::6])
        assert chisquare([counts[d] for d in "0123456789"]).pvalue > 1e-3


def test_insertion_adds_each_as_often_as_it_says_and_keeps_the_rest_in_order() -> None:
    texts = [f"text {i}" for i in range(50)]
    canaries = make_canaries((0, 1, 4), 3)
    mixed = insert(texts, canaries, seed=2)
    assert [text for text in mixed if text.startswith("text")] == texts
    counts = Counter(mixed)
    assert [counts[c.text] for c in canaries] == [c.repeats for c in canaries]
    places = np.array([i for i, text in enumerate(mixed) if not text.startswith("text")])
    assert 10 < places.mean() < 54  # spread over the whole, not at an end
    pairs = insert_pairs([Pair("a", ("b",))], canaries)
    assert sum(pair == canaries[-1].pair for pair in pairs) == 4


def test_a_file_gives_them_back(tmp_path: Path) -> None:
    canaries = make_canaries(each=2)
    save(canaries, tmp_path / "c.jsonl")
    assert open_canaries(tmp_path / "c.jsonl") == canaries


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[1]",
        '{"prefix": "a", "secret": "12"}',
        '{"prefix": "a", "secret": "1x", "repeats": 0}',
        '{"prefix": "a", "secret": "12", "repeats": -1}',
        '{"prefix": 3, "secret": "12", "repeats": 1}',
        '{"prefix": "a", "secret": "12345678", "repeats": 1}',
    ],
)
def test_a_broken_file_is_named_by_its_line(tmp_path: Path, line: str) -> None:
    good = '{"prefix": "a", "secret": "12", "repeats": 1}'
    (tmp_path / "c.jsonl").write_text(f"{good}\n{line}\n")
    with pytest.raises(LoadError, match="line 2, is no canary"):
        open_canaries(tmp_path / "c.jsonl")


def test_what_is_no_set_of_canaries_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no controls"):
        make_canaries((1, 4))
    with pytest.raises(InputError, match="cannot be made"):
        make_canaries((0, 0))
    with pytest.raises(InputError, match="1 to 7"):
        make_canaries(digits=8)
    with pytest.raises(LoadError, match="There is no none"):
        open_canaries(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(LoadError, match="holds no canary"):
        open_canaries(tmp_path / "empty.jsonl")
    assert Canary("a", "1", 0).text == "a 1"
