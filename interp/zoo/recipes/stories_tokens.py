"""Tokens of the zoo model `stories`: tokenizer, encoded corpus and the order of its rows."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interp.data.batch import Batch
from interp.data.sets.stories import Book
from interp.data.tokenizing import SPECIAL
from interp.tokenizer import Tokenizer

# The special tokens of `train_tokenizer` for a decoder. END opens every text and row, and closes
# every document.
END = SPECIAL["decoder"]["eos"]
END_ID, PAD_ID = 0, 1


@dataclass(frozen=True)
class Corpus:
    """Documents as one row of tokens, `END` before each and after the last.

    Attributes:
        tokens: [length], ids as uint16.
        starts: positions at which a paragraph begins, ascending.
        n_bytes: length of the texts in UTF-8.
    """

    tokens: NDArray[np.uint16]
    starts: NDArray[np.int64]
    n_bytes: int

    def bits_per_byte(self, nats_per_token: float) -> float:
        """The unit in which models with different vocabularies compare."""
        return nats_per_token * (len(self.tokens) - 1) / self.n_bytes / math.log(2)

    @classmethod
    def encode(cls, documents: list[Book], tokenizer: Tokenizer) -> Corpus:
        encoded = tokenizer.backend.encode_batch([document.text for document in documents])
        pieces = [np.array([END_ID, *e.ids], dtype=np.uint16) for e in encoded]
        tokens = np.concatenate([*pieces, np.array([END_ID], dtype=np.uint16)])
        breaks = [
            i for i in range(len(tokenizer)) if tokenizer.decode([i]).strip("\n") in ("", END)
        ]
        starts = np.flatnonzero(np.isin(tokens[:-1], breaks)) + 1
        return cls(tokens, starts, sum(len(document.text.encode()) for document in documents))

    def rows(self, starts: NDArray[np.int64], length: int) -> Tensor:
        """`END` and the `length - 1` tokens from each start on: [row, length]."""
        out = np.full((len(starts), length), END_ID, dtype=np.int64)
        out[:, 1:] = self.tokens[starts[:, None] + np.arange(length - 1)]
        return torch.from_numpy(out)


def batch(
    corpus: Corpus, step: int, *, rows: int, length: int, seed: int, repeated: int = 0
) -> Tensor:
    """The rows of a step, [row, length]: a pure function of corpus, seed and step.

    An epoch cuts the corpus into pieces of `length - 1` tokens, with another offset each time, and
    visits them in another order. A piece begins at the next paragraph if one is near, since that
    is where people's prompts begin. The last `repeated` rows hold only the beginning of their
    piece, over and over, with a period drawn for each: no fixed distance tells what comes next.
    """
    stride = length - 1
    per_epoch = len(corpus.tokens) // stride - 2
    starts = np.empty(rows, dtype=np.int64)
    for i in range(rows):
        epoch, place = divmod(step * rows + i, per_epoch)
        order, offset = _epoch(seed, epoch, per_epoch, stride)
        starts[i] = offset + order[place] * stride
    nearest = np.searchsorted(corpus.starts, starts).clip(max=len(corpus.starts) - 1)
    ahead = corpus.starts[nearest] - starts
    starts = np.where((ahead >= 0) & (ahead < stride // 4), corpus.starts[nearest], starts)
    out = corpus.rows(starts.clip(max=len(corpus.tokens) - stride), length)
    random = np.random.default_rng([seed, step, 1])
    for row in out[rows - repeated :]:
        period = int(random.integers(stride // 12, stride // 2))
        row[1:] = row[1 : period + 1].repeat(stride // period + 1)[:stride]
    return out


@dataclass(frozen=True)
class StoryRows:
    """The training text of `stories`: rows of `length` tokens, each to predict the next.

    Attributes:
        repeated: so many rows of a step repeat a passage, from the step `repeated_from` on.
    """

    corpus: Corpus
    rows: int
    length: int
    seed: int
    repeated: int = 0
    repeated_from: int = 0

    def batch(self, step: int) -> Batch:
        """`tokens` [rows, length], and what follows each as labels."""
        read = batch(
            self.corpus,
            step,
            rows=self.rows,
            length=self.length + 1,
            seed=self.seed,
            repeated=self.repeated if step >= self.repeated_from else 0,
        )
        return Batch({"tokens": read[:, :-1]}, read[:, 1:].contiguous())


@functools.lru_cache(maxsize=2)
def _epoch(seed: int, epoch: int, pieces: int, stride: int) -> tuple[NDArray[np.int64], int]:
    random = np.random.default_rng([seed, epoch])
    return random.permutation(pieces), int(random.integers(stride))
