"""The folder of an audit: each answer is stored as soon as it is there, so that an audit that was
stopped goes on.

    recipe.json              what the figures depend on
    sections/PART.json       an answer; written after its tables
    tables/PART.NAME.parquet
    audit.html, audit.json, MODEL_CARD.md   made of all answers at the end
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from apps.audit.recipe import Recipe, sha256_of
from apps.audit.section import Finding, Level, Section
from interp import ConfigError, LoadError
from interp.atomic import writing
from interp.untrusted import MALFORMED, read_json

if TYPE_CHECKING:
    import pandas as pd

RECIPE = "recipe.json"
_NAME = re.compile("[a-z0-9_]+")
_HALF = ".*.*-*"  # the names that `writing` gives to what is not yet whole; a kill leaves one


@dataclass(frozen=True)
class AuditFolder:
    """The folder that an audit is written to."""

    path: Path

    @classmethod
    def open(cls, path: Path, recipe: Recipe) -> AuditFolder:
        """A new folder, or one in which an audit of the same recipe was begun.

        Raises:
            ConfigError: it holds another audit, or other files.
            LoadError: its recipe cannot be read.
        """
        file = path / RECIPE
        if not file.is_file():
            if path.is_dir() and not all(f.match(f".{RECIPE}-*") for f in path.iterdir()):
                raise ConfigError(f"{path} holds other files. Name a new folder with --out.")
            with writing(file) as out:
                json.dump(dataclasses.asdict(recipe), out, indent=2)
            return cls(path)
        differences = recipe.differences(read_json(file))
        if differences:
            raise ConfigError(
                f"{path} holds an audit that differs in {', '.join(differences)}. Name another "
                "folder with --out, or take that one away; --since compares with it."
            )
        for place in (path, path / "sections", path / "tables"):
            for left in place.glob(_HALF):
                left.unlink()
        return cls(path)

    def section_file(self, part: str) -> Path:
        return self.path / "sections" / f"{part}.json"

    def table_file(self, part: str, table: str) -> Path:
        return self.path / "tables" / f"{part}.{table}.parquet"

    def save(self, section: Section) -> None:
        """Stores an answer: its tables first."""
        for name, frame in section.tables.items():
            with writing(self.table_file(section.name, name), "wb") as file:
                file.write(_parquet(frame))
        values = {
            **{f.name: getattr(section, f.name) for f in dataclasses.fields(section)},
            "findings": [dataclasses.asdict(finding) for finding in section.findings],
            "tables": self.checksums(section),
        }
        with writing(self.section_file(section.name)) as file:
            json.dump(values, file, indent=1, default=_plain)

    def checksums(self, section: Section) -> dict[str, str]:
        """SHA-256 of each table's file."""
        return {name: sha256_of(self.table_file(section.name, name)) for name in section.tables}

    def stored(self, part: str) -> Section | None:
        """The answer of a part, if it is there and its tables are those that were written.

        Raises:
            LoadError: the file is damaged.
        """
        import pandas as pd
        import pyarrow as pa

        path = self.section_file(part)
        if not path.is_file():
            return None
        values = read_json(path)
        try:
            tables = _of(values["tables"], str)
            for name, digest in tables.items():
                file = self.table_file(part, name)
                if not _NAME.fullmatch(name) or not file.is_file() or sha256_of(file) != digest:
                    return None
            frames = {name: pd.read_parquet(self.table_file(part, name)) for name in tables}
            return _section(part, values, frames)
        except (*MALFORMED, pa.ArrowException) as error:
            raise LoadError(
                f"{path} is no answer that an audit wrote: {error!r}. Delete it; its part will "
                "be asked again."
            ) from error


def _section(part: str, values: dict[str, Any], frames: dict[str, pd.DataFrame]) -> Section:
    """The answer that a file holds.

    Raises:
        KeyError, TypeError: something is missing or of another kind.
    """
    if values["name"] != part:
        raise TypeError(f"it is the answer of {values['name']!r}")
    return Section(
        name=part,
        title=_text(values["title"]),
        text=_texts(values["text"]),
        findings=tuple(_finding(part, found) for found in values["findings"]),
        facts=_of(values["facts"], str, int, float),
        tables=frames,
        pictures=_of(values["pictures"], str),
        measures=_of(values["measures"], int, float),
        open=_texts(values["open"]),
        seconds=_number(values["seconds"]),
    )


def _finding(part: str, values: Any) -> Finding:
    given = _of(values, str, int, float, list)
    if given["level"] not in get_args(Level) or not _text(given["key"]).startswith(f"{part}."):
        raise TypeError(f"a finding is {given['key']!r}, {given['level']!r}")
    return Finding(
        given["key"],
        given["level"],
        _text(given["sentence"]),
        _texts(given["evidence"]),
        _number(given["weight"]),
    )


def _of(values: Any, *kinds: type) -> dict[str, Any]:
    """An object whose values are of some kinds."""
    if not isinstance(values, dict) or any(type(value) not in kinds for value in values.values()):
        raise TypeError(f"{values!r:.40} holds something else")
    return values


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(float(value)):
        raise TypeError(f"{value!r:.40} is no number")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return value


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError(f"{values!r:.40} is no list")
    return tuple(map(_text, values))


def _parquet(frame: pd.DataFrame) -> bytes:
    """A table as bytes that depend on its values alone."""
    out = io.BytesIO()
    frame.to_parquet(out, index=False)
    return out.getvalue()


def _plain(value: Any) -> Any:
    """Numbers of numpy as those of Python."""
    return value.item()
