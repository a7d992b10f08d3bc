"""Journeys of a reader, from Start to an answer. How long they take is a matter of benchmarks."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import walks
from benchmarks.walks import Clock
from tests.apps.test_explorer_browser import browser, playwright, visit

__all__ = ["browser"]  # a fixture

pytestmark = pytest.mark.browser


def test_texts_methods_and_words_are_answered(browser: playwright.Browser, address: str) -> None:
    with visit(browser, address) as page:
        assert "angry" in walks.example(page, Clock())[0]
        clock = Clock()
        first = walks.prompt(page, clock)
        assert clock.seconds > 0
        assert walks.prompt_again(page, Clock()) == first
        (other,) = walks.method(page, Clock())
        assert other.startswith("leave one out") and "Completeness error" in other


def test_two_texts_and_two_runs_are_compared(browser: playwright.Browser, address: str) -> None:
    with visit(browser, address, "dark") as page:
        one, two, change = walks.compare(page, Clock())
        assert "·girl" in one and "·king" in two and "·girl→·king" in change
    with visit(browser, address) as page:
        assert "brings most back" in walks.patch(page, Clock())


def test_a_step_moves_the_lens_and_a_link_shows_the_same(
    browser: playwright.Browser, address: str
) -> None:
    with visit(browser, address) as page:
        mine, theirs = walks.link(page, Clock())
        assert mine == theirs and mine
        before, after = walks.step(page, Clock())
        assert before != after


def test_an_audit_is_a_page_that_opens_without_the_network(
    browser: playwright.Browser, address: str
) -> None:
    with visit(browser, address) as page:
        text = Path(walks.audit(page, Clock())).read_text("utf-8")
        assert text.startswith("<!doctype html>")
        asked: list[str] = []
        context = browser.new_context(offline=True)
        report = context.new_page()
        report.on("request", lambda request: asked.append(request.url))
        report.set_content(text)
        assert report.locator("h1").count() == 1
        assert not asked
        context.close()
