"""Documents from files of many formats, one after the other, never a whole file in memory.

| suffix | a document is |
|---|---|
| `.txt` `.text` `.md` `.markdown` `.rst` | the file, or what `split` makes of it |
| `.jsonl` `.ndjson` | a line, its text in a field |
| `.csv` `.tsv` | a row, its text in a column; tab-separated files have no quoting |
| `.parquet` | a row, its text in a column |
| `.conllu` | a `# newdoc`, the file where there is none, or a sentence with `split="line"` |

All of them but Parquet, which compresses itself, may end in `.gz`, `.bz2`, `.xz` or `.zst` and may
be members of a `.zip` or `.tar` archive. `hf:NAME`, `hf:NAME:SPLIT` or
`hf:NAME:CONFIGURATION:SPLIT` is a data set of the Hugging Face hub, streamed with the `datasets`
package; a folder that its `save_to_disk` wrote is one too.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from interp.data.conllu import conllu_texts
from interp.data.decode import text_lines, too_long
from interp.data.document import Document, sound
from interp.data.hub import hub_rows, is_saved
from interp.data.streams import (
    BROKEN,
    LIMIT,
    Stream,
    content_suffix,
    is_archive,
    is_notice,
    streams_in,
)
from interp.errors import InputError, InterpError, LoadError

Split = Literal["file", "document", "paragraph", "line"]

HUB = "hf:"


@dataclass(frozen=True)
class Reading:
    """How files become documents.

    Attributes:
        column: of a table: the name of the column that holds the text, or, for a table without a
            line of names, its number, from 1.
        keep: names of columns that stay with the document as its metadata.
        split: what a document is in a text file: the whole `file`; a `document`, which two blank
            lines end, as in cleaned text; a `paragraph`, which one blank line ends; a `line`.
    """

    column: str | int = "text"
    keep: tuple[str, ...] = ()
    split: Split = "file"


@dataclass(frozen=True)
class SourceFile:
    """A file to read.

    Attributes:
        path: where it is; of a data set of the hub, its name there.
        name: what it is called in documents and cards: its path below the folder that all paths
            have in common, which says nothing of the machine and its user.
        on_disk: whether it is one file, rather than a data set.
    """

    path: str
    name: str
    on_disk: bool

    def open(self) -> AbstractContextManager[io.BufferedReader | None]:
        """The file's bytes; of a data set, nothing. Raises `LoadError` where that is forbidden."""
        if not self.on_disk:
            return nullcontext()
        try:
            return Path(self.path).open("rb")
        except OSError as error:
            raise LoadError(f"{self.name} cannot be opened: {error.strerror}.") from error


Row = tuple[str, str, dict[str, Any]]
"""Text, id (empty: to be numbered), metadata."""


def read_documents(
    paths: Sequence[str | Path], reading: Reading | None = None
) -> Iterator[Document]:
    """The documents of files and folders, in the order of `paths`, within a folder by name.

    In folders and archives only the suffixes of the table above are read, and no notices
    (LICENSE, README, SOURCES, ...) or hidden files. Bytes that are no UTF-8 are read line by line
    as Windows-1252.

    Raises:
        InputError: a path that does not exist, a format or column that is not there, a file that
            is not text, a document of more than 32 MiB.
        LoadError: a damaged file or archive. What was given before it stays valid.
    """
    reading = reading or Reading()
    for file in list_files(paths):
        with file.open() as raw:
            yield from read_file(file, reading, raw)


def read_file(
    file: SourceFile, reading: Reading, raw: io.BufferedReader | None
) -> Iterator[Document]:
    """The documents of one of `list_files`; raises as `read_documents` does.

    Args:
        raw: the open file, whose position tells how far the reading is.
    """
    if raw is None:
        for i, found in enumerate(hub_rows(file.path, reading.keep), start=1):
            yield _document(file.name, i, _from_row(found, reading, file.name))
        return
    try:
        for stream in streams_in(raw, file.name, _FORMATS):
            rows = _FORMATS[stream.suffix](stream, reading)
            for i, row in enumerate(rows, start=1):
                yield _document(stream.name, i, row)
    except InterpError:
        raise
    except BROKEN as error:
        raise LoadError(f"{file.name} is damaged or cannot be read: {error}") from error


def list_files(paths: Sequence[str | Path]) -> list[SourceFile]:
    """Every file to read, folders opened. Raises `InputError` where one is missing or unknown."""
    hub = [str(path) for path in paths if str(path).startswith(HUB)]
    found: list[Path] = []
    given = [Path(path).absolute() for path in paths if not str(path).startswith(HUB)]
    for path in given:
        if is_saved(path):
            found.append(path)
        elif path.is_dir():
            inside = [p for p in sorted(path.rglob("*")) if p.is_file() and _is_text(p, path)]
            if not inside:
                raise InputError(f"There is nothing to read in {path}. It takes {_formats()}.")
            found += inside
        elif not path.is_file():
            raise InputError(f"There is no file or folder {path}.")
        elif not (content_suffix(path.name) in _FORMATS or is_archive(path.name)):
            raise InputError(f"{path} has no suffix that says how to read it: {_formats()}.")
        else:
            found.append(path)
    if not found and not hub:
        raise InputError("There is nothing to read: no path was given.")
    root = os.path.commonpath([path.parent for path in given]) if given else ""
    named = [SourceFile(str(p), p.relative_to(root).as_posix(), p.is_file()) for p in found]
    return named + [SourceFile(name.removeprefix(HUB), name, on_disk=False) for name in hub]


