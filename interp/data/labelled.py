"""Texts with a class, and words with a class each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from interp.data.batch import IGNORED, Batch, pad
from interp.data.encoding import encode_framed, pad_id
from interp.data.examples import Examples, check_equally_many, class_index, padded
from interp.data.order import Indices
from interp.errors import InputError
from interp.tokenizer import Tokenizer


class Labelled(Examples):
    """Texts, or pairs of texts, in the tokenizer's template, each with one class.

    Args:
        labels: name of the class of each text.
        classes: all names; a label is the place of its name in them.
        second: the second text of each pair.
        segments: give `token_type_ids` with pairs, for models that have segments.
        tokens: the most in a batch, padding included.
        max_length: a text with more tokens is cut at its end (of a pair, the longer one is first).
            `n_truncated` were.

    Raises:
        InputError: no texts, a label that is none of the classes, or lists of unequal length.
    """

    def __init__(
        self,
        texts: Sequence[str],
        labels: Sequence[str],
        classes: Sequence[str],
        tokenizer: Tokenizer,
        *,
        tokens: int,
        max_length: int,
        seed: int,
        second: Sequence[str] | None = None,
        segments: bool = True,
    ):
        check_equally_many("texts and labels", texts, labels)
        if second is not None:
            check_equally_many("first and second texts", texts, second)
        self.labels = torch.tensor(class_index(labels, classes, "Text"), dtype=torch.long)
        self.pad = pad_id(tokenizer)
        encoded = encode_framed(tokenizer, texts, second, max_length=max_length)
        self.n_truncated = sum(bool(e.overflowing) for e in encoded)
        self.rows = [list(e.ids) for e in encoded]
        pairs = second is not None and segments
        self.segments = [list(e.type_ids) for e in encoded] if pairs else None
        super().__init__([len(row) for row in self.rows], tokens, seed)

    def collate(self, chosen: Indices | Sequence[int]) -> Batch:
        """`tokens`, mask, for pairs `token_type_ids`, and labels [row]."""
        inputs = padded([self.rows[i] for i in chosen], self.pad)
        if self.segments is not None:
            inputs["token_type_ids"] = pad([self.segments[i] for i in chosen], 0)
        return Batch(inputs, self.labels[torch.as_tensor(chosen)])


class TokenLabels(Examples):
    """Sentences whose words have a class each; the first token of a word bears its label.

    The words are joined by single spaces, so that they look to the tokenizer as they did in
    pre-training.

    Args:
        sentences: the words of each sentence.
        labels: name of the class of each word.
        classes: all names; a label is the place of its name in them.
        tokens: the most in a batch, padding included.
        max_length: of a sentence with more tokens the last words are left out, labels and all.
            `n_truncated` were cut.

    Raises:
        InputError: no sentences, a label that is none of the classes, or words without a label.
    """

    def __init__(
        self,
        sentences: Sequence[Sequence[str]],
        labels: Sequence[Sequence[str]],
        classes: Sequence[str],
        tokenizer: Tokenizer,
        *,
        tokens: int,
        max_length: int,
        seed: int,
    ):
        check_equally_many("sentences and lists of labels", sentences, labels)
        for words, tags in zip(sentences, labels, strict=True):
            check_equally_many(f"words and labels ({' '.join(words)[:60]!r})", words, tags)
        self.pad = pad_id(tokenizer)
        texts = [" ".join(words) for words in sentences]
        encoded = encode_framed(tokenizer, texts, max_length=max_length)
        self.n_truncated = sum(bool(e.overflowing) for e in encoded)
        self.rows = [list(e.ids) for e in encoded]
        self.labels = []
        for i, (words, tags, e) in enumerate(zip(sentences, labels, encoded, strict=True)):
            classed = class_index(tags, classes, f"Sentence {i}, word")
            row = [IGNORED] * len(e.ids)
            read = [span if part == 0 else None for span, part in _spans(e)]
            for place, label in zip(_first_tokens(words, read), classed, strict=True):
                if place is not None:
                    row[place] = label  # over that of a word that was dropped
            self.labels.append(row)
        super().__init__([len(row) for row in self.rows], tokens, seed)

    def collate(self, chosen: Indices | Sequence[int]) -> Batch:
        """`tokens`, mask, and labels [row, pos]."""
        inputs = padded([self.rows[i] for i in chosen], self.pad)
        return Batch(inputs, pad([self.labels[i] for i in chosen], IGNORED))


def _spans(encoded: Any) -> zip[tuple[tuple[int, int], int | None]]:
    """For each token its characters, and which text they are of (None for special tokens)."""
    return zip(encoded.offsets, encoded.sequence_ids, strict=True)


def _first_tokens(
    words: Sequence[str], spans: Sequence[tuple[int, int] | None]
) -> list[int | None]:
    """For each word the place of its first token; None where it has none, or was cut off.

    A token may hold the space before a word, so what counts is where tokens end: the first token
    of a word is the first that ends behind the word's beginning. Where a tokenizer drops a word (of
    control characters, say), that is the next word's first token.
    """
    places: list[int | None] = []
    begin, at = 0, 0
    for word in words:
        if not word or " " in word:
            raise InputError(f"{word!r} is not a word: words are not empty and hold no space.")
        while at < len(spans) and ((span := spans[at]) is None or span[1] <= begin):
            at += 1
        places.append(at if at < len(spans) else None)
        begin += len(word) + 1
    return places
