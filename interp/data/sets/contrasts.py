"""Sets of sentences that differ in one thing, and of what a model should make of the difference."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from interp.data.records import Condition, MinimalPair, Split, StereotypePair, Suite
from interp.data.sets.files import own_split, parsed, tar_members, text, zip_members
from interp.errors import LoadError


def blimp(data: Path, split: Split) -> list[MinimalPair]:
    """67 paradigms of English grammar with 1,000 pairs each (Warstadt et al. 2020, CC BY 4.0); for
    testing only. Seven pairs hold one sentence twice."""
    own_split({"test": None}, split, "blimp")
    path = data / "blimp" / "BLiMP.zip"
    rows = (
        row
        for name, member in zip_members(path, "").items()
        if name.endswith(".jsonl")
        for row in parsed(member, path, rows=True)
    )
    # One paradigm spells its field differently from the others of that field.
    return [
        MinimalPair(
            row["sentence_good"],
            row["sentence_bad"],
            row["UID"],
            row["field"].replace("/", "_"),
        )
        for row in rows
    ]


def crows_pairs(data: Path, split: Split) -> list[StereotypePair]:
    """1,508 pairs about groups in the United States (Nangia et al. 2020, CC BY-SA 4.0); for testing
    only. Offensive, and known to be unreliable: see `probes.stereotypes`."""
    own_split({"test": None}, split, "crows_pairs")
    path = data / "crows_pairs" / "crows_pairs_anonymized.csv.gz"
    return [
        StereotypePair(row["sent_more"], row["sent_less"], _direction(row, path), row["bias_type"])
        for row in csv.DictReader(io.StringIO(text(path)))
    ]


def _direction(row: dict[str, str], path: Path) -> Any:
    if row["stereo_antistereo"] not in ("stereo", "antistereo"):
        raise LoadError(f"{path} has a pair whose direction is {row['stereo_antistereo']!r}.")
    return row["stereo_antistereo"]


def syntaxgym(data: Path, split: Split) -> list[Suite]:
    """34 suites of psycholinguistic tests (Hu et al. 2020, MIT); for testing only."""
    own_split({"test": None}, split, "syntaxgym")
    path = data / "syntaxgym" / "test_suites_json.tar.xz"
    suites = [parsed(member, path) for member in tar_members(path, "test_suites/json/").values()]
    return [
        Suite(
            suite["meta"]["name"],
            tuple(one["formula"] for one in suite["predictions"]),
            tuple(
                tuple(
                    Condition(
                        condition["condition_name"],
                        tuple(region["content"] for region in condition["regions"]),
                    )
                    for condition in item["conditions"]
                )
                for item in suite["items"]
            ),
        )
        for suite in suites
    ]
