"""Rows that are stretches of tokens: what a probe that pools by itself is fitted to."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Spans:
    """Rows of one site, or of several that read the same tokens.

    Attributes:
        tokens: [token, d], or [site, token, d].
        start, stop: first and last + 1 token of each end of each row, [row, end]; no end is empty.
    """

    tokens: Tensor
    start: Tensor
    stop: Tensor

    def __len__(self) -> int:
        return len(self.start)

    def listed(self, rows: slice, end: int) -> tuple[Tensor, Tensor]:
        """The tokens that one end of some rows has, row after row [entry], and which of these rows
        each belongs to [entry]."""
        start, stop = self.start[rows, end], self.stop[rows, end]
        lengths = stop - start
        owner = torch.arange(len(lengths), device=start.device).repeat_interleave(lengths)
        before = lengths.cumsum(0) - lengths
        tokens = torch.arange(len(owner), device=start.device) + (start - before)[owner]
        return tokens, owner
