"""The texts behind the zoo model `stories`: public-domain novels and open picture-book stories.

`read_documents` reads both collections straight from their compressed files, cleans them lightly
and says for each document who wrote it, under which licence, and on which side of the split it
lies. Nothing here needs torch, and the result depends on the files alone.

Expected below the data folder:
- `standard_ebooks/`: one `*.txt.gz` a book and `SOURCES.tsv` (Standard Ebooks editions, CC0);
- `childrens_stories/stories_cc_by.tar.xz`: Markdown stories `pb/en/*.md` (Pratham Books) and
  `asp/en/*.md` (African Storybook), `##` alone on a line being a page break.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from interp.errors import InputError

# Whole books are held out, never pages of one: a model that has read half of a novel knows its
# names. None of the three has a sequel among the training books.
HELD_OUT_BOOKS = (
    "h-g-wells_the-war-of-the-worlds",
    "jack-london_the-call-of-the-wild",
    "lewis-carroll_alices-adventures-in-wonderland_john-tenniel",
)
HELD_OUT_STORIES = 20  # one story title in this many

Split = Literal["train", "held_out"]

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


@dataclass(frozen=True)
class Document:
    """One book or story: its cleaned text and where it comes from."""

    collection: str
    name: str
    title: str
    author: str
    license: str
    url: str
    split: Split
    text: str


def read_documents(data: Path) -> list[Document]:
    """All documents of both collections, books first, each collection in the order of its names.

    Raises `InputError` where a collection is missing below `data`.
    """
    return [*_books(data / "standard_ebooks"), *_stories(data / "childrens_stories")]


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


def _books(folder: Path) -> Iterator[Document]:
    sources = folder / "SOURCES.tsv"
    if not sources.is_file():
        raise InputError(f"No SOURCES.tsv in {folder}. Point --data at the folder that holds it.")
    with sources.open(encoding="utf-8", newline="") as handle:
        rows = sorted(csv.DictReader(handle, delimiter="\t"), key=lambda row: row["file"])
    for row in rows:
        name = row["file"].removesuffix(".txt.gz")
        text = gzip.decompress((folder / row["file"]).read_bytes()).decode("utf-8")
        yield Document(
            collection="standard_ebooks",
            name=name,
            title=row["title"],
            author=row["author"],
            license="CC0 1.0 (edition); text in the public domain in the USA",
            url=f"https://github.com/{row['repository']}",
            split="held_out" if name in HELD_OUT_BOOKS else "train",
            text=clean_paragraphs(text.split("\n\n")),
        )


def _stories(folder: Path) -> Iterator[Document]:
    archive = folder / "stories_cc_by.tar.xz"
    if not archive.is_file():
        raise InputError(f"No {archive.name} in {folder}. Point --data at the folder around it.")
    files: dict[str, str] = {}
    # Members are read one by one, never unpacked: a path inside an archive is not to be trusted.
    with tarfile.open(archive) as tar:
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
        text = clean_paragraphs(story_paragraphs(markdown))
        number, slug = Path(name).stem.split("_", 1)
        url, license_ = listings[name.split("/")[0]].get(number, ("", "CC BY"))
        # Two stories say CC BY in their file and CC BY-NC in the listing: not ours to decide.
        if "-NC" in license_ or not looks_english(text):
            continue
        credits = dict(re.findall(r"(?m)^\* (Text|Translat\w+|Adaptation)[^:]*: *(.+)$", markdown))
        yield Document(
            collection="childrens_stories",
            name=name,
            title=markdown.split("\n", 1)[0].lstrip("# ").strip(),
            author="; ".join(credits.values()),
            license=license_,
            url=url,
            split="held_out" if _bucket(slug) == 0 else "train",
            text=text,
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
