"""Repairs: what is broken is mended, what is sound stays, and twice is once."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import ftfy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.data.repairs import (
    normalize_punctuation,
    normalize_unicode,
    normalize_whitespace,
    remove_boilerplate,
    remove_controls,
    repair_encoding,
)

PROSE = [
    "Zwölf Boxkämpfer jagen Viktor quer über den Sylter Deich.",
    "Voix ambiguë d’un cœur qui, au zéphyr, préfère les jattes de kiwis — à l’été.",
    "El pingüino Wenceslao hizo kilómetros bajo exhaustiva lluvia y frío; ¿añoraba?",
    "Полный текст на русском языке.",
    "“Smart quotes”, he said — and ‘others’…",
]
STEPS = [normalize_unicode, normalize_punctuation, normalize_whitespace, remove_controls]


@pytest.mark.parametrize("step", STEPS)
@given(text=st.text(max_size=60) | st.text(st.sampled_from("a \t\n\r\x85\u00a0\u200b…“ﬁé\u0301")))
def test_twice_is_once(step: Callable[[str], str], text: str) -> None:
    assert step(step(text)) == step(text)


@pytest.mark.parametrize("text", PROSE)
@pytest.mark.parametrize("wrong", ["latin-1", "sloppy-windows-1252"])
def test_mojibake_is_undone_as_ftfy_undoes_it(text: str, wrong: str) -> None:
    broken = text.encode("utf-8").decode(wrong)
    assert repair_encoding(broken) == ftfy.fix_encoding(broken)
    if wrong != "latin-1":
        assert repair_encoding(f"{text}\n{broken}\n") == f"{text}\n{text}\n"


@pytest.mark.parametrize("text", [*PROSE, "AT&T & Söhne", "a < b &amp; c > d", "x² ± 1 µm"])
def test_sound_text_stays(text: str) -> None:
    assert repair_encoding(text) == text


def test_entities_are_characters_where_there_are_no_tags() -> None:
    assert repair_encoding("Fish &amp; chips &#8212; caf&eacute;") == "Fish & chips — café"


@given(st.text(max_size=40))
def test_unicode_is_normal_afterwards(text: str) -> None:
    out = normalize_unicode(text)
    assert unicodedata.is_normalized("NFC", out)
    assert unicodedata.normalize("NFKC", out) == unicodedata.normalize("NFKC", text)


@given(st.text(max_size=60))
def test_nothing_steers_afterwards(text: str) -> None:
    out = remove_controls(text)
    assert not [c for c in out if unicodedata.category(c) == "Cc" and c not in "\n\t"]
    assert not set(out) & set("\u200b\u202e\u2066\ufeff\u2028\u00ad")


def test_line_ends_are_one_kind() -> None:
    assert remove_controls("a\r\nb\rc\x0cd\u2028e\x85f") == "a\nb\nc\nd\ne\nf"
    assert remove_controls("👨\u200d👩\u200d👧 می\u200cخواهم") == "👨\u200d👩\u200d👧 می\u200cخواهم"


@given(st.text(st.sampled_from("ab \t\n\u00a0\u3000"), max_size=60))
def test_whitespace_only_separates(text: str) -> None:
    out = normalize_whitespace(text)
    assert out.split() == text.split()
    assert "\n\n\n" not in out and " \n" not in out and out == out.rstrip()
    assert not any(
        "  " in line.lstrip(" \t") or "\t" in line.lstrip(" \t") for line in out.split("\n")
    )


def test_indentation_stays() -> None:
    code = "if x:\n    return  1\n\n\n\n\ty"
    assert normalize_whitespace(code) == "if x:\n    return 1\n\n\ty"


def test_boilerplate_goes_and_prose_stays() -> None:
    page = (
        "<p>A <b>bold</b> claim.</p>\n<script>track('x < y')</script>Accept all cookies\n"
        "© 2021 Example Ltd. All rights reserved.\nShe would subscribe to that, he thought.\n"
        "Read more\nif a < b and c > d: pass"
    )
    assert remove_boilerplate(page).split("\n") == [
        "A bold claim.",
        "She would subscribe to that, he thought.",
        "if a < b and c > d: pass",
    ]


def test_the_frame_of_project_gutenberg_goes() -> None:
    book = (
        "The Project Gutenberg eBook of X\n*** START OF THE PROJECT GUTENBERG EBOOK X ***\n"
        "Chapter 1.\n*** END OF THE PROJECT GUTENBERG EBOOK X ***\nlicence"
    )
    assert remove_boilerplate(book).strip() == "Chapter 1."
