"""Rows of a packed corpus for maximum likelihood: each token predicts the next."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from interp.data.batch import Batch
from interp.data.corpus import PackedCorpus
from interp.data.encoding import role_id
from interp.data.order import Indices, Shuffled, stream_seed
from interp.data.sources import Described
from interp.errors import ConfigError


@dataclass(frozen=True)
class Pieces:
    """Which pieces of a corpus the steps read: a pure function of seed and step.

    The corpus is taken as a ring, its end joined to its beginning. An epoch cuts the ring into
    pieces from a place drawn for it, so that rows are cut elsewhere each time, and visits them in
    an order of its own. What is left over, less than one piece, waits for another epoch.

    Args:
        n: tokens in the corpus.
        length: tokens in a piece.
        rows: pieces a step.

    Raises:
        ConfigError: the corpus is smaller than one piece, or a count is not positive.
    """

    n: int
    length: int
    rows: int
    seed: int

    def __post_init__(self) -> None:
        if self.length < 1 or self.rows < 1:
            raise ConfigError(
                f"{self.rows} rows of {self.length} tokens make no batch; both must be positive."
            )
        if self.n < self.length:
            raise ConfigError(
                f"The corpus has {self.n} tokens, less than one row of {self.length}. Shorten the "
                "rows or give it more text."
            )

    @property
    def per_epoch(self) -> int:
        return self.n // self.length

    @property
    def steps_per_epoch(self) -> float:
        return self.per_epoch / self.rows

    def step(self, step: int) -> Indices:
        """Where the pieces of a step begin, [rows]."""
        piece = Shuffled(self.per_epoch, self.rows, self.seed).step(step)
        epoch = (step * self.rows + np.arange(self.rows)) // self.per_epoch
        offset = [stream_seed(self.seed, int(e), "offset") % self.n for e in epoch]
        starts: Indices = (np.array(offset, dtype=np.int64) + piece * self.length) % self.n
        return starts


class NextToken(Described):
    """Rows for a decoder: `length` consecutive tokens of the corpus, each to be predicted once.

    A row reads the begin-of-text token and all but the last of its tokens. Documents follow each
    other in a row, with the separator between them, which the model learns to expect; attention
    is not cut there, which is worth 0.0002 bits per byte once rows open with that token (as
    measured for nanochat).

    Args:
        corpus: at least `length` tokens.
        rows: a batch, [rows, length].
        seed: of the order and of the places at which epochs are cut.
    """

    def __init__(self, corpus: PackedCorpus, rows: int, length: int, seed: int):
        self.corpus = corpus
        self.pieces = Pieces(len(corpus), length, rows, seed)
        self.bos = role_id(corpus.tokenizer, "bos", "cls", "eos")

    @property
    def steps_per_epoch(self) -> float:
        return self.pieces.steps_per_epoch

    def batch(self, step: int) -> Batch:
        """`tokens` [rows, length], and what follows each as labels."""
        labels = self.corpus.read(self.pieces.step(step), self.pieces.length)
        tokens = np.empty_like(labels)
        tokens[:, 0] = self.bos
        tokens[:, 1:] = labels[:, :-1]
        return Batch({"tokens": torch.from_numpy(tokens)}, torch.from_numpy(labels))
