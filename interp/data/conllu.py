"""The running text of a treebank in CoNLL-U (universaldependencies.org/format.html)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from interp.data.decode import too_long
from interp.data.streams import LIMIT
from interp.errors import InputError

_INDEX = re.compile(r"[0-9]{1,6}(?:[-.][0-9]{1,6})?")
"""Of a word, of a contraction (`1-2`), of an empty node (`8.1`)."""


def conllu_texts(lines: Iterable[str], name: str, by_sentence: bool) -> Iterator[tuple[str, str]]:
    """Ids and texts of the documents, or of the sentences, of a treebank.

    Sentences of a document are joined by a space, paragraphs (`# newpar`) by a blank line.

    Raises:
        InputError: a line that is neither a comment nor ten columns.
    """
    document, text = "", ""
    for comments, words in conllu_sentences(lines, name):
        sentence = comments.get("text") or joined(words)
        if by_sentence:
            yield comments.get("sent_id", ""), sentence
            continue
        if "newdoc" in comments:
            if text:
                yield document, text
            text = ""
        if not text:
            document = comments.get("newdoc id", "")
        if text:
            text += "\n\n" if "newpar" in comments else " "
        text += sentence
        if len(text) > LIMIT:
            raise too_long(name)
    if text:
        yield document, text


def conllu_sentences(
    lines: Iterable[str], name: str
) -> Iterator[tuple[dict[str, str], list[list[str]]]]:
    """Comments by name, and the ten columns of each line, of the sentences of a treebank.

    Raises:
        InputError: a line that is neither a comment nor ten columns, the first a number.
    """
    comments: dict[str, str] = {}
    words: list[list[str]] = []
    for number, line in enumerate(lines, start=1):
        line = line.rstrip("\n")
        if line.startswith("#"):
            key, _, value = line[1:].partition("=")
            comments[key.strip()] = value.strip()
            if key.strip().startswith(("newdoc", "newpar")):
                comments[key.split()[0]] = ""
        elif line:
            words.append(line.split("\t"))
            if len(words[-1]) != 10 or not _INDEX.fullmatch(words[-1][0]):
                raise InputError(
                    f"{name}, line {number} is not CoNLL-U: it has no ten columns, of which the "
                    "first is a number."
                )
        elif words:
            yield comments, words
            comments, words = {}, []
    if words:
        yield comments, words


def joined(words: list[list[str]]) -> str:
    """The sentence from its words, for files that do not spell it out in a comment."""
    text, covered = "", 0
    for index, form, *_, misc in words:
        first, _, last = index.partition("-")
        if "." in index or int(first) <= covered:  # an empty node; a part of the word before
            continue
        covered = int(last or 0)
        text += form + ("" if "SpaceAfter=No" in misc.split("|") else " ")
    return text.strip()
