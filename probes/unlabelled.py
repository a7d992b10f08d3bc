"""Labels that texts give by themselves: what can be probed for where nobody has labelled a word.

None of them is worth knowing for its own sake. They say what a layer keeps and what it adds: how
long a word is can be read off the word alone; which word stood before it, and how far on in its
sentence it is, only by somebody who has looked around.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from interp.data.alignment import Span
from interp.errors import InputError
from probes.labelled import Labelled

FREQUENT = 8
"""Words before that are told apart: the most frequent ones."""

FEWEST = 20
"""Words of a label; rarer labels are left out."""

_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")
_END = re.compile(r"[.!?…。！？\n]")


@dataclass(frozen=True)
class _Text:
    """The words of a text, in lower case, and where they stand."""

    words: list[str]
    spans: list[Span]
    text: str


_Labels = list[list[str | None]]


def _before(texts: Sequence[_Text]) -> _Labels:
    counts = Counter(word for text in texts for word in text.words)
    known = set(sorted(counts, key=lambda word: (-counts[word], word))[:FREQUENT])
    return [
        [word if word in known else None for word in (None, *text.words[:-1])][: len(text.words)]
        for text in texts
    ]


def _place(texts: Sequence[_Text]) -> _Labels:
    found: _Labels = []
    for text in texts:
        labels: list[str | None] = []
        number, end = 0, 0
        for start, stop in text.spans:
            number = 1 if _END.search(text.text, end, start) else number + 1
            end = stop
            labels.append(_range(number, (1, 3, 7)))
        found.append(labels)
    return found


def _length(texts: Sequence[_Text]) -> _Labels:
    return [[_range(len(word), (2, 4, 6)) for word in text.words] for text in texts]


def _range(number: int, ends: tuple[int, ...]) -> str:
    """The name of the range that a number is in, of those that end with `ends`."""
    for low, high in pairwise((0, *ends)):
        if number <= high:
            return str(high) if low + 1 == high else f"{low + 1} to {high}"
    return f"{ends[-1] + 1} or more"


_LABELS: dict[str, Callable[[Sequence[_Text]], _Labels]] = {
    "word before": _before,
    "place in the sentence": _place,
    "length of the word": _length,
}

TASKS: dict[str, str] = {
    "word before": "which word stands before a word, of the most frequent ones",
    "place in the sentence": "whether a word is the first of its sentence, the 2nd or 3rd, ...",
    "length of the word": "how many letters a word has",
}
"""Name -> what a probe is asked."""


def unlabelled(texts: Sequence[str], task: str, documents: Sequence[str] | None = None) -> Labelled:
    """The words of texts, each with the label that the text itself gives it.

    Args:
        task: one of `TASKS`. Of `word before`, only words that follow one of the 8 most frequent
            words have a label. Labels of fewer than 20 words are left out.
        documents: name of the document of each text; by default each is its own.

    Raises:
        InputError: no such task, or no word with a label is left.
    """
    if task not in _LABELS:
        raise InputError(f"There is no task {task!r}; there are {', '.join(_LABELS)}.")
    read = [_read(text) for text in texts]
    labels = _LABELS[task](read)
    counts = Counter(label for row in labels for label in row)
    kept = {label for label, n in counts.items() if n >= FEWEST}
    return Labelled.words(
        [text.words for text in read],
        [[label if label in kept else None for label in row] for row in labels],
        texts=list(texts),
        spans=[text.spans for text in read],
        documents=documents,
    )


def _read(text: str) -> _Text:
    found = list(_WORD.finditer(text))
    return _Text([match[0].lower() for match in found], [match.span() for match in found], text)
