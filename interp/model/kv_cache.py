"""Keys and values kept between forwards, so that generation computes each position once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from interp.errors import InputError


class LayerMemory:
    """Keys and values of one layer in buffers of full length: adding a position copies no other."""

    def __init__(self, n_max: int):
        self.n_max = n_max
        self.length = 0
        self.k: Tensor | None = None
        self.v: Tensor | None = None

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """[batch, new_pos, kv_head, d_head] -> the same of all positions so far."""
        if self.k is None or self.v is None:
            self.k = k.new_empty(k.shape[0], self.n_max, *k.shape[2:])
            self.v = torch.empty_like(self.k)
        end = self.length + k.shape[1]
        if end > self.n_max:
            raise InputError(
                f"The key-value cache holds {self.n_max} positions and {end} are needed; make it "
                "with a larger n_max, or generate less."
            )
        self.k[:, self.length : end] = k
        self.v[:, self.length : end] = v
        self.length = end
        return self.k[:, :end], self.v[:, :end]

    def once(self, project: Callable[[], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """What `project` returned at the first call."""
        if self.k is None or self.v is None:
            self.k, self.v = project()
        return self.k, self.v

    def reorder(self, rows: Tensor) -> None:
        """Row i becomes what row `rows[i]` was."""
        if self.k is not None and self.v is not None:
            self.k, self.v = self.k[rows], self.v[rows]


class KeyValueCache:
    """The memory of a whole model between forwards.

    Pass one to `forward(past_kv_cache=)`; each call adds the tokens it is given. An
    encoder-decoder reads its source at the first call only.

    Args:
        n_layers: blocks of the decoder.
        n_max: positions to make room for.
    """

    def __init__(self, n_layers: int, n_max: int):
        self.layers = [LayerMemory(n_max) for _ in range(n_layers)]
        self.cross_layers = [LayerMemory(0) for _ in range(n_layers)]
        self.length = 0
        self.mask: Tensor | None = None  # [batch, length], True for real tokens; None: all are
        self.source: Tensor | None = None  # the encoder's output
        self.source_mask: Tensor | None = None

    def advance(self, n_new: int, new_mask: Tensor | None, batch: int) -> Tensor | None:
        """Adds `n_new` positions; returns the mask of all, [batch, length], or None if all real."""
        if self.mask is not None or new_mask is not None:
            device = (new_mask if new_mask is not None else self.mask).device  # type: ignore[union-attr]
            old = self.mask
            if old is None:
                old = torch.ones(batch, self.length, dtype=torch.bool, device=device)
            if new_mask is None:
                new_mask = torch.ones(batch, n_new, dtype=torch.bool, device=device)
            self.mask = torch.cat([old, new_mask.bool()], 1)
        self.length += n_new
        return self.mask

    def reorder(self, rows: Tensor) -> None:
        """Row i of the batch becomes what row `rows[i]` was (beam search)."""
        for layer in (*self.layers, *self.cross_layers):
            layer.reorder(rows)
        for name in ("mask", "source", "source_mask"):
            value = getattr(self, name)
            if value is not None:
                setattr(self, name, value[rows])
