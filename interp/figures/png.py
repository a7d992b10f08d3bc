"""Small pictures of matrices as PNG data, for charts whose cells are too many to be marks."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from interp.figures.theme import blend, rgb

_LEVELS = 255  # colours of a scale; index 0 is kept for what is blank


def heat_png(
    values: NDArray[np.floating], stops: Sequence[str], limit: float = 1.0, side: int = 0
) -> str:
    """A matrix as a `data:image/png` address: zero in the first colour, `limit` in the last.

    Args:
        values: [rows, columns]; NaN is transparent, values outside 0 to `limit` clip.
        stops: colours of the scale, evenly spaced, as for `blend`.
        side: pixels that the longer side should have at least. Cells grow by a whole factor, so
            that all have the same size; with 0 a cell is a pixel.
    """
    level = np.clip(np.nan_to_num(values / limit), 0.0, 1.0) * (_LEVELS - 1)
    index = np.where(np.isnan(values), 0, np.rint(level) + 1).astype(np.uint8)
    factor = max(1, -(-side // max(index.shape)))
    index = index.repeat(factor, axis=0).repeat(factor, axis=1)
    image = _png(index, _palette(tuple(stops)))
    return "data:image/png;base64," + b64encode(image).decode("ascii")


@lru_cache(maxsize=16)
def _palette(stops: tuple[str, ...]) -> bytes:
    """Red, green and blue of each index: black, which is never seen, and then the scale."""
    colors = ["#000000", *(blend(stops, i / (_LEVELS - 1)) for i in range(_LEVELS))]
    return bytes(channel for color in colors for channel in rgb(color))


def _png(index: NDArray[np.uint8], palette: bytes) -> bytes:
    """A palette image [height, width] whose colour 0 is transparent (PNG, third edition)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    height, width = index.shape
    rows = np.zeros((height, width + 1), dtype=np.uint8)  # each row begins with its filter, none
    rows[:, 1:] = index
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            chunk(b"PLTE", palette),
            chunk(b"tRNS", b"\x00"),
            chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)),
            chunk(b"IEND", b""),
        )
    )


def max_pool(values: NDArray[np.floating], most: int) -> NDArray[np.floating]:
    """A matrix of at most `most` rows and columns; each cell holds the largest of its block.

    The largest and not the mean: a lone strong cell, such as an attention head's choice of one
    token among 500, stays to be seen. A block without any value stays NaN.
    """
    block = -(-max(values.shape) // most)
    if block <= 1:
        return values
    rows, cols = (-(-n // block) for n in values.shape)
    padded = np.full((rows * block, cols * block), -np.inf)
    padded[: values.shape[0], : values.shape[1]] = np.where(np.isnan(values), -np.inf, values)
    pooled = padded.reshape(rows, block, cols, block).max(axis=(1, 3))
    return np.where(np.isneginf(pooled), np.nan, pooled)