def _is_text(path: Path, root: Path) -> bool:
    known = content_suffix(path.name) in _FORMATS or is_archive(path.name)
    hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
    return known and not hidden and not is_notice(path.name)


def _formats() -> str:
    return ", ".join([*_FORMATS, ".zip", ".tar"]) + ", also compressed"


def _document(source: str, number: int, row: Row) -> Document:
    text, id, metadata = row
    return Document(sound(text), id or f"{source}:{number}", source, metadata)


# -- one function for each format ------------------------------------------------------------------


def _text(stream: Stream, reading: Reading) -> Iterator[Row]:
    blanks = {"file": None, "document": 2, "paragraph": 1, "line": 0}[reading.split]
    for text in _parts(text_lines(stream), blanks, stream.name):
        yield text, "", {}


def _parts(lines: Iterable[str], blanks: int | None, name: str) -> Iterator[str]:
    """Lines joined into texts; so many blank lines in a row end one (None: nothing does)."""
    held: list[str] = []
    size = blank = 0
    for line in lines:
        blank = 0 if line.strip() else blank + 1
        held.append(line)
        size += len(line)
        if size > LIMIT:
            raise too_long(name)
        if blanks is not None and blank >= blanks:
            if text := "".join(held).strip("\n"):
                yield text
            held, size = [], 0
    if (text := "".join(held)).strip():
        yield text if blanks is None else text.strip("\n")


def _jsonl(stream: Stream, reading: Reading) -> Iterator[Row]:
    for number, line in enumerate(text_lines(stream), start=1):
        if not line.strip():
            continue
        where = f"{stream.name}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise InputError(f"{where} holds {type(row).__name__}, not an object with fields.")
        yield _from_row(row, reading, where)


def _table(delimiter: str, quoting: Literal[0, 3]) -> Callable[[Stream, Reading], Iterator[Row]]:
    def read(stream: Stream, reading: Reading) -> Iterator[Row]:
        csv.field_size_limit(LIMIT)  # its own limit of 128 KiB is less than a long article
        rows = csv.reader(text_lines(stream), delimiter=delimiter, quoting=quoting)
        try:
            names = None if isinstance(reading.column, int) else next(rows, None)
            for cells in rows:
                if cells:
                    where = f"{stream.name}, line {rows.line_num}"
                    keys = names or [str(i) for i in range(1, len(cells) + 1)]
                    yield _from_row(dict(zip(keys, cells, strict=False)), reading, where)
        except csv.Error as error:
            raise InputError(f"{stream.name}, line {rows.line_num}: {error}") from error

    return read


def _parquet(stream: Stream, reading: Reading) -> Iterator[Row]:
    import pyarrow
    import pyarrow.parquet

    if not isinstance(stream.file.raw, io.FileIO):
        raise InputError(f"{stream.name}: Parquet is read from a file of its own. Unpack it first.")
    try:
        table = pyarrow.parquet.ParquetFile(stream.file)
        names = table.schema_arrow.names
        wanted = [c for c in (str(reading.column), "id", *reading.keep) if c in names]
        for batch in table.iter_batches(batch_size=256, columns=wanted):
            for row in batch.to_pylist():
                yield _from_row(row, reading, stream.name, names)
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        raise LoadError(f"{stream.name} is damaged or no Parquet: {error}") from error


def _conllu(stream: Stream, reading: Reading) -> Iterator[Row]:
    for name, text in conllu_texts(text_lines(stream), stream.name, reading.split == "line"):
        yield text, f"{stream.name}:{name}" if name else "", {}


def _from_row(
    row: Mapping[str, Any], reading: Reading, where: str, names: Sequence[str] | None = None
) -> Row:
    """A row of a table; what is missing from it is an error, what is null is an empty text."""
    for column in (str(reading.column), *reading.keep):
        if column not in row:
            there = ", ".join(islice(map(str, names or row), 20)) or "nothing"
            raise InputError(f"{where} has no column {column!r}. It has: {there}.")
    text = row[str(reading.column)]
    if text is not None and not isinstance(text, str):
        raise InputError(
            f"{where}: {str(reading.column)!r} holds {type(text).__name__}, not text. "
            "Name the column that holds the text."
        )
    return text or "", str(row.get("id") or ""), {name: row[name] for name in reading.keep}


_FORMATS: dict[str, Callable[[Stream, Reading], Iterator[Row]]] = {
    **dict.fromkeys((".txt", ".text", ".md", ".markdown", ".rst"), _text),
    **dict.fromkeys((".jsonl", ".ndjson"), _jsonl),
    ".csv": _table(",", csv.QUOTE_MINIMAL),
    ".tsv": _table("\t", csv.QUOTE_NONE),
    ".parquet": _parquet,
    ".conllu": _conllu,
}
