"""The explorer under several readers at once, for long: does each see his own, and does it hold?

    python -m benchmarks.soak --sessions 8 --minutes 10

A server is started as `interp explore` does, and so many browser windows walk through its pages at
random: other texts, positions and methods, back and forth. What a window shows (the scores of the
tokens and the sentences of the charts) depends on its text and choices alone, so every window must
show what the first one showed that asked the same, and the tokens of its own text and no other's.
Memory of the server is read every few seconds.

Prints a table of Markdown; ends with 1 if a window showed another's result or an error, the server
wrote of one, or its memory went on growing.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any
from urllib.request import urlopen

PATIENCE = 120_000  # milliseconds for a page, on a machine that has other work
_LOOKS = 10  # at what seems wrong, before it counts
SAMPLE = 2.0  # seconds between two readings of memory
GROWTH = 1.10
"""Memory of the last quarter in units of that of the quarter before: more is growth. What a cache
may hold is reached by then."""

METHODS = ("integrated gradients", "gradient x input", "attention rollout", "attn lrp")
PAGES = {"Start": "predictions", "Predict & lens": "lens", "Attention": "one_head"}
_BEGINNINGS = ("The old", "A small", "One cold", "The proud", "A hungry", "The last")
_WHO = ("king", "dog", "queen", "fox", "sailor", "bear", "miller", "raven", "giant", "tailor")
_DOES = ("ran to the", "was afraid of the", "looked at the", "wanted to eat the")
QUIET = ("--disable-gpu", "--disable-background-networking", "--disable-sync", "--no-sandbox")

# What a window shows: its text, its choices, the tokens with their scores, sentences of charts.
_SEEN = """() => ({
  text: document.querySelector("section[data-testid=stSidebar] textarea").value,
  chosen: ["at", "token", "foil", "method"].map(
    key => document.querySelector(`.st-key-${key} input`)?.value ?? ""),
  tokens: [...document.querySelectorAll(".interp-strip .t")].map(e => e.innerText),
  said: [...document.querySelectorAll(
    ".interp-strip .t, [data-testid=stVegaLiteChart] [role=graphics-document]")]
    .map(e => e.getAttribute("aria-label")),
  failed: document.querySelectorAll("[data-testid=stException], [data-testid=stAlert]").length,
})"""


@dataclass
class Soak:
    """What all windows saw.

    Attributes:
        known: page, text and choices -> what was shown first.
        wrong: what should not have been, in words.
        memory: seconds since the start and bytes of the server, one pair a sample.
    """

    known: dict[tuple[Any, ...], Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    memory: list[tuple[float, int]] = field(default_factory=list)
    steps: int = 0
    repeated: int = 0
    seconds: list[float] = field(default_factory=list)

    def faults(self, window: int, page: str, text: str, seen: dict[str, Any]) -> list[str]:
        """What is wrong with what a window shows, by its own text and by what others saw."""
        found = []
        if seen["failed"]:
            found.append(f"window {window}, {page}: an error is shown")
        if seen["text"] != text:
            found.append(f"window {window}, {page}: it asked {text!r}, has {seen['text']!r}")
        letters = re.sub(r"<\|\w+\|>|[·\s]", "", "".join(seen["tokens"]))
        if page == "Start" and not (letters and text.replace(" ", "").startswith(letters)):
            found.append(f"window {window}: {letters!r} are not the tokens of {text!r}")
        recipe = (page, text, *seen["chosen"])
        if self.known.get(recipe, seen["said"]) != seen["said"]:
            found.append(f"window {window}: another result for {recipe}")
        return found

    def note(self, page: str, text: str, seen: dict[str, Any], seconds: float) -> None:
        """Remembers what a window was shown."""
        recipe = (page, text, *seen["chosen"])
        self.steps += 1
        self.seconds.append(seconds)
        self.repeated += recipe in self.known
        self.known.setdefault(recipe, seen["said"])

    def growth(self) -> float:
        """Memory of the last quarter of the time, in units of that of the quarter before."""
        quarter = max(1, len(self.memory) // 4)
        last, before = self.memory[-quarter:], self.memory[-2 * quarter : -quarter]
        return median(b for _, b in last) / median(b for _, b in before or last)


def texts_of(window: int) -> list[str]:
    """The texts of a window: some of its own, and one that all share."""
    every = [" ".join(parts) for parts in itertools.product(_BEGINNINGS, _WHO, _DOES)]
    own = random.Random(f"texts {window}").sample(every, 5)
    return [*own, "Once upon a time there was a little"]


async def visit(window: int, browser: Any, address: str, until: float, soak: Soak) -> None:
    """One window; one that gets stuck is something wrong, and no reason for the others to end."""
    from playwright.async_api import Error

    try:
        await walk(window, browser, address, until, soak)
    except Error as error:
        soak.wrong.append(f"window {window} is stuck: {error.message.splitlines()[0]}")


async def walk(window: int, browser: Any, address: str, until: float, soak: Soak) -> None:
    """One window, from its opening to the end."""
    draw = random.Random(f"walk {window}")
    context = await browser.new_context(viewport={"width": 1300, "height": 2000})
    context.set_default_timeout(PATIENCE)
    page = await context.new_page()
    page.on("pageerror", lambda error: soak.wrong.append(f"window {window}: {error}"))
    texts, here = texts_of(window), "Start"
    text = texts[0]
    await page.goto(address)
    await settle(page, here)
    while time.monotonic() < until:
        begin = time.monotonic()
        kind = draw.choices(("text", "page", "at", "method"), (3, 3, 2, 2))[0]
        if kind == "text" or soak.steps < 2:
            text = draw.choice(texts)
            area = page.locator("section[data-testid=stSidebar] textarea")
            await area.fill(text)
            await area.press("Control+Enter")
        elif kind == "page":
            here = draw.choice([name for name in PAGES if name != here])
            await page.get_by_role("link", name=here, exact=True).first.click()
        else:
            await choose(page, kind, draw)
        # On a machine with much to do, what stands there may be from before the change. It goes
        # away; what belongs to somebody else would stay.
        for _ in range(_LOOKS):
            await settle(page, here)
            seen = await stable(page)
            faults = soak.faults(window, here, text, seen)
            if not faults:
                break
        soak.wrong += faults
        soak.note(here, text, seen, time.monotonic() - begin)
    await context.close()


async def choose(page: Any, key: str, draw: random.Random) -> None:
    """Another value of a widget, as a keyboard does it."""
    field = page.locator(f".st-key-{key} input")
    await field.click()
    options = page.get_by_role("option")
    await options.first.wait_for()
    if key == "method":
        await options.filter(has_text=re.compile(f"^{draw.choice(METHODS)}$")).first.click()
    else:
        await options.nth(draw.randrange(max(1, min(4, await options.count())))).click()


async def settle(page: Any, name: str) -> None:
    """Waits until the script has ended and the chart of its page is drawn."""
    await page.wait_for_timeout(150)  # for the change to have begun
    await page.wait_for_selector(
        '[data-testid="stApp"][data-test-script-state="notRunning"] '
        f'.st-key-{PAGES[name]} [data-testid="stVegaLiteChart"] :is(svg, canvas)',
        timeout=PATIENCE,
    )


async def stable(page: Any) -> Any:
    """What is shown, when two looks agree: charts are drawn after the script has ended."""
    seen = None
    for _ in range(40):
        again = await page.evaluate(_SEEN)
        running = await page.locator('[data-test-script-state="running"]').count()
        if again == seen and not running:
            return seen
        seen = again
        await page.wait_for_timeout(250)
    return seen


async def watch(process: int, until: float, soak: Soak) -> None:
    begin = time.monotonic()
    while time.monotonic() < until:
        soak.memory.append((time.monotonic() - begin, resident(process)))
        await asyncio.sleep(SAMPLE)


def resident(process: int) -> int:
    """Bytes of memory that a process holds (Linux; see proc(5))."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) << 10 if found else 0


