"""The texts behind `stories`: what cleaning keeps, and where documents come from."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp import LoadError
from interp.data.sets.stories import (
    HELD_OUT_BOOKS,
    Book,
    clean_paragraphs,
    looks_english,
    read_books,
    story_paragraphs,
)

# Lines as the sources have them: no line breaks inside, since those end a paragraph.
LINES = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=40)


@given(st.lists(LINES, max_size=8))
def test_cleaning_twice_changes_nothing_more(paragraphs: list[str]) -> None:
    once = clean_paragraphs(paragraphs)
    assert clean_paragraphs(once.split("\n\n")) == once


@given(st.lists(LINES, max_size=8))
def test_no_typographic_mark_survives(paragraphs: list[str]) -> None:
    assert not set(clean_paragraphs(paragraphs)) & set("“”‘’…\u00a0")


def test_cleaning_drops_numbers_and_ornaments_and_mends_cut_sentences() -> None:
    raw = ["XIV", "Part II", "* * *", "“To get", "there, you had to walk.”", "I"]
    assert clean_paragraphs(raw) == '"To get there, you had to walk."'


def test_cleaning_leaves_out_paragraphs_with_slurs() -> None:
    raw = ["One.", "A paragraph with darkies in it.", "Two."]
    assert clean_paragraphs(raw) == "One.\n\nTwo."


def test_story_markdown_loses_marks_and_tail() -> None:
    markdown = (
        "# The *Race*\n\n##\nThe hare ran\nand ran.\n\n__Hare:__ _(laughs)_ Ha!\n\n"
        "* Eyes\n\n##\n* License: [CC-BY]\n* Text: Somebody\n\nA blurb.\n"
    )
    kept = [paragraph for paragraph in story_paragraphs(markdown) if paragraph]
    assert kept == ["The Race", "The hare ran and ran.", "Hare: (laughs) Ha!", "Eyes"]


@pytest.mark.parametrize(
    ("text", "english"),
    [
        ("The cat and the dog went to see what was in the house. " * 5, True),
        ("Le chat et le chien sont entrés dans la maison de la vieille dame. " * 5, False),
        ("The cat.", False),
    ],
)
def test_english_is_told_from_other_languages(text: str, english: bool) -> None:
    assert looks_english(text) is english


def test_missing_collection_is_named(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match=r"SOURCES\.tsv"):
        read_books(tmp_path)


@pytest.fixture(scope="module")
def documents(shared_data: Path) -> list[Book]:
    return read_books(shared_data)


def test_every_document_is_attributed_and_open(documents: list[Book]) -> None:
    assert len(documents) > 700
    assert all(d.author and d.title and d.url.startswith("http") for d in documents)
    assert all(d.license.startswith(("CC0", "CC BY http", "Public")) for d in documents)


def test_split_is_by_book_and_by_story_title(documents: list[Book]) -> None:
    held_out = {d.name for d in documents if d.split == "held_out"}
    assert set(HELD_OUT_BOOKS) <= held_out
    stories = [d for d in documents if d.collection == "childrens_stories"]
    share = sum(d.split == "held_out" for d in stories) / len(stories)
    assert 0.03 < share < 0.07
    sides: dict[str, set[str]] = {}
    for story in stories:
        sides.setdefault(story.name.split("_", 1)[1], set()).add(story.split)
    assert all(len(split) == 1 for split in sides.values())


def test_texts_are_clean(documents: list[Book]) -> None:
    for document in documents:
        assert "* License" not in document.text and "Illustration:" not in document.text
        assert not set(document.text) & set("#*“”’")
        assert document.text == clean_paragraphs(document.text.split("\n\n"))
