"""The site of the documentation: whole, current, and silent towards the network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytest.importorskip("mkdocs")
pytest.importorskip("mistune")


def test_the_page_of_hook_points_is_current() -> None:
    from manual import hook_table

    assert hook_table.PAGE.read_text("utf-8") == hook_table.page(), (
        "run `python -m manual.hook_table`"
    )


@pytest.mark.parametrize("name", ["stories", "reviews", "translate-en-fr", "induction", "grokking"])
def test_the_page_knows_every_point_of_a_model(name: str) -> None:
    import interp
    from manual.hook_table import page

    model = interp.load(name)
    title = model.cfg.shape.replace("_", "-").capitalize()
    section = page().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    listed = dict(re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|", section, flags=re.MULTILINE))
    for point in model.hook_points.values():
        assert listed[re.sub(r"\.\d+\.", ".{i}.", point.name)] == point.shape


def test_a_new_point_goes_behind_its_neighbour() -> None:
    from interp.model.hook_points import HookPoint
    from manual.hook_table import merged

    def points(names: str) -> dict[str, HookPoint]:
        return {name: HookPoint(name, "pos", "nothing") for name in names}

    assert "".join(merged({"one": points("ace"), "other": points("abcdf")})) == "abcdfe"


def test_the_reference_has_every_public_name() -> None:
    import interp
    from manual.reference import pages
    from probes import ANALYSES

    made = pages()
    shown = set(re.findall(r"^::: [\w.]*\.(\w+)$", made["reference/interp.md"], re.MULTILINE))
    assert shown == set(interp.__all__) - {"__version__"}
    for name in ANALYSES:
        part = made["reference/probes.md"].partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        assert f"\n::: probes.{name}." in part


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('<script src="https://cdn.example/x.js">', ["https://cdn.example/x.js"]),
        ("<link rel=stylesheet href=//fonts.example/a.css>", ["//fonts.example/a.css"]),
        ("a{background:url('http://x.example/y.png')}", ["http://x.example/y.png"]),
        ('@import "https://x.example/y.css";', ["https://x.example/y.css"]),
        ('<img alt="x" src="picture.png"><a href="https://example.org">read</a>', []),
    ],
)
def test_what_a_browser_would_fetch_is_noticed(text: str, found: list[str], tmp_path: Path) -> None:
    from manual.site import outside

    (tmp_path / "page.html").write_text(text, "utf-8")
    assert outside(tmp_path) == [f"page.html: {address}" for address in found]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings_handlers.python")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (
        done.stderr
    )  # a broken link or anchor is a warning, and so an error
    return folder


@pytest.mark.slow
def test_every_page_is_built_and_reachable(site: Path) -> None:
    navigation = (site / "index.html").read_text("utf-8")
    for path in (ROOT / "docs").rglob("*.md"):
        place = path.relative_to(ROOT / "docs").with_suffix(".html")
        assert (site / place).is_file()
        assert f'href="{place.as_posix()}"' in navigation, f"{path.name} is not in the nav"
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert (site / "notebooks" / f"{path.stem}.html").is_file()
    reference = (site / "reference" / "interp.html").read_text("utf-8")
    assert 'id="interp.load"' in reference and "run_with_cache" in reference


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize("page", ["index.html", "reference/interp.html", "planted-truth.html"])
def test_a_page_opens_from_the_disk_and_asks_for_nothing(site: Path, page: str) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = next(
        (p for p in ("/usr/bin/chromium", "/usr/bin/google-chrome") if Path(p).exists()), None
    )
    if chromium is None:
        pytest.skip("needs a browser")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        opened = browser.new_page()
        asked: list[str] = []
        opened.on("request", lambda request: asked.append(request.url))
        opened.goto((site / page).as_uri())
        opened.wait_for_timeout(500)
        browser.close()
    assert asked and [url for url in asked if not url.startswith(("file:", "data:"))] == []
