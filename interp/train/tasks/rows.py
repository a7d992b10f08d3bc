"""Files of examples, line by line: JSON lines, or tables with a line of names."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interp.data.decode import text_lines
from interp.data.streams import BROKEN, LIMIT, Stream, content_suffix, open_streams
from interp.errors import InputError, LoadError


@dataclass(frozen=True)
class Row:
    """One line of a file.

    Attributes:
        values: by name of the field.
        where: file and line, for messages.
    """

    values: Mapping[str, Any]
    where: str = "An example"

    def has(self, name: str) -> bool:
        """Whether a field is there and not empty."""
        return self.values.get(name) not in (None, "", [])

    def text(self, name: str) -> str:
        """A field that is text; a number is read as it is written.

        Raises:
            InputError: it is missing or something else.
        """
        value = self.values.get(name)
        if isinstance(value, (str, int, float)):
            return str(value)
        raise self.wrong(name, "text")

    def texts(self, name: str) -> tuple[str, ...]:
        """A field that is a list of texts, or one text.

        Raises:
            InputError: it is missing or something else.
        """
        value = self.values.get(name)
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return tuple(value)
        return (self.text(name),)

    def words(self, name: str) -> tuple[str, ...]:
        """A field that is a list of words, or one text with spaces between them."""
        found = self.texts(name)
        return found if isinstance(self.values[name], list) else tuple(found[0].split())

    def number(self, name: str) -> int:
        """A field that is a whole number.

        Raises:
            InputError: it is missing or something else.
        """
        try:
            return int(self.text(name))
        except ValueError:
            raise self.wrong(name, "a whole number") from None

    def wrong(self, name: str, needed: str) -> InputError:
        """The error of a field that is missing, or is not what is needed."""
        if name not in self.values:
            there = ", ".join(map(str, self.values)) or "none"
            return InputError(f"{self.where} has no field {name!r}; its fields are: {there}.")
        return InputError(
            f"{self.where}: the field {name!r} is {_short(self.values[name])}, not {needed}."
        )


def read_rows(path: Path | str) -> Iterator[Row]:
    """The rows of a file, one after the other.

    Raises:
        InputError: there is no such file, or it is of another format.
        LoadError: it is damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no file {path}.")
    if content_suffix(path.name) not in _FORMATS:
        raise InputError(
            f"{path} is no file of examples; those end in {', '.join(_FORMATS)}, and may be "
            "compressed (.gz, .xz, ...)."
        )
    try:
        for stream in open_streams(path, _FORMATS):
            yield from _FORMATS[stream.suffix](stream)
    except BROKEN as error:
        raise LoadError(f"{path} is damaged or cannot be read: {error}") from error


def _lines(stream: Stream) -> Iterator[Row]:
    for number, line in enumerate(text_lines(stream), start=1):
        if not line.strip():
            continue
        where = f"{stream.name}, line {number}"
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where} is not JSON: {error}") from error
        if not isinstance(values, dict):
            raise InputError(f"{where} holds {_short(values)}, not an object with fields.")
        yield Row(values, where)


def _commas(stream: Stream) -> Iterator[Row]:
    return _table(stream, csv.reader(text_lines(stream)))


def _tabs(stream: Stream) -> Iterator[Row]:
    rows = csv.reader(text_lines(stream), delimiter="\t", quoting=csv.QUOTE_NONE)
    return _table(stream, rows)


def _table(stream: Stream, rows: Any) -> Iterator[Row]:
    csv.field_size_limit(LIMIT)  # its own limit of 128 KiB is less than a long article
    try:
        names: list[str] = next(rows, [])
        for cells in rows:
            where = f"{stream.name}, line {rows.line_num}"
            if cells and len(cells) != len(names):
                raise InputError(f"{where} has {len(cells)} cells under {len(names)} names.")
            if cells:
                yield Row(dict(zip(names, cells, strict=True)), where)
    except csv.Error as error:
        raise InputError(f"{stream.name}, line {rows.line_num}: {error}") from error


_FORMATS = {".jsonl": _lines, ".ndjson": _lines, ".csv": _commas, ".tsv": _tabs}


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
