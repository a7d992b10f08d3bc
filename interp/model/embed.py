"""From token ids to the stream that enters the first block."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from interp.model.config import TransformerConfig
from interp.model.hook_points import HookPoint, scoped
from interp.model.norm import Norm
from interp.model.positions import FixedTable, sinusoidal_table
from interp.model.tap import NO_TAP, TapLike


class LearnedPositions(nn.Module):
    """A learned vector per position."""

    def __init__(self, cfg: TransformerConfig):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(cfg.n_ctx, cfg.d_model))

    def forward(self, position_ids: Tensor) -> Tensor:
        """[batch or 1, pos] -> [batch or 1, pos, d_model]"""
        return F.embedding(position_ids, self.weight)


class SinusoidalPositions(FixedTable):
    """A fixed vector of sines and cosines per position."""

    def __init__(self, cfg: TransformerConfig):
        super().__init__(partial(sinusoidal_table, cfg.n_ctx, cfg.d_model))

    @property
    def weight(self) -> Tensor:
        """[n_ctx, d_model]"""
        return self.table

    def forward(self, position_ids: Tensor) -> Tensor:
        """[batch or 1, pos] -> [batch or 1, pos, d_model]"""
        return F.embedding(position_ids, self.table)


class Input(nn.Module):
    """Token, position and segment embeddings, summed; BERT then normalises the sum.

    The token table itself is given to `forward`, since encoder and decoder share one.
    """

    def __init__(self, cfg: TransformerConfig):
        super().__init__()
        self.scale = cfg.embed_scale
        self.dropout = cfg.dropout
        self.positions: LearnedPositions | SinusoidalPositions | None = None
        if cfg.positional_embedding_type == "standard":
            self.positions = LearnedPositions(cfg)
        elif cfg.positional_embedding_type == "sinusoidal":
            self.positions = SinusoidalPositions(cfg)
        self.segments = nn.Embedding(cfg.n_segments, cfg.d_model) if cfg.n_segments else None
        self.ln = Norm.from_config(cfg) if cfg.embed_norm else None

    def forward(
        self,
        embedded: Tensor,
        position_ids: Tensor,
        token_type_ids: Tensor | None = None,
        tap: TapLike = NO_TAP,
    ) -> Tensor:
        """[batch, pos, d_model] of tokens -> [batch, pos, d_model].

        Args:
            embedded: rows of the token table.
            position_ids: [batch or 1, pos].
            token_type_ids: [batch, pos] segment ids; None means segment 0 throughout.
        """
        resid = tap("hook_embed", embedded if self.scale == 1.0 else embedded * self.scale)
        if self.positions is not None:
            position = self.positions(position_ids).to(resid.dtype)
            if tap is not NO_TAP:  # it sees what every row gets
                position = tap("hook_pos_embed", position.expand_as(resid))
            resid = resid + position
        if self.segments is not None:
            if token_type_ids is None:
                token_type_ids = position_ids.new_zeros(resid.shape[:2])
            resid = resid + tap("hook_token_type_embed", self.segments(token_type_ids))
        if self.ln is not None:
            resid = tap("hook_full_embed", self.ln(resid, tap.scope("embed.ln")))
        return F.dropout(resid, self.dropout) if self.training and self.dropout else resid

    def hook_points(self) -> Iterator[HookPoint]:
        stream = "batch pos d_model"
        yield HookPoint("hook_embed", stream, "the embedding of the tokens")
        if self.positions is not None:
            yield HookPoint("hook_pos_embed", stream, "the embedding of the positions")
        if self.segments is not None:
            yield HookPoint("hook_token_type_embed", stream, "the embedding of the segments")
        if self.ln is not None:
            yield from scoped("embed.ln", self.ln.hook_points())
            yield HookPoint("hook_full_embed", stream, "the normalised sum of the embeddings")
