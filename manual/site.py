"""What mkdocs does not do by itself: pages from elsewhere in the repository, no outside address.

`mkdocs.yml` names this file under `hooks`; mkdocs calls the functions by their names.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

from manual.reference import pages
from notebooks.notebook import notebooks, read
from notebooks.pages import page

ROOT = Path(__file__).parent.parent
EXECUTED = ROOT / "build" / "notebooks"

# File of the repository -> its place in the site.
ELSEWHERE = {
    "README.md": "index.md",
    "README.zh.md": "index.zh.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "LICENSE": "LICENSE.txt",
    "notebooks/README.md": "notebooks/index.md",
}

# What a browser fetches to show a page; a link that a reader may follow is none of it.
_FETCHED = re.compile(
    r"""(?:<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?\b(?:src|data)=
        |<link\b(?![^>]*\brel=["']?canonical)[^>]*?\bhref=|url\(|@import\s)
        \s*["']?((?:https?:)?//[^"'\s)>]+)""",
    re.IGNORECASE | re.VERBOSE,
)


def on_files(files: Files, config: Any) -> Files:
    """Adds pages that do not lie in `docs/`: as they are, but for links, or made by the code."""
    made = {place: moved((ROOT / path).read_text("utf-8")) for path, place in ELSEWHERE.items()}
    made |= pages()
    for path in notebooks():
        done = EXECUTED / f"{path.stem}.html"
        made[f"notebooks/{path.stem}.html"] = (
            done.read_text("utf-8") if done.exists() else page(read(path))
        )
    for place, content in made.items():
        files.append(File.generated(config, place, content=content))
    return files


def moved(text: str) -> str:
    """A text of the repository with links that hold in the site."""
    text = re.sub(r"\]\((?:\.\./)?docs/", "](", text)
    text = re.sub(r"\]\(([0-9][\w-]*)\.ipynb\)", r"](\1.html)", text)
    for path, place in ELSEWHERE.items():
        text = text.replace(f"]({path})", f"]({place})")
    return text


def on_post_build(config: Any) -> None:
    """Refuses a site that would fetch anything from elsewhere."""
    found = outside(Path(config["site_dir"]))
    if found:
        raise PluginError("The site would fetch from elsewhere: " + "; ".join(found))


def outside(folder: Path) -> list[str]:
    """The addresses in pages and styles of a folder that a browser would fetch from elsewhere."""
    return [
        f"{path.relative_to(folder)}: {address}"
        for path in sorted(folder.rglob("*"))
        if path.suffix in (".html", ".css", ".svg")
        for address in _FETCHED.findall(path.read_text("utf-8"))
    ]
