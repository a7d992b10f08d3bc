"""Public-domain novels and open picture-book stories, the texts behind the zoo model `stories`.

Both collections are read straight from their compressed files and cleaned lightly; each book says
who wrote it, under which licence, and on which side of the split it lies. The result depends on
the files alone.

Expected below the data folder:
- `standard_ebooks/`: one `*.txt.gz` a book and `SOURCES.tsv` (Standard Ebooks editions, CC0);
- `childrens_stories/stories_cc_by.tar.xz`: Markdown stories `pb/en/*.md` (Pratham Books) and
  `asp/en/*.md` (African Storybook), `##` alone on a line being a page break.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import tarfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from interp.data.records import Split
from interp.data.sets.files import own_split, present, text

# Whole books are held out, never pages of one: a model that has read half of a novel knows its
# names. None of the three has a sequel among the training books.
HELD_OUT_BOOKS = (
    "h-g-wells_the-war-of-the-worlds",
    "jack-london_the-call-of-the-wild",
    "lewis-carroll_alices-adventures-in-wonderland_john-tenniel",
)
HELD_OUT_STORIES = 20  # one story title in this many

# What people type is straight; what typesetters print is not. One form for both.
_TYPED_FORMS = str.maketrans(
    {
        "\u201c": '"', "\u201d": '"', "\u2033": '"',
        "\u2018": "'", "\u2019": "'", "\u201a": ",", "\u2032": "'", "\u00b4": "'",
        "\u2026": "...", "\u2011": "-",
        "\u2015": "\u2014", "\u2e3a": "\u2014", "\u2e3b": "\u2014",
        "\u00a0": " ", "\u2003": " ", "\u2029": "\n", "\u2028": "\n",
    }
)  # fmt: skip

# Some of the novels are full of racist words that a demonstration model has no use for. Their
# paragraphs are left out; the rest of each book stays.
_SLURS = re.compile(r"\b(?:nigger\w*|darkies|darky|coons?)\b", re.IGNORECASE)

_CHAPTER_NUMBER = re.compile(r"(?:(?:part|book|chapter|volume) )?[ivxlc]+\.?", re.IGNORECASE)

_COMMON_WORDS = frozenset(
    "a all and are as at be but by can come day did do for from go good had has have he her him his"
    " how i in is it like little me my no not of on one out said see she so that the their them"
    " then there they this to too up was we went were what when who will with you your".split()
)


Side = Literal["train", "held_out"]
_SIDES: dict[str, Side] = {"train": "train", "test": "held_out"}


@dataclass(frozen=True)
class Book:
    """One book or story: its cleaned text and where it comes from."""

    collection: str
    name: str
    title: str
    author: str
    license: str
    url: str
    split: Side
    text: str


def read_books(data: Path) -> list[Book]:
    """All of both collections, novels first, each collection in the order of its names.

    Raises:
        LoadError: a collection is missing below `data`.
    """
    both: tuple[Side, ...] = ("train", "held_out")
    novels = _novels(data / "standard_ebooks", both)
    return [*novels, *_stories(data / "childrens_stories", both)]


def standard_ebooks(data: Path, split: Split) -> list[Book]:
    """44 novels, half of them for children (Standard Ebooks, CC0); three are for testing."""
    return list(_novels(data / "standard_ebooks", [own_split(_SIDES, split, "standard_ebooks")]))


def childrens_stories(data: Path, split: Split) -> list[Book]:
    """Stories of picture books in English (Pratham Books and African Storybook, CC BY), one title
    in twenty for testing."""
    side = own_split(_SIDES, split, "childrens_stories")
    return list(_stories(data / "childrens_stories", [side]))


def clean_paragraphs(paragraphs: list[str]) -> str:
    """One text of the paragraphs worth keeping, a blank line between two of them.

    Quotation marks, apostrophes, dashes and special spaces get the form that a keyboard types.
    Chapter numbers, ornaments and paragraphs with a racist slur are left out. A paragraph that
    begins with a small letter continues the one before (page breaks cut sentences in two).
    """
    kept: list[str] = []
    for raw in paragraphs:
        text = raw.translate(_TYPED_FORMS).strip()
        text = re.sub(r"[ \t]+", " ", text)
        if not any(letter.isalnum() for letter in text):
            continue
        if _CHAPTER_NUMBER.fullmatch(text):
            continue
        if _SLURS.search(text):
            continue
        if kept and text[0].islower():
            kept[-1] += " " + text
        else:
            kept.append(text)
    return "\n\n".join(kept)


def story_paragraphs(markdown: str) -> list[str]:
    """Title and paragraphs of one Markdown story, without marks, page breaks and the tail.

    The tail begins with the line `* License:` and holds credits and a blurb. The lines of a
    paragraph are joined: the source wraps them at a picture's width.
    """
    body = markdown.split("\n* License:", maxsplit=1)[0]
    body = re.sub(r"(?m)^#+[ \t]*", "\n", body)
    body = re.sub(r"(?m)^\*[ \t]+", "", body)
    body = re.sub(r"\*+|_{2,}|\b_|_\b|(?<=\W)_|_(?=\W)", "", body)
    return [" ".join(block.split()) for block in re.split(r"\n\s*\n", body)]


def looks_english(text: str) -> bool:
    """Whether `text` is long enough to judge and at least a fifth of its words are common English.

    The bar is low because picture books list animals and colours; other languages score 0.05.
    """
    words = re.findall(r"[a-z']+", text.lower())
    return len(words) >= 40 and sum(word in _COMMON_WORDS for word in words) >= 0.2 * len(words)


def _novels(folder: Path, sides: Collection[Side]) -> Iterator[Book]:
    sources = csv.DictReader(io.StringIO(text(folder / "SOURCES.tsv")), delimiter="\t")
    for row in sorted(sources, key=lambda row: row["file"]):
        name = Path(row["file"]).name.removesuffix(".txt.gz")
        side: Side = "held_out" if name in HELD_OUT_BOOKS else "train"
        if side not in sides:
            continue
        yield Book(
            collection="standard_ebooks",
            name=name,
            title=row["title"],
            author=row["author"],
            license="CC0 1.0 (edition); text in the public domain in the USA",
            url=f"https://github.com/{row['repository']}",
            split=side,
            text=clean_paragraphs(text(folder / f"{name}.txt.gz").split("\n\n")),
        )


def _stories(folder: Path, sides: Collection[Side]) -> Iterator[Book]:
    files: dict[str, str] = {}
    # Members are read one by one, never unpacked: a path inside an archive is not to be trusted.
    with tarfile.open(present(folder / "stories_cc_by.tar.xz")) as tar:
        for member in tar:
            if member.isfile() and re.fullmatch(r"(?:pb|asp)/en/[\w.-]+\.md", member.name):
                handle = tar.extractfile(member)
                if handle is not None:
                    files[member.name] = handle.read().decode("utf-8")
    listings = {
        collection: _listing(files.pop(f"{collection}/en/README.md", ""))
        for collection in ("asp", "pb")
    }
    for name, markdown in sorted(files.items()):
        story = clean_paragraphs(story_paragraphs(markdown))
        number, slug = Path(name).stem.split("_", 1)
        side: Side = "held_out" if _bucket(slug) == 0 else "train"
        if side not in sides:
            continue
        url, license_ = listings[name.split("/")[0]].get(number, ("", "CC BY"))
        # Two stories say CC BY in their file and CC BY-NC in the listing: not ours to decide.
        if "-NC" in license_ or not looks_english(story):
            continue
        credits = dict(re.findall(r"(?m)^\* (Text|Translat\w+|Adaptation)[^:]*: *(.+)$", markdown))
        yield Book(
            collection="childrens_stories",
            name=name,
            title=markdown.split("\n", 1)[0].lstrip("# ").strip(),
            author="; ".join(credits.values()),
            license=license_,
            url=url,
            split=side,
            text=story,
        )


def _listing(readme: str) -> dict[str, tuple[str, str]]:
    """Story number -> (address, licence), from the table in a collection's README."""
    row = re.compile(r"(?m)^(\d+) \| \[.*\]\((\S+)\) \| \[?([^\]\n]+)\]?(?:\((\S+)\))?")
    return {
        number: (url, f"{name} {deed}".replace("CC-BY ", "CC BY ").strip())
        for number, url, name, deed in row.findall(readme)
    }


def _bucket(title: str) -> int:
    """A number below `HELD_OUT_STORIES` that depends on the title alone.

    By title, not by file: some stories occur in several versions, which must not lie on two sides.
    """
    digest = hashlib.sha256(title.encode()).digest()
    return int.from_bytes(digest[:8], "big") % HELD_OUT_STORIES
