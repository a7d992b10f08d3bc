"""A corpus in chunks that depend on nothing but its files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from interp.data.card import Source
from interp.data.document import Document
from interp.data.readers import Reading, SourceFile, read_file
from interp.errors import InputError, LoadError

CHARACTERS, DOCUMENTS = 1 << 20, 5000
"""A chunk ends with the document that reaches one of these."""

Progress = Callable[[int, int], None]
"""Told how many of how many bytes of the files, as they are stored, have been read."""


class Corpus:
    """All documents of some files, in order.

    Attributes:
        unreadable: why files were left out, by name; only where `skip` allows it.
    """

    def __init__(
        self, files: list[SourceFile], reading: Reading, skip: bool, progress: Progress
    ) -> None:
        self.files, self.reading, self.skip, self.progress = files, reading, skip, progress
        self.unreadable: dict[str, str] = {}
        self._sizes = [Path(f.path).stat().st_size if f.on_disk else 0 for f in files]

    def chunks(self) -> Iterator[list[Document]]:
        chunk: list[Document] = []
        size = 0
        for document in self._documents():
            chunk.append(document)
            size += len(document.text)
            if size >= CHARACTERS or len(chunk) >= DOCUMENTS:
                yield chunk
                chunk, size = [], 0
        if chunk:
            yield chunk

    def _documents(self) -> Iterator[Document]:
        done, total = 0, sum(self._sizes)
        for file, size in zip(self.files, self._sizes, strict=True):
            try:
                with file.open() as raw:
                    for document in read_file(file, self.reading, raw):
                        yield document
                        if raw is not None:
                            self.progress(done + raw.tell(), total)
            except (InputError, LoadError) as error:
                if not self.skip:
                    raise
                self.unreadable[file.name] = str(error)
            done += size
            self.progress(done, total)


def describe(file: SourceFile) -> Source:
    """A file's size and hash, as it is stored; of a data set of the hub, neither."""
    with file.open() as raw:
        if raw is None:
            return Source(file.name, 0, "")
        digest = hashlib.file_digest(raw, "sha256").hexdigest()
        return Source(file.name, raw.tell(), digest)
