"""What is planted in the examples is counted: copies, classes, personal data."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from apps.audit.audited import Examples
from apps.audit.parts.data import part
from interp.data.corpus import pack
from interp.data.records import Example, Tagged
from tests.apps.audit.subjects import KINDS, card, subject
from tests.train.tasks.small import sentences, tokenizer

SECRET = "write to jane.doe@example.org now"


def found(section):  # type: ignore[no-untyped-def]
    return {finding.key.removeprefix("data."): finding for finding in section.findings}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_record_is_counted(kind: str) -> None:
    audited = subject(kind)
    section = part(audited)
    counts = section.tables["counts"].set_index("side")["examples"]
    assert audited.held_out and audited.learnt
    assert counts["held out"] == len(audited.held_out.records)
    assert counts["learnt"] == len(audited.learnt.records)
    assert section.tables["languages"].groupby("side")["share"].sum().tolist() == [1.0, 1.0]
    again = part(subject(kind))
    assert all(again.tables[name].equals(table) for name, table in section.tables.items())


def test_planted_copies_are_found_and_none_where_there_are_none() -> None:
    held_out = [f"{text} {i} and some more words {i * 7}" for i, text in enumerate(sentences(150))]
    learnt = [f"other {i * 13 + 1} things {text}" for i, text in enumerate(sentences(50, 9))]
    clean = part(subject("lm", held_out=Examples(held_out, ""), learnt=Examples(learnt, "")))
    assert found(clean)["overlap"].level == found(clean)["repeats"].level == "fine"
    assert clean.measures["overlap"] == clean.measures["repeated"] == 0
    copied = Examples([*learnt, *held_out[:30]], "")
    dirty = part(subject("lm", held_out=Examples(held_out, ""), learnt=copied))
    assert found(dirty)["overlap"].level == "risk"
    assert dirty.measures["overlap"] == dirty.measures["overlap_exact"] == 30 / 150
    assert "150 held-out texts, 30 (20%)" in found(dirty)["overlap"].sentence
    twice = part(subject("lm", held_out=Examples([*held_out, *held_out[:20]], ""), learnt=None))
    assert found(twice)["repeats"].level == "caution"
    assert twice.measures["repeated"] == 20 / 170
    assert found(twice)["overlap"].level == "unknown"


def test_unequal_classes_are_told() -> None:
    records = [Example(f"text number {i} of many", "b" if i % 10 == 0 else "a") for i in range(100)]
    section = part(subject("classification", held_out=Examples(records, "")))
    assert section.measures["class_ratio"] == 9 and found(section)["classes"].level == "caution"
    table = section.tables["classes"]
    assert table[table["side"] == "held out"]["examples"].tolist() == [90, 10]
    assert found(part(subject("classification")))["classes"].level == "fine"


def test_personal_data_are_counted_and_never_shown() -> None:
    records = [*sentences(40), SECRET, SECRET]
    section = part(subject("lm", held_out=Examples(records, "")))
    assert found(section)["personal"].level == "caution"
    assert section.measures["personal_held_out"] == 2 / 42
    rows = section.tables["personal"].set_index(["side", "kind"])
    assert rows.loc[("held out", "EMAIL"), "findings"] == 2
    assert rows.loc[("held out", "EMAIL"), "different_values"] == 1
    everything = [section.text, section.findings, section.facts, section.open]
    told = str(everything) + "".join(table.to_csv() for table in section.tables.values())
    assert "jane" not in told and "example.org" not in told
    assert found(part(subject("lm")))["personal"].level == "fine"


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    section = part(subject("lm", held_out=None, learnt=None))
    levels = {key: finding.level for key, finding in found(section).items()}
    assert levels == {"stated": "unknown", "size": "unknown"}
    numbers = part(subject("lm", held_out=Examples([Tagged((), ())], ""), learnt=None))
    assert found(numbers)["size"].level == "caution"
    card(tmp_path, "# x\n\n## Training data\n\nLetters of my aunt.\n")
    told = part(subject("lm", folder=tmp_path))
    assert told.tables["statements"]["stated"].tolist() == ["Letters of my aunt."]
    assert found(told)["stated"].level == "fine"


def test_a_run_says_what_it_read(tmp_path: Path) -> None:
    corpus = pack(sentences(30), tokenizer("decoder"), tmp_path / "corpus")
    place = {"folder": str(corpus.folder), "sha256": corpus.manifest.sha256["tokens.bin"]}
    run = SimpleNamespace(about={"data": {"kind": "NextToken", "rows": 8, "corpus": place}})
    said = part(subject("lm", run=run)).tables["statements"]["stated"].tolist()
    assert said[0] == "kind: NextToken, rows: 8" and place["sha256"] in said[1]
    assert said[2].startswith("30 documents, ")
    place["folder"] = str(tmp_path / "gone")
    gone = part(subject("lm", run=run)).tables["statements"]["stated"].tolist()
    assert "no longer" in gone[2]
