"""Addition modulo a prime: the task on which generalisation comes long after fitting."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch

from interp.data.batch import IGNORED, Batch
from interp.data.order import stream_seed
from interp.data.sources import Described
from interp.errors import ConfigError


class ModularAddition(Described):
    """All `a b =` with a, b in 0 ... p - 1, and (a + b) mod p (Nanda et al. 2023, 2301.05217).

    The truth: the right answer to `a b =` is (a + b) mod p. A model that has only remembered the
    training pairs is right on 1 / p of the others; one that has understood is right on all. The
    pairs a, b and b, a may lie on different sides of the split.

    Every step reads the whole of its side of the split.

    Args:
        p: the modulus; numbers are tokens, and p is the token `=`.
        share: of the p * p pairs that are for training.
        seed: of the split; both sides must have the same.

    Raises:
        ConfigError: a side of the split would be empty.
    """

    def __init__(
        self,
        p: int = 113,
        share: float = 0.3,
        *,
        split: Literal["train", "test"],
        seed: int = 0,
    ):
        n_train = round(share * p * p)
        if p < 2 or not 0 < n_train < p * p:
            raise ConfigError(
                f"A share of {share} of the {p * p} pairs leaves no pair on one side of the split."
            )
        self.p = p
        order = np.random.default_rng(stream_seed(seed, "modular", p)).permutation(p * p)
        chosen = np.sort(order[:n_train] if split == "train" else order[n_train:])
        a, b = np.divmod(chosen, p)
        tokens = torch.from_numpy(np.stack([a, b, np.full(len(chosen), p)], axis=1))
        labels = torch.full_like(tokens, IGNORED)
        labels[:, 2] = torch.from_numpy((a + b) % p)
        self._whole = Batch({"tokens": tokens}, labels)

    @property
    def d_vocab(self) -> int:
        return self.p + 1

    def batch(self, step: int) -> Batch:
        """`tokens` [pair, 3], and the sum as the label of the last position."""
        return self._whole
