"""The journeys of a reader through the explorer, in a real browser.

Each is a function of a page that stands on Start. It does what a person does, waits until the
answer is to be seen, and gives what was seen. The tests ask whether that is right, and the
benchmark how long it took: the clock runs from the last action to the answer.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

PATIENCE = 120_000  # milliseconds; the machine may be busy
TOKENS = ".interp-strip"
SAID = '[data-testid="stMain"] [data-testid="stText"]'  # sentences, those of charts too
_COST = re.compile(r"Cost: .*")
_IDLE = '[data-testid="stApp"][data-test-script-state="notRunning"]'

Page = Any  # a page of playwright, which need not be installed


@dataclass
class Clock:
    """Seconds from the last action to the answer.

    Attributes:
        round: of the walk; each round asks something that was not asked before.
    """

    round: int = 0
    seconds: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        self.seconds = time.perf_counter() - begin


@dataclass(frozen=True)
class Journey:
    """What a person does, and how soon the answer must be there.

    Attributes:
        name: in a table.
        limit: seconds, on a machine of two cores.
        walk: does it, and gives what was seen.
    """

    name: str
    limit: float
    walk: Callable[[Page, Clock], Any]


# -- what a person does --------------------------------------------------------------------------


def settle(page: Page, chart: str = "predictions") -> None:
    """Wait until the script has ended and a chart of its page is drawn."""
    drawn = f'.st-key-{chart} [data-testid="stVegaLiteChart"] :is(svg, canvas)'
    page.wait_for_selector(f"{_IDLE} {drawn}", timeout=PATIENCE)


def go(page: Page, title: str, chart: str) -> None:
    """Another page of the explorer, by its link at the top."""
    page.get_by_role("link", name=title, exact=True).first.click()
    settle(page, chart)


def begin(page: Page, address: str) -> None:
    """Start, drawn to its end."""
    page.goto(address)
    settle(page)
    page.wait_for_selector(f"{_IDLE} {TOKENS}", timeout=PATIENCE)


def says(page: Page, where: str, what: str) -> None:
    """Wait until an element that a selector finds says something, and the script has ended."""
    page.wait_for_function(
        "([where, what]) => [...document.querySelectorAll(where)].some("
        "e => `${e.getAttribute('aria-label')} ${e.value} ${e.innerText}`.includes(what))",
        arg=[where, what],
        timeout=PATIENCE,
    )
    page.wait_for_selector(_IDLE, timeout=PATIENCE)


def click_mark(page: Page, chart: str, label: str) -> None:
    """Click the mark of a chart whose description begins with `label`."""
    mark = page.locator(f'.st-key-{chart} [role="graphics-symbol"][aria-label^="{label}"]')
    mark.first.click(force=True, timeout=PATIENCE)  # by force: the text of a cell lies above it


def read(page: Page, text: str) -> None:
    """Give the sidebar another text."""
    area = page.locator("section[data-testid=stSidebar] textarea")
    area.fill(text)
    area.press("Control+Enter")


def strips(page: Page) -> list[str]:
    """What the strips of tokens say, but for the cost, which tells how long it took and when."""
    return [_COST.sub("", text) for text in page.locator(TOKENS).all_inner_texts()]


def sentences(page: Page) -> list[str]:
    """What the page and its charts state."""
    return list(page.locator(SAID).all_inner_texts())


# -- the journeys --------------------------------------------------------------------------------


def reload(page: Page, clock: Clock) -> list[str]:
    """The page again."""
    with clock.running():
        begin(page, page.url)
    return strips(page)


def example(page: Page, clock: Clock) -> list[str]:
    """Another of the texts that come with the model."""
    page.get_by_role("button", name="Examples").click()
    with clock.running():
        page.locator(".st-key-example_1 button").click()
        says(page, TOKENS, "·angry")
    return strips(page)


def _text(clock: Clock) -> str:
    return f"Anna saw {clock.round + 2} small fish"


def prompt(page: Page, clock: Clock) -> list[str]:
    """A text of one's own."""
    with clock.running():
        read(page, _text(clock))
        says(page, TOKENS, "·fish")
    return strips(page)


def prompt_again(page: Page, clock: Clock) -> list[str]:
    """A text that was asked before."""
    prompt(page, clock)
    read(page, "The king was very")
    says(page, TOKENS, "·king")
    with clock.running():
        read(page, _text(clock))
        says(page, TOKENS, "·fish")
    return strips(page)


