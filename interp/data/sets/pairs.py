"""Sets of texts and what should be made of them: translations, summaries, corrections."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from interp.data.order import stream_seed
from interp.data.records import Pair, Split
from interp.data.sets.files import from_json, from_jsonl, lines, own_split
from interp.errors import ConfigError, LoadError

HELD_OUT = 2000
"""English sentences of tatoeba for testing, and as many for development."""

_LANGUAGES = {"de": "deu", "fr": "fra"}


def tatoeba(data: Path, split: Split, language: Literal["de", "fr"]) -> list[Pair]:
    """English sentences with all their translations (tatoeba.org, CC BY 2.0).

    Split by English sentence: the 2,000 with the smallest hashes are for testing, the next 2,000
    for development, and no pair of training has one of them as its source. The rest keep the
    order of the file, which is by length.
    """
    path = data / "tatoeba" / f"{_code(language)}.txt.xz"
    translations: dict[str, dict[str, None]] = {}
    for number, line in enumerate(lines(path), start=1):
        sides = line.split("\t")
        if len(sides) != 2:
            raise LoadError(f"{path}, line {number} has {len(sides)} columns, not two.")
        # A dictionary as a set that keeps its order: some pairs stand there twice.
        translations.setdefault(sides[0].strip(), {})[sides[1].strip()] = None
    wanted = own_split(_SPLITS, split, "tatoeba")
    by_hash = sorted(translations, key=lambda english: stream_seed("tatoeba", english))
    sides_of = dict.fromkeys(by_hash[:HELD_OUT], "test")
    sides_of |= dict.fromkeys(by_hash[HELD_OUT : 2 * HELD_OUT], "dev")
    return [
        Pair(english, tuple(references))
        for english, references in translations.items()
        if sides_of.get(english, "train") == wanted
    ]


def ntrex(data: Path, split: Split, language: Literal["de", "fr"]) -> list[Pair]:
    """1,997 English sentences of news with a professional translation (CC BY-SA 4.0); for testing
    only."""
    own_split({"test": None}, split, "ntrex")
    english = lines(data / "ntrex" / "newstest2019-src.eng.txt.gz")
    other = lines(data / "ntrex" / f"newstest2019-ref.{_code(language)}.txt.gz")
    if len(english) != len(other):
        raise LoadError(
            f"The files in {data / 'ntrex'} have {len(english)} and {len(other)} lines."
        )
    return [Pair(a, (b,)) for a, b in zip(english, other, strict=True)]


def scitldr(data: Path, split: Split) -> list[Pair]:
    """Abstracts of papers with summaries in a sentence (Cachola et al. 2020, Apache 2.0)."""
    rows = from_jsonl(data / "scitldr" / f"{own_split(_SPLITS, split, 'scitldr')}.jsonl.gz")
    return [Pair(" ".join(row["source"]), tuple(row["target"])) for row in rows]


def disfl_qa(data: Path, split: Split) -> list[Pair]:
    """Questions as people stumble over them, and as they meant them (Gupta et al. 2021, CC BY
    4.0)."""
    rows = from_json(data / "disfl_qa" / f"{own_split(_SPLITS, split, 'disfl_qa')}.json.gz")
    return [Pair(row["disfluent"], (row["original"],)) for row in rows.values()]


_SPLITS = {"train": "train", "dev": "dev", "test": "test"}


def _code(language: str) -> str:
    if language not in _LANGUAGES:
        raise ConfigError(
            f"There are no translations into {language!r}; there are into "
            f"{' and '.join(_LANGUAGES)}."
        )
    return _LANGUAGES[language]
