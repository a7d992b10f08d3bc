"""How soon the explorer answers: a reader's journeys in a real browser, beside their limits.

    python -m benchmarks.journeys --rounds 10 --write     # on `stories`
    python -m benchmarks.journeys --model FOLDER          # a model of yours
    python -m benchmarks.journeys --gpt2                  # random weights, shaped as GPT-2 small

A server is started as `interp explore` does. Each round is a fresh browser window that walks every
journey of `benchmarks/walks.py`; the clock runs from the last action to the answer on the screen.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from urllib.parse import urlencode

from benchmarks.report import as_markdown, as_text, machine, write_between_markers
from benchmarks.soak import QUIET, server
from benchmarks.walks import (
    JOURNEYS,
    PATIENCE,
    TOKENS,
    Clock,
    Journey,
    Page,
    begin,
    click_mark,
    go,
    read,
    says,
    settle,
)

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
_NUMBERS = "464 3139 286 4881 318 262 1748 286"  # tokens of a model without a tokenizer


# -- journeys on any decoder ---------------------------------------------------------------------


def _first_picture(page: Page, clock: Clock) -> None:
    with clock.running():
        read(page, f"{_NUMBERS} {clock.round + 10}")
        says(page, TOKENS, str(clock.round + 10))
        settle(page)


def _cached_click(page: Page, clock: Clock) -> None:
    read(page, _NUMBERS)
    says(page, TOKENS, "3139")
    settle(page)
    for place in ("2", "1"):
        with clock.running():
            click_mark(page, "predictions", f"place {place}:")
            says(page, ".st-key-token input", f"{place} ")
            settle(page)


def _page_switch(page: Page, clock: Clock) -> None:
    read(page, _NUMBERS)
    says(page, TOKENS, "3139")
    settle(page)
    with clock.running():
        go(page, "Attention", "one_head")


LARGE = (
    Journey("first picture after the text", 3.0, _first_picture),
    Journey("a click, computed before", 0.5, _cached_click),
    Journey("another page", 1.0, _page_switch),
)


# -- measuring -----------------------------------------------------------------------------------


@contextmanager
def chromium() -> Iterator[Callable[[], Page]]:
    """What opens a browser window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        path = shutil.which("chromium") or driver.chromium.executable_path
        browser = driver.chromium.launch(executable_path=path, args=list(QUIET))

        def window() -> Page:
            context = browser.new_context(viewport={"width": 1400, "height": 2400})
            context.set_default_timeout(PATIENCE)
            return context.new_page()

        yield window
        browser.close()


def opening(
    rounds: int, log: Path, models: Sequence[str], query: str
) -> tuple[list[float], list[float]]:
    """Seconds from the start of the command to the first picture, which may be a stored one, and to
    the page that is computed; in a new process each round."""
    first, computed = [], []
    with chromium() as window:
        for _ in range(rounds):
            start = time.perf_counter()
            with server(log, models) as (address, _):
                page = window()
                page.goto(address + query)
                page.wait_for_selector(TOKENS, timeout=PATIENCE)
                first.append(time.perf_counter() - start)
                settle(page)
                computed.append(time.perf_counter() - start)
                page.context.close()
    return first, computed


def walked(
    journeys: Sequence[Journey], rounds: int, log: Path, models: Sequence[str], query: str
) -> dict[str, list[float]]:
    """Seconds of each journey, one a round, after one round that does not count."""
    found: dict[str, list[float]] = {journey.name: [] for journey in journeys}
    with chromium() as window, server(log, models) as (address, _):
        for turn in range(rounds + 1):
            for journey in journeys:
                page, clock = window(), Clock(turn)
                begin(page, address + query)
                journey.walk(page, clock)
                page.context.close()
                if turn:
                    found[journey.name].append(clock.seconds)
    return found


def row(name: str, seconds: Sequence[float], limit: float | None) -> list[str]:
    """A line of the table: the 95th percentile is held against the limit, if there is one."""
    high = quantiles(seconds, n=20, method="inclusive")[-1] if len(seconds) > 1 else seconds[0]
    figures = [name, f"{median(seconds):.2f}", f"{high:.2f}"]
    if limit is None:
        return [*figures, "-", "-"]
    return [*figures, f"{limit:g}", "yes" if high <= limit else "**no**"]


def gpt2_shape(folder: Path) -> Path:
    """Random weights in the shape of GPT-2 small, which read numbers of tokens."""
    from interp.model.config import TransformerConfig
    from interp.model.transformer import HookedTransformer
    from interp.pretrained.folder import save_folder

    cfg = TransformerConfig(768, 12, 12, 50257, 1024, default_prepend_bos=False)
    save_folder(HookedTransformer(cfg), folder / "gpt2-shape")
    return folder / "gpt2-shape"


_HEADER = ["", "median s", "95 % s", "at most", "met"]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10, help="of each journey (10)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--model", type=Path, help="a folder of a decoder without a tokenizer")
    which.add_argument("--gpt2", action="store_true", help="a random model of its shape")
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.name}")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        log = Path(temporary) / "server.log"
        folder = gpt2_shape(Path(temporary)) if options.gpt2 else options.model
        if folder is None:
            first, computed = opening(options.rounds, log, [], "")
            rows = [row("from the command to the first picture", first, 5.0)]
            rows.append(row("from the command to what is computed", computed, None))
            journeys, found = JOURNEYS, walked(JOURNEYS, options.rounds, log, [], "")
        else:
            query = "/?" + urlencode({"model": folder.name, "text": _NUMBERS})
            journeys, rows = LARGE, []
            found = walked(LARGE, options.rounds, log, [str(folder)], query)
    rows += [row(journey.name, found[journey.name], journey.limit) for journey in journeys]
    print(as_text(_HEADER, rows))
    if options.write:
        about = "\n".join(f"- {name}: {value}" for name, value in machine("cpu", []).items())
        what = "journeys" if folder is None else "journeys of a large model"
        write_between_markers(PAGE, f"{about}\n\n{as_markdown(_HEADER, rows)}", what)
    return 0


if __name__ == "__main__":
    sys.exit(main())