def cell(page: Page, clock: Clock) -> str:
    """A cell of the lens, which moves the page to its position."""
    go(page, "Predict & lens", "lens")
    with clock.running():
        click_mark(page, "lens", "layer 3, position 6,")
        says(page, ".st-key-at input", "6 ")
        settle(page, "lens")
    return str(page.locator(".st-key-at input").input_value())


def method(page: Page, clock: Clock) -> list[str]:
    """Another method, on a text that it has not explained."""
    prompt(page, clock)
    page.locator(".st-key-method input").click()
    with clock.running():
        page.get_by_role("option", name="leave one out", exact=True).click()
        says(page, TOKENS, "leave one out: why")
    return strips(page)


def head(page: Page, clock: Clock) -> list[str]:
    """A head of the grid, shown large."""
    go(page, "Attention", "one_head")
    with clock.running():
        click_mark(page, "heads", "layer 2, head 4:")
        says(page, SAID, "Layer 2, head 4")
    return sentences(page)


def compare(page: Page, clock: Clock) -> list[str]:
    """One word of the second text changed."""
    go(page, "Compare", "changes")
    word = ("king", "dog", "cat", "fish", "bird")[clock.round % 5]
    area = page.locator(".st-key-other_text textarea")
    area.fill(area.input_value().replace(" boy", f" {word}"))
    with clock.running():
        area.press("Control+Enter")
        says(page, TOKENS, f"·girl→·{word}")
        settle(page, "changes")
    return strips(page)


def patch(page: Page, clock: Clock) -> str:
    """One word replaced, and each part of the first run put into the second."""
    page.get_by_role("link", name="Intervene", exact=True).first.click()
    field = page.locator(".st-key-by input")
    field.fill((" man", " dog", " cat", " fish", " bird")[clock.round % 5])
    with clock.running():
        field.press("Enter")
        says(page, SAID, " brings most back")
        settle(page, "patches")
    return " ".join(sentences(page))


def step(page: Page, clock: Clock) -> tuple[list[str], list[str]]:
    """The step of a suite, moved with the keyboard."""
    begin(page, page.url.partition("?")[0].rstrip("/") + "/?model=stories-suite")
    go(page, "Predict & lens", "lens")
    before = sentences(page)
    handle = page.locator(".st-key-step input[type=range]")
    handle.focus()
    with clock.running():
        page.keyboard.press("Home")
        page.wait_for_function(
            "([where, old]) => { const now = [...document.querySelectorAll(where)];"
            "return now.length && !now.some(e => old.includes(e.innerText)); }",
            arg=[SAID, before],
            timeout=PATIENCE,
        )
        settle(page, "lens")
    return before, sentences(page)


def link(page: Page, clock: Clock) -> tuple[list[str], list[str]]:
    """The address of a moment, opened by somebody else."""
    prompt(page, clock)
    page.wait_for_function("location.search.includes('text=')", timeout=PATIENCE)
    mine = strips(page)
    other = page.context.browser.new_page()
    try:
        with clock.running():
            begin(other, page.url)
        return mine, strips(other)
    finally:
        other.close()


def audit(page: Page, clock: Clock) -> str:
    """An audit of the parts that are chosen at first, taken along as a page."""
    page.get_by_role("link", name="Audit", exact=True).first.click()
    asked = page.get_by_role("button", name="Audit it")
    asked.wait_for(timeout=PATIENCE)
    with clock.running():
        asked.click()
        ready = page.get_by_role("button", name="The page (HTML)")
        ready.wait_for(timeout=PATIENCE)
        page.wait_for_selector(_IDLE, timeout=PATIENCE)
    with page.expect_download() as taken:
        ready.click()
    return str(taken.value.path())


JOURNEYS = (
    Journey("reload Start", 1.5, reload),
    Journey("another example", 1.0, example),
    Journey("a new text", 1.5, prompt),
    Journey("the same text again", 0.3, prompt_again),
    Journey("a cell of the lens", 0.5, cell),
    Journey("another method", 3.0, method),
    Journey("a head of the grid", 0.5, head),
    Journey("a changed word, compared", 2.0, compare),
    Journey("a patched word", 3.0, patch),
    Journey("another checkpoint", 1.0, step),
    Journey("a link, opened elsewhere", 5.0, link),
    Journey("an audit, downloaded", 10.0, audit),
)
"""All but the first, the opening of a fresh explorer, which needs a server of its own."""
