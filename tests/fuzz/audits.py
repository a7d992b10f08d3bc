"""Readers of what an audit wrote before, and of what a user and a model say of themselves."""

from __future__ import annotations

import dataclasses
import functools
import json
import tempfile
from pathlib import Path

from apps.audit.audited import Audited
from apps.audit.earlier import read_earlier
from apps.audit.folder import AuditFolder
from apps.audit.gate import Thresholds
from apps.audit.parts import changes, purpose
from apps.audit.recipe import sha256_of
from apps.audit.running import write
from apps.audit.section import Section
from apps.audit.stated import TOPICS, Stated, read_purpose
from tests.apps.audit.made import RECIPE, report, several
from tests.fuzz.judge import Reader
from tests.train.runs import tiny

THRESHOLDS = """\
[measures]
"performance.accuracy" = { min = 0.7, max = 1 }
"shortcuts.largest" = { max = 0.95 }

[findings]
risk = 2
caution = 3
allow = ["shortcuts.small"]
"""
PURPOSE = """\
task = "answers letters"
users = "nurses"
limits = "none is known"
"""
CARD = """\
---
license: mit
datasets: [letters, "other letters"]
model-index:
- name: a
  results:
  - dataset: {name: letters}
    metrics:
    - {type: accuracy, value: 0.9}
---
# A model

It reads letters.

## Intended use

To sort letters.  <!-- a comment -->

## Limitations

- long letters
"""
TRAINING = {
    "figures": [{"metric": "accuracy", "value": 0.9, "ci_low": 0.8, "ci_high": 0.95, "n": 50}],
    "held_out": {"loss": 2.5},
    "steps": 30,
}
EVALUATION = "metric,value,ci_low,ci_high,n\naccuracy,0.9,0.8,0.95,50\n"


@functools.cache
def audited() -> Audited:
    """A model without data: what is read here is compared with it, or stands beside it."""
    return Audited("tiny", tiny().eval(), None, None, None, None, None, "quick", 0)


def _kept(*sections: Section) -> None:
    """What was read goes into tables and onto the page of an audit."""
    out = AuditFolder(Path(tempfile.gettempdir()) / "kept")
    for section in sections:
        out.save(section)
    write(report(*sections), out.path)


def _make_earlier(folder: Path) -> None:
    (folder / "audit.json").write_text(json.dumps(several().to_dict()), "utf-8")


def _read_earlier(folder: Path) -> None:
    read_earlier(folder)
    sections = {section.name: section for section in several().sections}
    _kept(changes.part(dataclasses.replace(audited(), since=folder, sections=sections)))


def _make_begun(folder: Path) -> None:
    begun = AuditFolder.open(folder / "audit", RECIPE)
    for section in several().sections:
        begun.save(section)


def _read_begun(folder: Path) -> None:
    begun = AuditFolder.open(folder / "audit", RECIPE)
    found = [begun.stored(section.name) for section in several().sections]
    _kept(*(section for section in found if section is not None))


def _forged(folder: Path) -> None:
    """The hashes of the tables written anew, as one who means harm would."""
    for path in (folder / "audit" / "sections").glob("*.json"):
        values = json.loads(path.read_text("utf-8"))
        for name in values["tables"]:
            table = folder / "audit" / "tables" / f"{values['name']}.{name}.parquet"
            values["tables"][name] = sha256_of(table)
        path.write_text(json.dumps(values), "utf-8")


def _read_thresholds(folder: Path) -> None:
    Thresholds.read(folder / "thresholds.toml").breaches(several())


def _make_papers(folder: Path) -> None:
    (folder / "README.md").write_text(CARD, "utf-8")
    (folder / "training.json").write_text(json.dumps(TRAINING), "utf-8")
    (folder / "evaluation.csv").write_text(EVALUATION, "utf-8")


def _read_papers(folder: Path) -> None:
    stated = Stated.read(folder)
    for topic in (*TOPICS, "data"):
        stated.about(topic)
    stated.frame()
    _kept(purpose.part(dataclasses.replace(audited(), folder=folder)))


READERS: dict[str, Reader] = {
    "earlier audit": Reader(_make_earlier, _read_earlier, cost=10),
    "audit that goes on": Reader(_make_begun, _read_begun, _forged, cost=10),
    "thresholds": Reader(
        lambda folder: (folder / "thresholds.toml").write_text(THRESHOLDS, "utf-8"),
        _read_thresholds,
    ),
    "purpose": Reader(
        lambda folder: (folder / "purpose.toml").write_text(PURPOSE, "utf-8"),
        lambda folder: read_purpose(folder / "purpose.toml"),
    ),
    "card of a model": Reader(_make_papers, _read_papers, cost=10),
}
