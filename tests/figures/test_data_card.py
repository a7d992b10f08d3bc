"""The page of a data card shows every number of the card and runs nothing of what is in it."""

from __future__ import annotations

from typing import Any

from interp.figures.data_card import data_card_html
from tests.figures.hostile import HOSTILE
from tests.figures.markup import read_html


def card(text: str) -> dict[str, Any]:
    """A card in which everything that comes from a user is `text`."""
    step = {
        "about": "does it",
        "documents_in": 4321,
        "documents_changed": 1234,
        "documents_removed": 777,
        "characters_in": 98765,
        "characters_out": 87654,
        "reasons": {text: 777},
        "examples": [{"before": text, "after": text}, {"before": text, "removed": text}],
    }
    return {
        "documents_in": 4321,
        "characters_in": 98765,
        "documents_out": 3544,
        "characters_out": 87654,
        "licence": text,
        "steps": [{"name": "length", **step}, {"name": text, **step, "examples": []}],
        "personal_data": {"EMAIL": 55},
        "unreadable": {text: text},
        "sources": [{"name": text, "bytes": 10**6, "sha256": "ab" * 32}],
        "shards": [
            {"name": text, "documents": 9, "characters": 8, "bytes": 7, "sha256": "cd" * 32}
        ],
        "plan": {
            "version": "1",
            "reading": {"column": text},
            "suffix": ".jsonl",
            "pipeline": {
                "steps": [{"name": "length", "settings": {"min_words": text}}],
                "exact": True,
                "near": 0.7,
            },
        },
        "plan_sha256": "ef" * 32,
    }


def test_hostile_text_has_no_way_to_run_or_fetch() -> None:
    for text in HOSTILE:
        page = data_card_html(card(text), title=text)
        page.encode("utf-8")
        tree = read_html(page.removeprefix("<!doctype html>"))
        assert not [e for tag in ("script", "img", "a", "link", "iframe") for e in tree.all(tag)]
        for tag in ("td", "code", "summary", "p", "dd", "div"):
            for element in tree.all(tag):
                assert not {
                    n for n in element.attributes if n.startswith("on") or n in ("src", "href")
                }


def test_the_numbers_are_there() -> None:
    page = read_html(data_card_html(card("x")).removeprefix("<!doctype html>"))
    rows = [[cell.text for cell in row.all("td")] for row in page.all("tr")]
    assert any(
        row[1:3] == ["1,234", "777"] and row[3].startswith("3,544") for row in rows if len(row) > 3
    )
    assert ["<EMAIL>", "55"] in rows
    assert "3,544 of 4,321 documents kept (82%)" in page.text
    assert any("ab" * 32 in cell for row in rows for cell in row)


def test_an_empty_card_is_a_page() -> None:
    empty = card("x") | {"steps": [], "personal_data": {}, "documents_in": 0, "unreadable": {}}
    assert "None was found" in read_html(data_card_html(empty).removeprefix("<!doctype html>")).text