@contextmanager
def server(
    log: Path, models: Sequence[str] = (), port: int | None = None
) -> Iterator[tuple[str, int]]:
    """A running explorer, given models besides the zoo: its address, and its process.

    Args:
        port: where it listens, by default one that is free.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = port or free.getsockname()[1]
    command = [sys.executable, "-m", "apps.cli", "explore", "--headless", "--port", str(port)]
    command += models
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with (
        log.open("wb") as out,
        subprocess.Popen(command, env=environment, stdout=out, stderr=out) as process,
    ):
        try:
            address = f"http://127.0.0.1:{port}"
            for _ in range(300):
                try:
                    with urlopen(f"{address}/_stcore/health", timeout=2):
                        break
                except OSError:
                    time.sleep(0.2)
            yield address, process.pid
        finally:
            process.terminate()


async def soak(sessions: int, minutes: float, log: Path) -> Soak:
    from playwright.async_api import async_playwright

    found = Soak()
    with server(log) as (address, process):
        async with async_playwright() as driver:
            path = shutil.which("chromium") or driver.chromium.executable_path
            browser = await driver.chromium.launch(executable_path=path, args=list(QUIET))
            until = time.monotonic() + 60 * minutes
            await asyncio.gather(
                watch(process, until, found),
                *(visit(i, browser, address, until, found) for i in range(sessions)),
            )
            await browser.close()
    lines = log.read_text("utf-8", "replace").splitlines()
    found.wrong += [f"server: {line}" for line in lines if "Traceback" in line or "Error" in line]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=8, help="windows (8)")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (10)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(soak(options.sessions, options.minutes, Path(folder) / "server.log"))
    memory = [held for _, held in found.memory]
    growth = found.growth()
    print("| windows | minutes | steps | asked again | median s | slowest s | wrong |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    print(
        f"| {options.sessions} | {options.minutes:g} | {found.steps} | {found.repeated} | "
        f"{median(found.seconds or [0]):.1f} | {max(found.seconds, default=0):.1f} | "
        f"{len(found.wrong)} |"
    )
    print(f"\nMemory of the server: {memory[0] >> 20} MiB at the start, at most "
          f"{max(memory) >> 20}, {memory[-1] >> 20} at the end; last quarter by the one before: "
          f"{growth:.3f}.")  # fmt: skip
    for each in found.memory[:: max(1, len(memory) // 10)]:
        print(f"{each[0]:6.0f} s {each[1] >> 20:6} MiB")
    for line in found.wrong[:20]:
        print(line, file=sys.stderr)
    return 1 if found.wrong or growth > GROWTH else 0


if __name__ == "__main__":
    sys.exit(main())
