"""The shapes that a size is chosen from: one dial, the width, and all else follows from it.

Depth grows with width, so that a row of this ladder differs from the next in size and in little
else: a scaling law that was fitted on some of its rows speaks for all of them.
"""

from __future__ import annotations

from interp.errors import InputError
from interp.model.config import TransformerConfig
from interp.train.recipe import standard_model

WIDTHS = (
    *range(32, 512, 32),
    *range(512, 1024, 64),
    *range(1024, 2048, 128),
    *range(2048, 4096, 256),
    *range(4096, 12289, 512),
)


def decoder(d_model: int, *, d_vocab: int, n_ctx: int) -> TransformerConfig:
    """The standard decoder of this width, with heads of 32 (of 64 from a width of 512 on). A layer
    for each 64 of the width, and one more; above a width of 1,024 for each further 128.

    Raises:
        InputError: a width that is no multiple of 32.
    """
    if d_model < 32 or d_model % 32:
        raise InputError(f"The width is {d_model}; shapes are made for multiples of 32.")
    model = standard_model(
        width=d_model,
        layers=max(2, min(d_model // 64 + 1, d_model // 128 + 9)),
        heads=max(1, d_model // (64 if d_model >= 512 else 32)),
        context=n_ctx,
    )
    return model.replace(d_vocab=d_vocab, d_vocab_out=-1)


def ladder(*, d_vocab: int, n_ctx: int) -> tuple[TransformerConfig, ...]:
    """All shapes, from some ten thousand parameters to some hundred billion."""
    return tuple(decoder(width, d_vocab=d_vocab, n_ctx=n_ctx) for width in WIDTHS)


def tokens_per_step(tokens: float, n_ctx: int) -> int:
    """How many tokens a step should read of so many in all: whole rows of the context.

    They grow as tokens ** 0.383 (Bergsma et al. 2025, arXiv 2505.13738), from 1,024 for a million.
    """
    rows: int = max(1, round(1024 * (tokens / 1e6) ** 0.383 / n_ctx))
    return rows * n_ctx
