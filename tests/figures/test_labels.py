"""Labels show each character and hide none."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.figures.labels import columns, count, literal, number, percent, shorten, visible
from tests.figures.hostile import HOSTILE

ANY_TEXT = st.text(st.characters(), max_size=30) | st.sampled_from(HOSTILE)


@pytest.mark.parametrize(
    ("token", "label"),
    [
        (" the", "·the"),
        ("\n", "⏎"),
        ("\t", "⇥"),
        ("", "∅"),
        ("a\u202eb", "a⟨U+202E⟩b"),
        ("\x1b[0m", "⟨U+001B⟩[0m"),
        ("\u00a0", "⟨U+00A0⟩"),
        ("\ud83d", "⟨U+D83D⟩"),
        ("\u0301", "◌\u0301"),
        ("né", "né"),
        ("<b>", "<b>"),
        (" שלום", "·שלום"),
    ],
)
def test_labels(token: str, label: str) -> None:
    assert visible(token) == label


@given(ANY_TEXT)
def test_a_label_holds_no_character_that_hides_or_steers(token: str) -> None:
    label = visible(token)
    assert label
    assert not {unicodedata.category(char) for char in label} & {
        *("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs")
    }
    label.encode("utf-8")


@given(ANY_TEXT)
def test_ordinary_characters_stay_in_order(token: str) -> None:
    plain = [c for c in token if unicodedata.category(c)[0] in "LNPS" and visible(c) == c]
    label = iter(visible(token))
    assert all(char in label for char in plain)


@given(ANY_TEXT)
def test_prose_keeps_its_spaces_and_lines_only(text: str) -> None:
    kept = literal(text)
    assert kept.count(" ") == text.count(" ")
    assert kept.count("\n") == text.count("\n")
    assert visible(kept.replace(" ", "").replace("\n", "")).isprintable()


@given(ANY_TEXT, st.integers(1, 40))
def test_a_short_label_fits_and_says_that_it_was_cut(token: str, width: int) -> None:
    label = visible(token)
    short = shorten(label, width)
    assert columns(short) <= width
    assert short == label or (short.endswith("…") and label.startswith(short[:-1]))


def test_wide_and_combining_characters_are_measured() -> None:
    assert columns("日本") == 4
    assert columns("e\u0301") == 1


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [
        (0.0, True, "0"),
        (-0.0, True, "0"),
        (0.4214, True, "+0.421"),
        (-1.3, False, "−1.30"),
        (12.345, False, "12.3"),
        (999.7, False, "1000"),
        (54321.0, False, "54321"),
        (3.14e-4, False, "3.14e-04"),
        (-2e6, True, "−2.00e+06"),
        (64, False, "64"),
        (1234567, False, "1,234,567"),
    ],
)
def test_numbers(value: float, signed: bool, text: str) -> None:
    assert number(value, signed=signed) == text


@given(st.floats(-1e12, 1e12).filter(lambda value: value == 0 or abs(value) > 1e-12))
def test_numbers_keep_three_digits_and_the_sign(value: float) -> None:
    back = float(number(value).replace("−", "-"))
    assert back == pytest.approx(value, rel=5.1e-3)


@given(st.floats(0, 1))
def test_a_percentage_claims_no_certainty(fraction: float) -> None:
    assert (percent(fraction) == "100%") == (fraction == 1)
    assert (percent(fraction) == "0.0%") == (fraction == 0)


def test_counts() -> None:
    assert (count(1, "token"), count(0, "token")) == ("1 token", "0 tokens")
