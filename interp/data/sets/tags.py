"""Sets of sentences whose words have labels."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from interp.data.conllu import conllu_sentences
from interp.data.records import Split, Tagged
from interp.data.sets.files import lines, own_split

_COLUMNS = {"upos": 3, "xpos": 4, "deprel": 7}


def ud_english_ewt(
    data: Path, split: Split, column: Literal["upos", "xpos", "deprel"] = "upos"
) -> list[Tagged]:
    """Words of web texts with their parts of speech, or relations to their heads (Silveira et al.
    2014, CC BY-SA 4.0).

    Words are the syntactic ones: `don't` is two. Spaces inside a word (`1 1/2`) are taken out.
    """
    part = own_split({"train": "train", "dev": "dev", "test": "test"}, split, "ud_english_ewt")
    tag = own_split(_COLUMNS, column, "ud_english_ewt")
    name = f"en_ewt-ud-{part}.conllu.gz"
    tagged = []
    for _, rows in conllu_sentences(lines(data / "ud_english_ewt" / name), name):
        # Lines of contractions (`1-2`) and of words that are not written (`8.1`) are not words.
        words = [row for row in rows if row[0].isdecimal()]
        tagged.append(
            Tagged(tuple(row[1].replace(" ", "") for row in words), tuple(r[tag] for r in words))
        )
    return tagged
