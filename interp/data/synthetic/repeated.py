"""Random tokens, and the same again: the language in which induction heads arise."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interp.data.batch import Batch
from interp.data.order import stream_seed
from interp.data.sources import Described
from interp.errors import ConfigError

BOS = 0


class RepeatedTokens(Described):
    """Rows that repeat a passage of random tokens (Olsson et al. 2022, arXiv 2209.11895).

    A row is `BOS` and a passage, over and over; where a passage ends is drawn for each row, so
    that no fixed distance tells what comes next, and no token occurs twice in one.

    The truth: in the first passage nothing can be predicted better than evenly, which costs
    log(d_vocab - 1) nats a token (a little less, since no token comes twice). From the second
    token of the second passage on, what comes next is what followed the present token before:
    `predictable` says where.

    Args:
        d_vocab: `BOS` included.
        rows: a batch, [rows, length].
        length: at least 8. A passage has between a quarter and a half of that many tokens.

    Raises:
        ConfigError: rows too short, or a vocabulary smaller than a passage.
    """

    def __init__(self, d_vocab: int, rows: int, length: int, seed: int):
        if length < 8 or rows < 1 or d_vocab - 1 < length // 2:
            raise ConfigError(
                f"{rows} rows of {length} tokens (at least 8) out of {d_vocab} cannot be drawn: a "
                f"passage of up to {length // 2} tokens has none of them twice."
            )
        self.d_vocab = d_vocab
        self.rows = rows
        self.length = length
        self.seed = seed

    def batch(self, step: int) -> Batch:
        """`tokens` [rows, length], and the token that follows each as labels."""
        period, random = self._periods(step)
        # The first ones of a shuffled vocabulary: none twice.
        lots = random.random((self.rows, self.d_vocab - 1))
        passage = np.argsort(lots, axis=1)[:, : self.length // 2] + 1
        labels = np.take_along_axis(passage, np.arange(self.length) % period[:, None], 1)
        tokens = np.concatenate([np.full((self.rows, 1), BOS), labels[:, :-1]], axis=1)
        return Batch({"tokens": torch.from_numpy(tokens)}, torch.from_numpy(labels))

    def predictable(self, step: int) -> Tensor:
        """[rows, length], True where the label of a step's batch follows from what was read."""
        period, _ = self._periods(step)
        return torch.from_numpy(np.arange(self.length) > period[:, None])

    def _periods(self, step: int) -> tuple[NDArray[np.int64], np.random.Generator]:
        random = np.random.default_rng(stream_seed(self.seed, "repeated", step))
        return random.integers(self.length // 4, self.length // 2 + 1, self.rows), random
