"""Cleaned documents on the disk, in files of bounded size that are complete or absent."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from interp.atomic import writing
from interp.data.document import Document
from interp.data.readers import Reading, read_documents
from interp.data.streams import compressing
from interp.errors import ConfigError, InputError

SHARD_BYTES = 32 << 20
"""A file is closed at the first chunk that ends beyond so many bytes, uncompressed."""

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.bz2", ".jsonl.xz", ".jsonl.zst", ".txt")
"""What documents can be written as: lines of JSON, or text with two blank lines between two."""


@dataclass(frozen=True)
class Shard:
    """A finished file."""

    name: str
    documents: int
    characters: int
    bytes: int
    sha256: str


class ShardWriter:
    """Documents to one file, which has its name only after `close`.

    Raises:
        ConfigError: `suffix` is none of `SUFFIXES`.
    """

    def __init__(self, folder: Path, number: int, suffix: str):
        if suffix not in SUFFIXES:
            raise ConfigError(f"{suffix} is none of the formats {', '.join(SUFFIXES)}.")
        self.path = folder / f"part-{number:05}{suffix}"
        self.documents = self.characters = self.size = 0
        self._as_text = suffix == ".txt"
        self._file: IO[bytes] | None = None
        self._open = ExitStack()

    def write(self, document: Document) -> None:
        if self._file is None:
            stored = self._open.enter_context(writing(self.path, "wb"))
            self._file = self._open.enter_context(compressing(stored, self.path.name))
        separator = "\n\n\n" if self.documents else ""
        text = separator + document.text if self._as_text else document.to_json() + "\n"
        line = text.encode("utf-8")
        self._file.write(line)
        self.documents += 1
        self.characters += len(document.text)
        self.size += len(line)

    @property
    def is_full(self) -> bool:
        return self.size >= SHARD_BYTES

    def close(self) -> Shard | None:
        """The finished file; none where nothing was written."""
        if self._file is None:
            return None
        if self._as_text:
            self._file.write(b"\n")
        self._open.close()
        with self.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = self.path.stat().st_size
        return Shard(self.path.name, self.documents, self.characters, size, digest)

    def abandon(self, error: BaseException) -> None:
        """Leaves no trace of an unfinished file."""
        with suppress(OSError):  # a compressor that wants to write its end to a full disk
            self._open.__exit__(type(error), error, error.__traceback__)


def as_written(text: str, suffix: str) -> str:
    """The text that reading it back gives: in text files, two blank lines end a document."""
    return re.sub(r"\n(?:[^\S\n]*\n){2,}", "\n\n", text).strip("\n") if suffix == ".txt" else text


def read_shard(folder: Path, shard: Shard) -> Iterator[str]:
    """The texts of a finished file.

    Raises:
        InputError: it is missing or not as it was written.
    """
    path = folder / shard.name
    if not path.is_file() or path.stat().st_size != shard.bytes:
        raise InputError(
            f"{path} is missing or was changed since it was written. Start over with restart, or "
            "write to another folder."
        )
    for document in read_documents([path], Reading(split="document")):
        yield document.text
