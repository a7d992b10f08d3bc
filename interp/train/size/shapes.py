"""The shapes that a size is chosen from: one dial, the width, and all else follows from it.

Depth grows with width, so that a row of this ladder differs from the next in size and in little
else: a scaling law that was fitted on some of its rows speaks for all of them.
"""

from __future__ import annotations

from interp.errors import InputError
from interp.model.config import TransformerConfig

WIDTHS = (
    *range(32, 512, 32),
    *range(512, 1024, 64),
    *range(1024, 2048, 128),
    *range(2048, 4096, 256),
    *range(4096, 12289, 512),
)


def decoder(d_model: int, *, d_vocab: int, n_ctx: int) -> TransformerConfig:
    """The decoder of this width: rotary positions, RMS norms, a gated feed-forward layer of 8/3 of
    the width, heads of 32 (of 64 from a width of 512 on), one table for embedding and head. A
    layer for each 64 of the width, and one more; above a width of 1,024 for each further 128.

    Raises:
        InputError: a width that is no multiple of 32.
    """
    if d_model < 32 or d_model % 32:
        raise InputError(f"The width is {d_model}; shapes are made for multiples of 32.")
    return TransformerConfig(
        d_model=d_model,
        n_layers=max(2, min(d_model // 64 + 1, d_model // 128 + 9)),
        n_heads=max(1, d_model // (64 if d_model >= 512 else 32)),
        d_mlp=-(-8 * d_model // 96) * 32,
        d_vocab=d_vocab,
        n_ctx=n_ctx,
        positional_embedding_type="rotary",
        normalization_type="RMS",
        act_fn="silu",
        gated_mlp=True,
        qkv_bias=False,
        attn_out_bias=False,
        mlp_bias=False,
        tie_word_embeddings=True,
    )


def ladder(*, d_vocab: int, n_ctx: int) -> tuple[TransformerConfig, ...]:
    """All shapes, from some ten thousand parameters to some hundred billion."""
    return tuple(decoder(width, d_vocab=d_vocab, n_ctx=n_ctx) for width in WIDTHS)


def tokens_per_step(tokens: float, n_ctx: int) -> int:
    """How many tokens a step should read of so many in all: whole rows of the context.

    They grow as tokens ** 0.383 (Bergsma et al. 2025, arXiv 2505.13738), from 1,024 for a million.
    """
    rows: int = max(1, round(1024 * (tokens / 1e6) ** 0.383 / n_ctx))
    return rows * n_ctx
