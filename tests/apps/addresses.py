"""Addresses of the explorer as a hostile hand writes them, and what must hold of every page.

    python -m tests.apps.addresses --visits 1000
    python -m tests.apps.addresses --first 4711 --visits 1

A visit opens the explorer at an address whose parameters hold wrong types, huge and impossible
numbers, control characters, markup, 200,000 characters, or what is on offer; then it goes to
another page with the same parameters. Each time a page is drawn or a plain refusal stands there,
and no text of the address is read as Markdown or HTML. The number of a visit decides what is in
its address. Prints a table of Markdown; with any fault the program ends with 1.
"""

from __future__ import annotations

import argparse
import ast
import functools
import logging
import random
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from streamlit.testing.v1 import AppTest

from apps.language import CHINESE, translations
from tests.apps.hostile import VOCABULARY, models
from tests.figures.markup import read_html

APPS = Path(__file__).parents[2] / "apps"
PAGES = tuple(sorted(path.stem for path in (APPS / "views").glob("[a-z]*.py")))
PATIENCE = 60.0  # seconds that a page may take on a busy machine

LONGEST = 500_000  # characters of an address: Streamlit reads none that is longer than 524,288

NUMBERS = (
    *("0", "-1", "-0", "00", "1", "2", "3", "7", "99", "1.5", "1e3", "1e308", "1e999", "-1e999"),
    *(
        "nan",
        "inf",
        "-Infinity",
        "0x10",
        "1_0",
        "٣",
        "²",
        "１２",
        "9" * 30,
        "9" * 5_000,
        "2147483648",
    ),
    *(
        "-" + "9" * 5_000,
        "1 2 3",
        "1 " * 60_000,
        "9" * 5_000 + " 1",
        "2020-01-01",
        "12:00",
        "1e-320",
    ),
)
TEXTS = (
    *(
        "",
        " ",
        "\t",
        "\r\n",
        "true",
        "False",
        "None",
        "null",
        "[]",
        "{}",
        "{0} {x} %s%n",
        "{{7*7}}",
    ),
    *("../../etc/passwd", "/dev/zero", "file:///etc/passwd", "a:b", ".", "stories", "induction"),
    *("<img src=x onerror=a()>", "</script><script>a()</script>", "![](http://x.test/y)", "$x$"),
    *(
        "**b** [a](http://b.test) `c`",
        ":material/warning:",
        ":red[x]",
        "\u202eabc",
        "\x00",
        "\x1b[31m",
    ),
    *(
        "\u2028\x85",
        "\u0301" * 9_000,
        "👩\u200d👧" * 3_000,
        "\u202e" * 9_000,
        "\ufffd",
        "a" * 200_000,
    ),
    *("a b " * 50_000, "\n".join(["x"] * 400), "<b>\n" * 2_000, " ".join(VOCABULARY[1:12])),
)
ACTIVE = ("<img", "</script", "http:", "**b", ":material/w", ":red[", "\u202e", "\x1b", "\x00")
"""Pieces of the above that would act, wherever Markdown is read."""


def parameters(*files: str) -> tuple[str, ...]:
    """The names that widgets bind to the address, read from the source."""
    found = []
    for file in files:
        for node in ast.walk(ast.parse((APPS / file).read_text("utf-8"))):
            given = {k.arg: k.value for k in node.keywords} if isinstance(node, ast.Call) else {}
            if "bind" in given and isinstance(given["key"], ast.Constant):
                found.append(str(given["key"].value))
    return tuple(sorted(set(found)))


SHARED = parameters("state.py", "language.py")
OWN = {page: parameters(f"views/{page}.py") for page in PAGES}
OWN["neurons"] += parameters("features.py")
STRANGE = (
    "dictionary",
    "put",
    "lines_text",
    "embed",
    "embed_options",
    "state",
    "\u202e",
    "a" * 900,
)
"""Names that no widget has bound."""

# Choices that lead to other parts of a page.
OFFERED: Mapping[str, Sequence[str]] = {
    "language": ("English", "中文"),
    "against": ("another text", "another training step", "another model"),
    "intervention": ("Change a word", "Switch a head off", "Steer"),
    "units": ("Neurons", "Features"),
    "method": ("integrated gradients", "leave one out", "value zeroing"),
    "text": (" ".join(VOCABULARY[1:9]), "1 2 3 1 2", "a", "? ? ?"),
    "other_text": (" ".join(VOCABULARY[2:9]), "3 2 1", "? ?"),
    "by": (VOCABULARY[3], "7"),
    "toward": (" ".join(VOCABULARY[1:4]), "1 2"),
    "away": (VOCABULARY[5], "3 4"),
    "step": ("0", "10", "20"),
    "other_step": ("0", "10", "20"),
    "hide_first": ("true",),
    "errors_only": ("true",),
    "lowest": ("true",),
    "at": (f"1 {VOCABULARY[2]}", "0 1", "2 3"),
}


@dataclass(frozen=True)
class Visit:
    """What an address did.

    Attributes:
        pages: that were asked for, each with how it was taken: `drawn` or `refused`.
        faults: what went wrong, each in a line or a traceback.
    """

    number: int
    pages: tuple[tuple[str, str], ...]
    faults: tuple[str, ...]
    seconds: float


