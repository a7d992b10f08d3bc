"""The explorer in a real browser: what only a browser can show, and that it asks nobody else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")

pytestmark = pytest.mark.browser

PATIENCE = 60_000  # milliseconds; the machine may be busy with other tests
QUIET = (
    *("--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-sandbox"),
)


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    with playwright.sync_playwright() as driver:
        path = found or driver.chromium.executable_path
        if not Path(path).exists():
            pytest.skip("no Chromium: neither on the PATH nor installed by playwright")
        chromium = driver.chromium.launch(executable_path=path, args=list(QUIET))
        yield chromium
        chromium.close()


def reader(browser: playwright.Browser, scheme: str = "light") -> playwright.BrowserContext:
    """Somebody whom the explorer has not met."""
    return browser.new_context(
        viewport={"width": 1400, "height": 2400}, color_scheme=scheme, reduced_motion="reduce"
    )


@contextmanager
def visit(
    browser: playwright.Browser, address: str, scheme: str = "light"
) -> Iterator[playwright.Page]:
    """The first page of the explorer, drawn; fails afterwards as `watched` does."""
    context = reader(browser, scheme)
    with watched(context) as page:
        page.goto(address)
        settle(page)
        yield page
    context.close()


@contextmanager
def watched(context: playwright.BrowserContext) -> Iterator[playwright.Page]:
    """An empty page; fails afterwards for errors, dialogs and requests to others."""
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda m: wrong.append(m.text) if _is_error(m) else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))

    def local_only(request: playwright.Request) -> None:
        to = urlparse(request.url)
        if to.scheme not in ("data", "blob") and to.hostname != "127.0.0.1":
            wrong.append(request.url)

    page.on("request", local_only)
    yield page
    page.close()
    assert not wrong


def _is_error(message: playwright.ConsoleMessage) -> bool:
    """Whether the browser complains, except that streamlit, opened at a page's own address, asks
    for the server's state below that address first."""
    searching = "/_stcore/" in message.location.get("url", "")
    return message.type == "error" and not searching


def settle(page: playwright.Page, chart: str | None = "predictions") -> None:
    """Wait until the script has ended and a chart of its page is drawn, if one is named."""
    if chart is None:
        page.wait_for_selector("h1", timeout=PATIENCE)
        page.wait_for_selector(
            '[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=PATIENCE
        )
        page.wait_for_timeout(1_000)  # charts and colours follow
        return
    page.wait_for_selector(
        f'[data-testid="stApp"][data-test-script-state="notRunning"] .st-key-{chart} '
        '[data-testid="stVegaLiteChart"] :is(svg, canvas)',
        timeout=PATIENCE,
    )
    if chart == "predictions":
        page.wait_for_selector(".interp-strip", timeout=PATIENCE)


def go(page: playwright.Page, title: str, chart: str) -> None:
    """Open another page of the explorer by its link at the top."""
    page.get_by_role("link", name=title, exact=True).first.click()
    settle(page, chart)


def chosen(page: playwright.Page, key: str) -> str:
    return page.locator(f".st-key-{key} input").input_value()


def click_mark(page: playwright.Page, chart: str, label: str) -> None:
    """Click the mark of a chart whose description begins with `label`."""
    mark = page.locator(f'.st-key-{chart} [role="graphics-symbol"][aria-label^="{label}"]')
    mark.click(force=True, timeout=PATIENCE)  # by force: the text of a cell lies above it


def expect_chosen(page: playwright.Page, key: str, starts: str, chart: str) -> None:
    page.wait_for_function(
        "([key, starts]) => document.querySelector(`.st-key-${key} input`)"
        ".value.startsWith(starts)",
        arg=[key, starts],
        timeout=PATIENCE,
    )
    settle(page, chart)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_first_page_is_drawn_without_errors_or_requests(
    browser: playwright.Browser, address: str, scheme: str
) -> None:
    with visit(browser, address, scheme) as page:
        assert page.locator(".interp-strip .t").count() > 10
        charts = page.locator('[data-testid="stVegaLiteChart"]')
        playwright.expect(charts).to_have_count(1, timeout=PATIENCE)
        assert page.locator('[data-testid="stException"]').count() == 0
        paper = page.locator(".interp-strip").evaluate("e => getComputedStyle(e).backgroundColor")
        assert paper == {"light": "rgb(252, 252, 251)", "dark": "rgb(21, 24, 28)"}[scheme]


