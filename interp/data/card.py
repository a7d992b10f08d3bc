"""The data card: what went into a corpus, what was done to it and what came out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from interp.atomic import writing
from interp.data.shards import Shard
from interp.data.tally import Tally
from interp.errors import LoadError
from interp.untrusted import MALFORMED, read_json, record

CARD = "card.json"


@dataclass(frozen=True)
class Source:
    """A file that was read: its name below the common folder, its size and hash as stored."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class DataCard:
    """Counts, settings, hashes and redacted examples of one cleaning.

    Attributes:
        plan: all that the result depends on: version, reading, pipeline, format.
        plan_sha256: of the plan and the sources; two cleanings with one hash give equal bytes.
        licence: what the user says about the licence of the texts.
        about: a sentence on each step.
        unreadable: why files were left out, by name.
    """

    plan: Mapping[str, Any]
    plan_sha256: str
    licence: str
    sources: tuple[Source, ...]
    shards: tuple[Shard, ...]
    tally: Tally
    about: Mapping[str, str]
    unreadable: Mapping[str, str] = field(default_factory=dict)

    @property
    def documents_in(self) -> int:
        return self._first("documents_in")

    @property
    def characters_in(self) -> int:
        return self._first("characters_in")

    @property
    def documents_out(self) -> int:
        return sum(shard.documents for shard in self.shards)

    @property
    def characters_out(self) -> int:
        return sum(shard.characters for shard in self.shards)

    def _first(self, count: str) -> int:
        first = next(iter(self.tally.steps.values()), None)
        return 0 if first is None else int(getattr(first, count))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they are written."""
        counts = ("documents_in", "characters_in", "documents_out", "characters_out")
        tally = self.tally.to_dict()
        steps = [{"name": n, "about": self.about[n], **s} for n, s in tally["steps"].items()]
        return {
            **{name: getattr(self, name) for name in counts},
            "licence": self.licence,
            "steps": steps,
            "personal_data": tally["personal"],
            "unreadable": dict(self.unreadable),
            "sources": [asdict(source) for source in self.sources],
            "shards": [asdict(shard) for shard in self.shards],
            "plan": dict(self.plan),
            "plan_sha256": self.plan_sha256,
        }

    def write(self, folder: Path) -> None:
        with writing(folder / CARD) as file:
            json.dump(self.to_dict(), file, ensure_ascii=False, indent=1)
            file.write("\n")

    @staticmethod
    def read(folder: Path) -> DataCard:
        """The card of a cleaned folder.

        Raises:
            LoadError: there is none, or it is damaged.
        """
        path = folder / CARD
        values = read_json(path)
        try:
            steps = {step.pop("name"): step for step in values["steps"]}
            about = {name: step.pop("about") for name, step in steps.items()}
            names = ("plan", "plan_sha256", "licence", "unreadable")
            return record(
                DataCard,
                {
                    **{name: values[name] for name in names},
                    "sources": tuple(record(Source, source) for source in values["sources"]),
                    "shards": tuple(record(Shard, shard) for shard in values["shards"]),
                    "tally": Tally.from_dict({"steps": steps, "personal": values["personal_data"]}),
                    "about": about,
                },
            )
        except MALFORMED as error:
            raise LoadError(
                f"{path} is no data card: {error}. Clean again with restart."
            ) from error
