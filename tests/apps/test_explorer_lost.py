"""A server that goes away and comes back: nothing that was shown is lost, nothing that is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import walks
from benchmarks.soak import server
from tests.apps.test_explorer_browser import browser, playwright, reader

__all__ = ["browser"]  # a fixture

pytestmark = pytest.mark.browser


def test_a_lost_server_is_said_and_a_new_one_taken(
    browser: playwright.Browser, tmp_path: Path
) -> None:
    context = reader(browser)
    page = context.new_page()
    with server(tmp_path / "one.log") as (address, _):
        walks.begin(page, f"{address}/?text=The+king+was+very")
        shown = walks.strips(page)
    gone = page.get_by_text("server is not responding")
    gone.wait_for(timeout=walks.PATIENCE)
    assert walks.strips(page) == shown
    with server(tmp_path / "two.log", port=int(address.rpartition(":")[2])):
        gone.wait_for(state="detached", timeout=walks.PATIENCE)
        walks.read(page, "Anna saw 7 small fish")
        walks.says(page, walks.TOKENS, "·fish")
        assert "·small·fish" in walks.strips(page)[0]
    context.close()
