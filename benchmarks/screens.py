"""A picture of each page of the explorer, in light and dark: `python -m benchmarks.screens`.

Written to `docs/screens/`, small enough to be kept. Look at them after a change of the pages.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.journeys import chromium
from benchmarks.soak import server
from benchmarks.walks import PATIENCE, Page

FOLDER = Path(__file__).parent.parent / "docs" / "screens"
WIDTH, HEIGHT = 1200, 1200  # pixels
COLOURS = 128
SCREENS = {  # page -> its choices
    "start": {},
    "lens": {},
    "attribution": {},
    "attention": {"hide_first": "true", "layer": "2", "head": "4"},
    "intervene": {"replace": "9 ·little", "by": " old"},
    "training": {"model": "stories-suite"},
    "compare": {},
    "neurons": {},
    "flow": {},
    "work": {"temperature": "0"},
    "data": {"model": "reviews"},
    "audit": {},
}


def picture(page: Page, address: str, name: str) -> bytes:
    """A page of the explorer as a PNG of few colours."""
    from PIL import Image

    path = "" if name == "start" else name
    page.goto(f"{address}/{path}?{urlencode(SCREENS[name])}")
    page.wait_for_selector(
        '[data-testid="stApp"][data-test-script-state="notRunning"] h1', timeout=PATIENCE
    )
    page.wait_for_timeout(1_500)  # charts are drawn after the script has ended
    if name == "training":
        for key in ("heads_start", "lens_start"):
            page.locator(f".st-key-{key} button").click()
            page.locator(f".st-key-{key}").wait_for(state="detached", timeout=PATIENCE)
        page.wait_for_timeout(1_500)
    if name == "audit":
        page.get_by_role("button", name="Audit it").click()
        page.get_by_role("button", name="The page (HTML)").wait_for(timeout=PATIENCE)
        page.wait_for_timeout(1_500)
    page.get_by_test_id("stMain").evaluate("main => main.scrollTo(0, 0)")
    whole = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    # Moved to the means of what they stand for, so that greys stay grey; without dither, so that
    # paper stays plain.
    few = whole.quantize(COLOURS, Image.Quantize.MEDIANCUT, kmeans=3, dither=Image.Dither.NONE)
    out = io.BytesIO()
    few.save(out, "PNG", optimize=True)
    return out.getvalue()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pages", nargs="*", help=f"of {', '.join(SCREENS)}; by default all")
    options = parser.parse_args(arguments)
    unknown = {*options.pages} - {*SCREENS}
    if unknown:
        parser.error(f"no such page: {', '.join(sorted(unknown))}")
    FOLDER.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as temporary,
        server(Path(temporary) / "server.log") as (address, _),
        chromium() as window,
    ):
        page = window()
        page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
        for name in options.pages or SCREENS:
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                (FOLDER / f"{name}-{scheme}.png").write_bytes(picture(page, address, name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
