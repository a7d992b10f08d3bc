"""How rows are stored: float32, bfloat16, or int8 with a scale for each row.

There is no float16: the largest activations of a Transformer lie beyond what it can hold.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from interp.errors import InputError

Precision = Literal["float32", "bfloat16", "int8"]

ROWS, SCALES = ".bin", ".scale.bin"
"""Ends of the names of a site's files: its rows, and of int8 their scales."""

TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.int8}


def check_precision(precision: str) -> None:
    """Refuses what is no precision.

    Raises:
        InputError: names those that there are.
    """
    if precision not in get_args(Precision):
        raise InputError(f"Rows are stored as {', '.join(TYPES)}, not as {precision!r}.")


def row_bytes(width: int, precision: Precision) -> dict[str, int]:
    """Bytes of a row in each of the files of a site."""
    sizes = {ROWS: width * TYPES[precision].itemsize}
    return {**sizes, SCALES: 4} if precision == "int8" else sizes


def to_stored(rows: Tensor, precision: Precision) -> dict[str, Tensor]:
    """Rows [row, d] as they are written, by file; computed where they are.

    Of int8, a row x becomes round(x / s) with s = max |x| / 127, so that it errs by s / 2 at most.
    """
    if precision != "int8":
        return {ROWS: rows.to(TYPES[precision])}
    rows = rows.float()
    scales = (rows.abs().amax(1) / 127).clamp_min(torch.finfo(torch.float32).tiny)
    return {ROWS: (rows / scales[:, None]).round().to(torch.int8), SCALES: scales}


def from_stored(rows: Tensor, scales: Tensor | None) -> Tensor:
    """Rows in float32, [row, d]."""
    return rows.float() if scales is None else rows.float() * scales[:, None]
