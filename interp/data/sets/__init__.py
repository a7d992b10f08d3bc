"""Public data sets as plain records, read from a folder that holds each in a folder of its name.

`interp data get NAME` fetches one. What a set's own authors did not split is split here by a hash
of what must not lie on two sides, so that the split is the same for ever, in every set of files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast, get_args

from interp.data.records import Split
from interp.data.sets import (
    classes,
    contrasts,
    dialogues,
    facts,
    pairs,
    questions,
    stories,
    tags,
    texts,
)
from interp.errors import ConfigError

SETS: Mapping[str, Callable[[Path, Split], list[Any]]] = {
    "tatoeba_de": partial(pairs.tatoeba, language="de"),
    "tatoeba_fr": partial(pairs.tatoeba, language="fr"),
    "ntrex_de": partial(pairs.ntrex, language="de"),
    "ntrex_fr": partial(pairs.ntrex, language="fr"),
    "scitldr": pairs.scitldr,
    "disfl_qa": pairs.disfl_qa,
    "sentence_polarity": classes.sentence_polarity,
    "subjectivity": classes.subjectivity,
    "movie_reviews": classes.movie_reviews,
    "banking77": classes.banking77,
    "clinc150": classes.clinc150,
    "xquad_de": partial(questions.xquad, language="de"),
    "xquad_en": partial(questions.xquad, language="en"),
    "xquad_es": partial(questions.xquad, language="es"),
    "squad_it": questions.squad_it,
    "qed": questions.qed,
    "restaurant8k": questions.restaurant8k,
    "ud_english_ewt": tags.ud_english_ewt,
    "chatterbot_english": dialogues.chatterbot_english,
    "taskmaster4": dialogues.taskmaster4,
    "taskmaster4_preferences": dialogues.taskmaster4_preferences,
    "blimp": contrasts.blimp,
    "syntaxgym": contrasts.syntaxgym,
    "crows_pairs": contrasts.crows_pairs,
    "pararel": facts.pararel,
    "relations": facts.relations,
    "tinyshakespeare": texts.tinyshakespeare,
    "names": texts.names,
    "standard_ebooks": stories.standard_ebooks,
    "childrens_stories": stories.childrens_stories,
}


def read_set(name: str, data: str | Path, split: str) -> list[Any]:
    """One side of a set: records of `interp.data.records`, texts, or books.

    Args:
        name: one of `SETS`.
        data: the folder of all sets.
        split: `train`, `dev` or `test`.

    Raises:
        ConfigError: no such set, or it has no such side.
        LoadError: its files are missing or damaged.
    """
    if name not in SETS:
        raise ConfigError(f"There is no reader for {name!r}; there are {', '.join(SETS)}.")
    if split not in get_args(Split):
        raise ConfigError(f"There is no split {split!r}; there are {', '.join(get_args(Split))}.")
    return SETS[name](Path(data), cast(Split, split))
