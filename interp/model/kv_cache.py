"""Keys and values kept between forwards, so that generation computes each position once."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor

from interp.errors import CacheError, InputError
from interp.model.config import TransformerConfig


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
        self.k[:, self.length : end] = k
        self.v[:, self.length : end] = v
        self.length = end
        return self.k[:, :end], self.v[:, :end]

    def once(self, project: Callable[[], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """What `project` returned at the first call."""
        if self.k is None or self.v is None:
            self.k, self.v = project()
            self.length = self.k.shape[1]
        return self.k, self.v

    def reorder(self, rows: Tensor) -> None:
        """Row i becomes what row `rows[i]` was; there may be more rows than before, or fewer."""
        if self.k is None or self.v is None:
            return
        if len(rows) != self.k.shape[0]:
            self.k = self.k.new_empty(len(rows), *self.k.shape[1:]).copy_(self.k[rows])
            self.v = self.v.new_empty(len(rows), *self.v.shape[1:]).copy_(self.v[rows])
            return
        filled = slice(0, self.length)
        self.k[:, filled] = self.k[rows, filled]
        self.v[:, filled] = self.v[rows, filled]

    def fork(self, rows: Tensor) -> LayerMemory:
        """A memory of its own whose row i is what row `rows[i]` is here."""
        new = LayerMemory(self.n_max)
        new.length = self.length
        if self.k is not None and self.v is not None:
            # Whole rows, the room behind the last position too: one copy of contiguous memory.
            new.k, new.v = self.k.index_select(0, rows), self.v.index_select(0, rows)
        return new


class KeyValueCache:
    """The memory of a whole model between forwards.

    Pass one to `forward(past_kv_cache=)`; each call adds the tokens it is given, and an
    `attention_mask` given with them is that of the new tokens alone. An encoder-decoder reads its
    source at the first call only.

    Args:
        n_layers: blocks of the decoder.
        n_max: positions to make room for.
    """

    def __init__(self, n_layers: int, n_max: int):
        self.n_max = n_max
        self.layers = [LayerMemory(n_max) for _ in range(n_layers)]
        self.cross_layers = [LayerMemory(0) for _ in range(n_layers)]
        self.length = 0
        self.batch: int | None = None
        self.source: Tensor | None = None  # the encoder's output
        self.source_mask: Tensor | None = None
        self._mask: Tensor | None = None  # [batch, n_max]; None while all tokens are real

    @classmethod
    def for_model(cls, cfg: TransformerConfig, n_max: int | None = None) -> KeyValueCache:
        """An empty cache for a model; by default as long as its context."""
        decoder = cfg.shape == "encoder_decoder"
        return cls(
            cfg.n_decoder_layers if decoder else cfg.n_layers, cfg.n_ctx if n_max is None else n_max
        )

    @property
    def mask(self) -> Tensor | None:
        """[batch, length], True for real tokens; None if all are."""
        return None if self._mask is None else self._mask[:, : self.length]

    def next_position(self) -> int | Tensor:
        """Position id of the next token: a row's number of real tokens, [batch, 1] if they differ.

        Padding does not count.
        """
        mask = self.mask
        return self.length if mask is None else mask.long().sum(1, keepdim=True)

    def advance(self, n_new: int, new_mask: Tensor | None, batch: int) -> Tensor | None:
        """Adds `n_new` positions; returns the mask of all, [batch, length], or None if all real.

        Raises:
            InputError: no room, or another number of rows than before.
            CacheError: an earlier forward with this cache did not run through all blocks.
        """
        end = self.length + n_new
        if end > self.n_max:
            raise InputError(
                f"The key-value cache holds {self.n_max} positions and {end} are needed; make it "
                "with a larger n_max, or generate less."
            )
        if self.batch is not None and batch != self.batch:
            raise InputError(
                f"The key-value cache holds a batch of {self.batch} and the new tokens are a batch "
                f"of {batch}; give as many rows as before, or make a new cache."
            )
        if any(layer.length != self.length for layer in self.layers):
            raise CacheError(
                "The key-value cache lacks positions in some layers: an earlier forward with it "
                "ended by an error, or left out blocks. Make a new cache."
            )
        if new_mask is not None or self._mask is not None:
            if self._mask is None:
                assert new_mask is not None
                self._mask = new_mask.new_ones(batch, self.n_max, dtype=torch.bool)
            self._mask[:, self.length : end] = True if new_mask is None else new_mask.bool()
        self.batch, self.length = batch, end
        return self.mask

    def reorder(self, rows: Tensor, *, same_source: bool = False) -> None:
        """Row i of the batch becomes what row `rows[i]` was (beam search).

        Args:
            rows: [new batch]; may repeat rows.
            same_source: row i and row `rows[i]` read the same source, which then stays in place.
        """
        self.batch = len(rows)
        for layer in self.layers:
            layer.reorder(rows)
        if self._mask is not None:
            self._mask = self._mask[rows]
        if same_source:
            return
        for layer in self.cross_layers:
            layer.reorder(rows)
        self.source = None if self.source is None else self.source[rows]
        self.source_mask = None if self.source_mask is None else self.source_mask[rows]

    def fork(self, rows: Tensor) -> Self:
        """A cache of its own whose row i is what row `rows[i]` is here; this one stays as it is.

        Args:
            rows: [new batch]; may repeat rows.
        """
        new = copy.copy(self)
        new.layers, new.cross_layers = (
            [layer.fork(rows) for layer in layers] for layers in (self.layers, self.cross_layers)
        )
        new.batch = len(rows)
        for name in ("source", "source_mask", "_mask"):
            kept = getattr(self, name)
            setattr(new, name, None if kept is None else kept[rows])
        return new
