"""Copying and reversing: what cross-attention has to look at is known."""

from __future__ import annotations

import numpy as np
import torch

from interp.data.batch import Batch
from interp.data.order import stream_seed
from interp.data.sources import Described
from interp.errors import ConfigError

PAD, EOS = 0, 1
FIRST = 2
"""The smallest id of an ordinary token."""


class Copying(Described):
    """Random tokens for an encoder-decoder that writes them again, forwards or backwards.

    The source is random tokens and `EOS`, the target the same tokens in their order or in
    reverse, and `EOS`. All rows of a batch are equally long, so there is no padding; the decoder
    starts with `PAD`.

    The truth: what the decoder writes at place t is the source token at `source_position(n)[t]`,
    whatever the other tokens are.

    Args:
        d_vocab: `PAD` and `EOS` included.
        lengths: fewest and most tokens of a row, `EOS` not counted; drawn for each step.

    Raises:
        ConfigError: no ordinary token, or lengths out of order.
    """

    def __init__(
        self, d_vocab: int, rows: int, lengths: tuple[int, int], seed: int, *, backwards: bool
    ):
        if d_vocab <= FIRST or rows < 1 or not 1 <= lengths[0] <= lengths[1]:
            raise ConfigError(
                f"{rows} rows of {lengths[0]} to {lengths[1]} tokens out of {d_vocab}, of which "
                f"{FIRST} are special, cannot be drawn."
            )
        self.d_vocab = d_vocab
        self.rows = rows
        self.lengths = lengths
        self.seed = seed
        self.backwards = backwards

    def batch(self, step: int) -> Batch:
        """`tokens`, `decoder_tokens` and labels, each [rows, n + 1]."""
        random = np.random.default_rng(stream_seed(self.seed, "copying", step))
        n = int(random.integers(self.lengths[0], self.lengths[1], endpoint=True))
        source = torch.from_numpy(random.integers(FIRST, self.d_vocab, (self.rows, n + 1)))
        source[:, -1] = EOS
        labels = source[:, self.source_position(n)]
        read = torch.cat([torch.full((self.rows, 1), PAD), labels[:, :-1]], 1)
        return Batch({"tokens": source, "decoder_tokens": read}, labels)

    def source_position(self, n: int) -> list[int]:
        """For each place of the target, its place in a source of n tokens and `EOS`."""
        places = list(range(n))
        return [*(places[::-1] if self.backwards else places), n]
