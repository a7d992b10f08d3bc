"""Sentences of a treebank in CoNLL-U, with what is annotated of each word and where it stands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pandas as pd

from interp.data.alignment import Span
from interp.data.conllu import conllu_sentences, joined
from interp.data.sets.files import lines
from interp.errors import ConfigError, InputError, LoadError

ROOT = -1
"""The head of the word that has none."""

_CONTRACTION = re.compile(r"(\d{1,4})-(\d{1,4})")


@dataclass(frozen=True)
class Sentence:
    """A sentence and the annotation of its syntactic words; `_` is written for what there is not.

    Words of a contraction (`don't` is `do` and `n't`) are words of their own; words that are not
    written (empty nodes, `8.1`) are left out.

    Attributes:
        id: of the sentence; document: of the document, as far as the file names them.
        text: as it was written.
        words, lemmas, upos, xpos, deprels: of each word.
        spans: first and last + 1 character of each word in the text. Words of a contraction that
            are not spelt in it (`du` is `de` and `le`) have the characters of the whole.
        features: name -> value, of each word.
        heads: which word each depends on, counted from 0; `ROOT` for the root.
    """

    id: str
    document: str
    text: str
    words: tuple[str, ...]
    spans: tuple[Span, ...]
    lemmas: tuple[str, ...]
    upos: tuple[str, ...]
    xpos: tuple[str, ...]
    features: tuple[dict[str, str], ...]
    heads: tuple[int, ...]
    deprels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.words)


def open_treebank(name: str, data: str | Path, split: str) -> list[Sentence]:
    """A part of a treebank of Universal Dependencies in the folder of all data sets.

    Args:
        name: of its folder, such as `ud_english_ewt`.
        data: the folder of all sets.
        split: `train`, `dev` or `test`.

    Raises:
        ConfigError: the folder holds no such part.
    """
    found = sorted((Path(data) / name).glob(f"*-ud-{split}.conllu*"))
    if len(found) != 1:
        there = sorted(p.name for p in (Path(data) / name).glob("*.conllu*"))
        raise ConfigError(
            f"{Path(data) / name} has no part {split!r}; it holds {', '.join(there) or 'nothing'}."
        )
    return read_treebank(found[0])


def read_treebank(path: str | Path) -> list[Sentence]:
    """The sentences of a CoNLL-U file, compressed or not.

    Raises:
        LoadError: the file is missing or damaged.
        InputError: it is not CoNLL-U, or its words are not those of its text.
    """
    path = Path(path)
    if not path.is_file():
        raise LoadError(f"{path} is missing.")
    return sentences(lines(path), path.name)


def sentences(rows: Iterable[str], name: str) -> list[Sentence]:
    """The sentences of lines of CoNLL-U; `name` is for messages."""
    out: list[Sentence] = []
    document = ""
    for comments, columns in conllu_sentences(rows, name):
        if "newdoc" in comments:
            document = comments.get("newdoc id", "")
        text = comments.get("text") or joined(columns)
        where = f"{name}, sentence {comments.get('sent_id') or len(out) + 1}"
        words = [row for row in columns if row[0].isdecimal()]
        number = {row[0]: i for i, row in enumerate(words)}
        spans = _spans(columns, text, where)
        if list(number) != [str(i + 1) for i in range(len(words))] or len(spans) != len(words):
            raise InputError(f"{where}: its words are not numbered from 1 upward.")
        out.append(
            Sentence(
                id=comments.get("sent_id", ""),
                document=document,
                text=text,
                words=tuple(row[1] for row in words),
                spans=spans,
                lemmas=tuple(row[2] for row in words),
                upos=tuple(row[3] for row in words),
                xpos=tuple(row[4] for row in words),
                features=tuple(_features(row[5], where) for row in words),
                heads=tuple(_head(row, number, where) for row in words),
                deprels=tuple(row[7] for row in words),
            )
        )
    return out


def to_frame(bank: Sequence[Sentence]) -> pd.DataFrame:
    """A line for each word of each sentence: `document`, `sentence` (counted from 0), `word`
    (its place in it), `form`, `lemma`, `upos`, `xpos`, `features` (as they are written), `head`
    (a place, `ROOT` for none) and `deprel`."""
    rows = [
        (sentence.document, number, word, *facts)
        for number, sentence in enumerate(bank)
        for word, facts in enumerate(
            zip(
                sentence.words,
                sentence.lemmas,
                sentence.upos,
                sentence.xpos,
                ("|".join(f"{k}={v}" for k, v in f.items()) for f in sentence.features),
                sentence.heads,
                sentence.deprels,
                strict=True,
            )
        )
    ]
    names = "document sentence word form lemma upos xpos features head deprel".split()
    return pd.DataFrame(rows, columns=names)


def _head(row: list[str], number: dict[str, int], where: str) -> int:
    if row[6] == "0":
        return ROOT
    if row[6] not in number:
        raise InputError(f"{where}: word {row[0]} depends on {row[6]!r}, which is no word of it.")
    return number[row[6]]


def _features(column: str, where: str) -> dict[str, str]:
    if column == "_":
        return {}
    pairs = [pair.partition("=") for pair in column.split("|")]
    if not all(name and sign and value for name, sign, value in pairs):
        raise InputError(f"{where}: {column!r} are no features (Name=Value|Name=Value).")
    return {name: value for name, _, value in pairs}


def _spans(columns: list[list[str]], text: str, where: str) -> tuple[Span, ...]:
    """Where the words stand: what is written is found in the text, one after the other."""
    spans: list[Span] = []
    at = 0
    rows = iter([row for row in columns if "." not in row[0]])
    for row in rows:
        begin = _next(text, at, row[1])
        if begin is None:
            raise InputError(f"{where}: {row[1]!r} is not what its text goes on with at {at}.")
        at = begin + len(row[1])
        contraction = _CONTRACTION.fullmatch(row[0])
        words = [row]
        if contraction:  # its words follow it
            words = list(islice(rows, max(0, int(contraction[2]) - int(contraction[1]) + 1)))
            if not words or words[-1][0] != contraction[2]:
                raise InputError(f"{where}: the words of {row[0]} {row[1]!r} do not follow it.")
        spans.extend(_parts([word[1] for word in words], text, begin, at))
    return tuple(spans)


def _next(text: str, at: int, form: str) -> int | None:
    """Where a form stands that the text goes on with; None if it does not."""
    while at < len(text) and text[at].isspace() and not text.startswith(form, at):
        at += 1
    return at if text.startswith(form, at) else None


def _parts(forms: list[str], text: str, begin: int, end: int) -> list[Span]:
    """Where the words of a contraction stand: one after the other, if that is how it is spelt."""
    if "".join(forms) != text[begin:end]:
        return [(begin, end)] * len(forms)
    spans = []
    for form in forms:
        spans.append((begin, begin + len(form)))
        begin += len(form)
    return spans
