"""How many bits it takes to send the labels to somebody who has the activations.

The online code of Voita & Titov 2020 (arXiv 2003.12298, section 2.2): a first block of labels is
sent at log2(classes) bits each; then each block is coded by the probe that was fitted to all blocks
before it. A probe that needs many examples pays for them in bits, whatever accuracy it ends with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from interp.errors import InputError
from probes.solvers.logistic import Problems, fit_logistic

FRACTIONS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)
"""Where the blocks end, as shares of all rows; each block doubles what was sent."""


@dataclass(frozen=True)
class OnlineCode:
    """The price of the labels, from each site.

    Attributes:
        ends: row after the last of each block, [block].
        bits: of each block, [site, block]; the first at the uniform price.
        strengths: of the penalty behind each block but the first, [site, block - 1].
        n_classes: the uniform code costs log2 of it a label.
    """

    ends: NDArray[np.int64]
    bits: NDArray[np.float64]
    strengths: NDArray[np.float64]
    n_classes: int

    @property
    def length(self) -> NDArray[np.float64]:
        """Bits in all, [site]."""
        return np.asarray(self.bits.sum(1))

    @property
    def compression(self) -> NDArray[np.float64]:
        """How many times shorter than the uniform code, [site]."""
        return np.asarray(self.ends[-1] * math.log2(self.n_classes) / self.length)


def online_code(
    rows: Tensor,
    labels: Tensor,
    *,
    n_classes: int,
    fractions: tuple[float, ...] = FRACTIONS,
    strengths: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0),
) -> OnlineCode:
    """Codes labels from all sites at once.

    The strength behind a block is the one that would have coded the blocks before it best, which
    the receiver knows as well; at first, the strongest. Rows are standardised by what was sent.

    Args:
        rows: [site, row, d], in an order that says nothing (shuffle texts before).
        labels: [row].
        fractions: where the blocks end; the last is 1.

    Raises:
        InputError: fractions that do not rise to 1, or a first block without a row.
    """
    n = rows.shape[1]
    rising = all(a < b for a, b in pairwise(fractions))
    if not fractions or fractions[-1] != 1 or fractions[0] <= 0 or not rising:
        raise InputError(f"The fractions {fractions} do not rise from above 0 to 1.")
    ends = np.unique(np.maximum(np.rint(np.array(fractions) * n), 1)).astype(np.int64)
    n_sites, k = len(rows), len(strengths)
    bits = np.full((n_sites, len(ends)), ends[0] * math.log2(n_classes))
    chosen = np.zeros((n_sites, len(ends) - 1))
    spent = np.zeros((n_sites, k))  # by each strength, so far
    for block, (sent, end) in enumerate(pairwise(ends.tolist())):
        known = rows[:, :sent]
        mean, spread = known.mean(1, keepdim=True), known.std(1, keepdim=True, correction=0)
        spread = torch.where(spread > 0, spread, 1.0)
        fit = fit_logistic(
            (known - mean) / spread,
            labels[None, :sent],
            Problems.cross(n_sites, 1, 1, strengths),
            n_classes=n_classes,
        )
        prices = np.zeros((n_sites, k))
        for i in range(n_sites * k):
            site, strength = divmod(i, k)
            logits = fit.logits((rows[site, sent:end] - mean[site]) / spread[site], i)
            prices[site, strength] = _price(logits, labels[sent:end], sent)
        # Of equals the last, which is the strongest.
        best = k - 1 - spent[:, ::-1].argmin(1)
        bits[:, block + 1] = prices[np.arange(n_sites), best]
        chosen[:, block] = np.array(strengths)[best]
        spent += prices
    return OnlineCode(ends, bits, chosen, n_classes)


def _price(logits: Tensor, labels: Tensor, sent: int) -> float:
    """Bits for labels, with a pinch of the uniform code (one label in as many as were sent, and
    one), so that a label that has not occurred yet can be sent at all."""
    p = torch.softmax(logits.double(), 1)
    pinch = 1 / (sent + 1)
    mixed = (1 - pinch) * p + pinch / logits.shape[1]
    total = cross_entropy(mixed.log(), labels, reduction="sum") / math.log(2)
    return float(total)