def test_clicks_move_the_widgets_and_the_link_remembers(
    browser: playwright.Browser, address: str
) -> None:
    with visit(browser, address) as page:
        go(page, "Predict & lens", "lens")
        click_mark(page, "lens", "layer 3, position 6,")
        expect_chosen(page, "at", "6 ", "lens")
        go(page, "Attention", "one_head")
        click_mark(page, "heads", "layer 2, head 4:")
        expect_chosen(page, "layer", "2", "one_head")
        expect_chosen(page, "head", "4", "one_head")
        go(page, "Start", "predictions")
        click_mark(page, "predictions", "place 3:")
        expect_chosen(page, "token", "3 ", "predictions")
        page.wait_for_function(
            "document.querySelectorAll('.interp-strip .t').length === 7", timeout=PATIENCE
        )
        link, strip = page.url, page.locator(".interp-strip").inner_text()
    with visit(browser, link) as page:
        shown = [chosen(page, key)[:2].strip() for key in ("at", "token", "layer", "head")]
        assert shown == ["6", "3", "2", "4"]
        again = page.locator(".interp-strip").inner_text()
        # All but the cost, which says how long it took, and when.
        assert again.split("Cost:")[0] == strip.split("Cost:")[0]


@pytest.fixture(scope="module")
def acquainted(browser: playwright.Browser) -> Iterator[playwright.BrowserContext]:
    """Somebody who visits page after page: the browser keeps the scripts of streamlit."""
    context = reader(browser)
    yield context
    context.close()


COLOURS = ("color-contrast", "link-in-text-block")  # the rules of axe-core that look at colours


@pytest.mark.parametrize(
    "path",
    [
        *("", "lens", "attribution", "attention", "compare", "neurons", "flow", "work", "data"),
        *("audit", "training", "training?model=stories-suite", "?model=translate-en-fr"),
        *("intervene?replace=5%20%C2%B7there&by=%20here", "intervene?intervention=Steer"),
    ],
)
def test_each_page_opens_by_its_address_and_is_accessible(
    acquainted: playwright.BrowserContext, address: str, path: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python", reason="axe-core judges accessibility")
    rules = (Path(axe.__file__).parent / "axe.min.js").read_text("utf-8")
    with watched(acquainted) as page:
        page.goto(f"{address}/{path}")
        settle(page, None)
        assert page.locator('[data-testid="stException"]').count() == 0
        page.evaluate(rules)
        assert not grave(page)
        # In the dark the page is the same but for its colours.
        page.emulate_media(color_scheme="dark", reduced_motion="reduce")
        settle(page, None)
        assert not grave(page, *COLOURS)


def grave(page: playwright.Page, *only: str) -> list[tuple[str, str]]:
    """What hinders people, by all of axe-core's rules or by some: (rule, first element)."""
    asked: dict[str, Any] = {"resultTypes": ["violations"]}
    if only:
        asked["runOnly"] = {"type": "rule", "values": only}
    found = page.evaluate("asked => axe.run(asked)", asked)["violations"]
    return [(one["id"], one["nodes"][0]["html"]) for one in found if _is_grave(one)]


def _is_grave(violation: dict[str, Any]) -> bool:
    return violation["impact"] in ("serious", "critical")


def test_hostile_text_is_shown_and_does_nothing(browser: playwright.Browser, address: str) -> None:
    text = "<img src=x onerror=alert(1)> ![](http://x.test/y) </script> \u202ea [b](http://c.test)"
    with visit(browser, address) as page:
        page.locator(".st-key-at input").wait_for()
        page.locator("textarea").fill(text)
        page.locator("textarea").press("Control+Enter")
        page.wait_for_function(
            "document.querySelector('.interp-strip').innerText.includes('·<')", timeout=PATIENCE
        )
        settle(page)
        assert page.locator("main img, [data-testid=stMain] a[href*='c.test']").count() == 0
        # The new text is explained at its end, whatever was chosen for the old one.
        last = page.locator(".interp-strip .t").count() - 1
        assert chosen(page, "at").startswith(f"{last} ")


def test_a_refusal_is_shown_without_requests(browser: playwright.Browser, address: str) -> None:
    with visit(browser, address) as page:
        page.locator("textarea").fill("![](http://x.test/y) " * 90)
        page.locator("textarea").press("Control+Enter")
        page.wait_for_selector('[data-testid="stAlert"]', timeout=PATIENCE)
        page.wait_for_timeout(500)  # a picture or an icon would be asked for by now


def test_keyboard_reaches_each_score(browser: playwright.Browser, address: str) -> None:
    with visit(browser, address) as page:
        first = page.locator(".interp-strip .t").first
        first.focus()
        assert "score" in first.get_attribute("aria-label")
        page.keyboard.press("Tab")
        second = page.locator(".interp-strip .t").nth(1)
        assert second.evaluate("e => e === document.activeElement")
