"""Copies are found: the same text, nearly the same, or a passage of a longer one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from interp.data.overlap import copies, repeats

WORDS = [f"word{i}" for i in range(400)]


def text(n: int, seed: int) -> str:
    return " ".join(np.random.default_rng(seed).choice(WORDS, n))


def test_each_kind_of_copy_is_told_from_the_others() -> None:
    long = text(200, 0)
    words = long.split()
    near = " ".join([*words[:-4], "one", "two", "three", "four"])
    passage = " ".join(words[50:80])
    found = copies([long, near, passage, text(60, 1), ""], [text(90, 2), long])
    assert found.exact.tolist() == [True, False, False, False, False]
    assert found.near[0] == 1 and found.near[1] >= 0.7
    assert found.near[2:].tolist() == [0, 0, 0]
    assert found.runs[0] == found.runs[2] == 1 and found.runs[3] == found.runs[4] == 0
    # Of 188 runs those that end in the last four words are other ones.
    assert found.runs[1] == (188 - 4) / 188
    assert found.copied.tolist() == [True, True, True, False, False]


def test_case_and_marks_make_no_other_text() -> None:
    found = copies(["A cat, sat!"], ["a cat sat"])
    assert not found.exact[0] and found.near[0] == 1 and found.runs[0] == 1


def test_no_others_no_copies() -> None:
    found = copies([text(30, 0)], [])
    assert not found.copied.any()
    assert not copies([], ["a"]).copied.any()


@given(st.lists(st.sampled_from(["a b c", "a b d", "e", "f g h i", ""]), max_size=12))
def test_a_repeat_is_a_copy_of_what_came_before(texts: list[str]) -> None:
    found = repeats(texts)
    for i, one in enumerate(texts):
        before = copies([one], texts[:i])
        assert found.exact[i] == before.exact[0] == (one in texts[:i])
        assert found.near[i] == before.near[0] and found.runs[i] == before.runs[0]
