"""Sets of facts: subjects and objects of a relation, and the sentences that state it."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from interp.data.records import Relation, Split
from interp.data.sets.files import own_split, parsed, tar_members


def pararel(data: Path, split: Split) -> list[Relation]:
    """39 relations with 29,000 triples of T-REx, whose objects are one word, and their paraphrases
    (Elazar et al. 2021, MIT); for testing only."""
    own_split({"test": None}, split, "pararel")
    path = data / "pararel" / "pararel_data.tar.xz"
    patterns = {
        PurePosixPath(name).stem: parsed(member, path, rows=True)
        for name, member in tar_members(path, "data/pattern_data/graphs_json/").items()
    }
    triples = {
        PurePosixPath(name).stem: parsed(member, path, rows=True)
        for name, member in tar_members(path, "data/trex_lms_vocab/").items()
    }
    return [
        Relation(
            name,
            "factual",
            tuple(dict.fromkeys(row["pattern"] for row in rows)),
            tuple(dict.fromkeys((row["sub_label"], row["obj_label"]) for row in triples[name])),
        )
        for name, rows in patterns.items()
        if triples.get(name)
    ]


def relations(data: Path, split: Split) -> list[Relation]:
    """47 relations, factual, commonsense, linguistic and biased ones, with prompts (Hernandez et
    al. 2023, MIT); for testing only."""
    own_split({"test": None}, split, "relations")
    path = data / "relations" / "relations_data.tar.xz"
    said = [
        parsed(member, path)
        for name, member in tar_members(path, "data/").items()
        if name.endswith(".json")
    ]
    return [
        Relation(
            one["name"],
            one["properties"]["relation_type"],
            tuple(f"{prompt.format('[X]')} [Y]" for prompt in one["prompt_templates"]),
            tuple(
                dict.fromkeys(
                    (_unescaped(row["subject"]), _unescaped(row["object"]))
                    for row in one["samples"]
                )
            ),
        )
        for one in said
    ]


def _unescaped(name: str) -> str:
    r"""Some names were escaped twice: `Bras\u00edlia`."""
    return re.sub(r"\\u([0-9a-f]{4})", lambda code: chr(int(code[1], 16)), name)
