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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from apps.audit.recipe import Recipe, sha256_of
from apps.audit.section import Finding, Section
from interp import ConfigError, LoadError
from interp.atomic import writing

if TYPE_CHECKING:
    import pandas as pd

RECIPE = "recipe.json"


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
            if path.is_dir() and any(path.iterdir()):
                raise ConfigError(f"{path} holds other files. Name a new folder with --out.")
            with writing(file) as out:
                json.dump(dataclasses.asdict(recipe), out, indent=2)
            return cls(path)
        differences = recipe.differences(read_object(file))
        if differences:
            raise ConfigError(
                f"{path} holds an audit that differs in {', '.join(differences)}. Name another "
                "folder with --out, or take that one away; --since compares with it."
            )
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
            json.dump(values, file, indent=1, ensure_ascii=False, default=_plain)

    def checksums(self, section: Section) -> dict[str, str]:
        """SHA-256 of each table's file."""
        return {name: sha256_of(self.table_file(section.name, name)) for name in section.tables}

    def stored(self, part: str) -> Section | None:
        """The answer of a part, if it is there and its tables are those that were written.

        Raises:
            LoadError: the file is damaged.
        """
        import pandas as pd

        path = self.section_file(part)
        if not path.is_file():
            return None
        values = read_object(path)
        try:
            tables: dict[str, str] = values["tables"]
            for name, digest in tables.items():
                file = self.table_file(part, name)
                if not file.is_file() or sha256_of(file) != digest:
                    return None
            findings = [
                Finding(**{**finding, "evidence": tuple(finding["evidence"])})
                for finding in values["findings"]
            ]
            return Section(
                **{
                    **values,
                    "text": tuple(values["text"]),
                    "open": tuple(values["open"]),
                    "findings": tuple(findings),
                    "tables": {n: pd.read_parquet(self.table_file(part, n)) for n in tables},
                }
            )
        except (KeyError, TypeError, AttributeError, ValueError, OSError) as error:
            raise LoadError(
                f"{path} is no answer that an audit wrote: {error!r}. Delete it; its part will "
                "be asked again."
            ) from error


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        LoadError: the file is missing or holds something else.
    """
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise LoadError(f"{path} cannot be read as JSON: {error}.") from error
    if not isinstance(values, dict):
        raise LoadError(f"{path} holds no JSON object.")
    return values


def _parquet(frame: pd.DataFrame) -> bytes:
    """A table as bytes that depend on its values alone."""
    out = io.BytesIO()
    frame.to_parquet(out, index=False)
    return out.getvalue()


def _plain(value: Any) -> Any:
    """Numbers of numpy as those of Python."""
    return value.item()
