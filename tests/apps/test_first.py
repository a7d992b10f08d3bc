"""The stored first pictures: they are what the models say, and stand only for their own weights."""

from __future__ import annotations

import dataclasses

import pytest
from streamlit.testing.v1 import AppTest

from apps import first as module
from apps.first import compute, first, weights_file
from tests.figures.markup import read_html

STORED = ("planted", "reviews", "stories", "translate-en-fr")


@pytest.mark.parametrize("name", STORED)
def test_stored_is_what_is_computed_now(name: str) -> None:
    now = compute(name)
    stored = first(name, now.text)
    assert stored is not None, "the weights are others: run python -m apps.first"
    assert dataclasses.replace(stored, scores=(), next=()) == dataclasses.replace(
        now, scores=(), next=()
    )
    largest = max(map(abs, now.scores))
    assert stored.scores == pytest.approx(now.scores, abs=1e-3 * largest)
    assert [token for token, _ in stored.next] == [token for token, _ in now.next]
    assert [p for _, p in stored.next] == pytest.approx([p for _, p in now.next], abs=1e-4)


def test_stored_stands_only_for_its_own_text_weights_and_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = module.examples("stories")[0].text
    assert first("stories", text) is not None
    assert first("stories", text + " ") is None
    assert first("stories-suite", text) is None
    assert first("a/folder/stories", text) is None
    monkeypatch.setattr(module, "weights_file", lambda name: "0" * 64)
    assert first("stories", text) is None


def test_suites_have_no_weights_of_their_own() -> None:
    assert weights_file("induction") is None
    assert weights_file("stories-suite") is None


def _page() -> None:
    from apps.drawing import draw_first
    from apps.first import examples as texts
    from apps.first import first

    stored = first("planted", texts("planted")[0].text)
    assert stored is not None
    draw_first(stored)


def test_stored_picture_says_that_it_is_stored() -> None:
    page = AppTest.from_function(_page, default_timeout=60).run()
    assert not page.exception
    (strip,) = [read_html(element.proto.body) for element in page.get("html")]
    assert "bird" in [span.text for span in strip.all("span", "t")]
    assert any("Stored result" in text.value for text in page.text)
    assert any("neg" in text.value for text in page.text)