@contextmanager
def given(*folders: Path) -> Iterator[None]:
    """The command line of the explorer, as its pages see it."""
    before, main = sys.argv, sys.modules["__main__"]
    sys.argv = ["explorer.py", *map(str, folders)]
    try:
        yield
    finally:
        sys.argv, sys.modules["__main__"] = before, main


def drawn_address(
    draw: random.Random, pages: Sequence[str], names: Sequence[str]
) -> dict[str, Any]:
    """Parameters of an address: any of those that the pages know, and some that none does."""
    known = sorted({*SHARED, *(name for page in pages for name in OWN[page])} - {"model"})
    asked = draw.sample(known, draw.randint(1, len(known)))
    asked += draw.sample(STRANGE, draw.choice((0, 0, 1, 2)))
    found = {name: _value(name, draw) for name in asked}
    found["model"] = draw.choice(names) if draw.random() < 0.9 else _value("model", draw)
    if "against" in found and draw.random() < 0.5:
        found["other_model"] = draw.choice(names)
    while len(urlencode(found, doseq=True)) > LONGEST:
        del found[max(found, key=lambda name: len(urlencode({name: found[name]}, doseq=True)))]
    return found


def _value(name: str, draw: random.Random) -> Any:
    if draw.random() < 0.1:
        return [draw.choice((*NUMBERS, *TEXTS)) for _ in range(draw.choice((2, 2, 3, 200)))]
    if name in OFFERED and draw.random() < 0.6:
        return draw.choice(OFFERED[name])
    return draw.choice(NUMBERS if draw.random() < 0.5 else TEXTS)


def visit(number: int, names: Sequence[str]) -> Visit:
    """Opens an address on Start and on two pages more, and judges each.

    Args:
        names: of the models that are on offer besides the zoo.
    """
    draw = random.Random(f"address {number}")
    pages = ("start", *draw.sample([page for page in PAGES if page != "start"], 2))
    values = drawn_address(draw, pages, names)
    if values.get("language") == CHINESE:  # AppTest asks for the texts of choices in English
        pages = pages[:2]
    begin, taken, faults = time.monotonic(), [], []
    app = AppTest.from_file(str(APPS / "explorer.py"), default_timeout=PATIENCE)
    for page in pages:
        app.query_params = dict(values)
        try:
            (app if page == "start" else app.switch_page(f"views/{page}.py")).run()
        except Exception as error:  # also the time that is up
            faults.append(f"{page}: {error!r}")
            break
        faults += [f"{page}: {found}" for found in judged(app)]
        taken.append((page, "refused" if app.error else "drawn"))
    return Visit(number, tuple(taken), tuple(faults), time.monotonic() - begin)


@functools.cache
def _own_words() -> set[str]:
    known = translations()
    return {*known, *known.values()}


def judged(app: AppTest) -> list[str]:
    """What is wrong with a page, whatever was asked of it."""
    faults = ["\n".join((error.message, *error.stack_trace)) for error in app.exception]
    faults += [
        f"no refusal of ours: {e.value:.80}" for e in app.error if e.value not in _own_words()
    ]
    if not faults and not app.error and not len(app.sidebar.selectbox):
        faults.append("nothing is drawn")
    for text in markdown(app):
        faults += [
            f"{piece!r} is read as Markdown: {text!r:.120}" for piece in ACTIVE if piece in text
        ]
    for element in app.get("html"):
        try:
            tree = read_html(element.proto.body)
        except AssertionError as error:
            faults.append(f"torn HTML: {error}")
            continue
        faults += [f"<{tag}> in HTML" for tag in ("img", "script", "iframe", "s") if tree.all(tag)]
    return faults


def markdown(app: AppTest) -> Iterator[str]:
    """Every text of a page that Streamlit reads as Markdown: bodies, and the labels of widgets."""
    waiting: list[Any] = [app._tree]
    while waiting:
        one = waiting.pop()
        waiting += getattr(one, "children", {}).values()
        proto = getattr(one, "proto", None)
        for part in (
            proto,
            *(getattr(proto, name, None) for name in ("expandable", "popover", "tab")),
        ):
            for name in ("label", "help"):
                if isinstance(text := getattr(part, name, None), str):
                    yield text
        if one.type in ("markdown", "caption", "header", "subheader", "title", "alert", "error",
                        "warning", "info", "success", "toast"):  # fmt: skip
            yield str(one.value)
        if one.type in ("radio", "button_group"):
            yield from map(str, one.options)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--visits", type=int, default=200, help="addresses")
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable()  # Streamlit tells of every run without a server
    found: Counter[tuple[str, str]] = Counter()
    faults, slowest = 0, 0.0
    with tempfile.TemporaryDirectory(prefix="interp-addresses-") as room:
        folders = list(models(Path(room)).values())
        with given(*folders):
            for number in range(options.first, options.first + options.visits):
                told = visit(number, [folder.name for folder in folders])
                found.update(told.pages)
                slowest = max(slowest, told.seconds)
                faults += len(told.faults)
                for fault in told.faults:
                    print(f"\nvisit {number}: {fault}", file=sys.stderr, flush=True)
    print("| page | opened | drawn | refused |\n|---|--:|--:|--:|")
    for page in PAGES:
        drawn, refused = found[page, "drawn"], found[page, "refused"]
        print(f"| {page} | {drawn + refused:,} | {drawn:,} | {refused:,} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"\n{options.visits:,} visits, {faults} faults, slowest {slowest:.1f} s, {peak:,} MiB")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
