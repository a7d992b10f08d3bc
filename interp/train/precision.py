"""Which number format this machine computes fastest in: measured, not guessed by name."""

from __future__ import annotations

import functools
import time

import torch

SIDE = 512
"""Of the matrices that are multiplied."""

_WORTH = 0.8  # bfloat16 is coarser, so it must win clearly
_SECONDS = 1.0


def fastest_dtype(device: str) -> torch.dtype:
    """bfloat16 where this device multiplies matrices clearly faster in it, else float32.

    Many x86 processors compute bfloat16 twice as fast, others a hundred times slower.

    Args:
        device: its type, such as `cpu` or `cuda`.
    """
    best = matmul_seconds(device)
    worth = best[torch.bfloat16] < _WORTH * best[torch.float32]
    return torch.bfloat16 if worth else torch.float32


@functools.cache
def matmul_seconds(device: str) -> dict[torch.dtype, float]:
    """The least time that each format took for a product of two matrices of `SIDE` by `SIDE`.

    Takes about a second, once for each device.
    """
    left, right = torch.randn(SIDE, SIDE, device=device), torch.randn(SIDE, SIDE, device=device)
    best = dict.fromkeys((torch.float32, torch.bfloat16), float("inf"))
    begin = time.perf_counter()
    # In turns, so that a slow moment meets both; the first turn also wakes the machine.
    for turn in range(200):
        for dtype in best:
            a, b = left.to(dtype), right.to(dtype)
            _wait(device)
            start = time.perf_counter()
            a @ b
            _wait(device)
            best[dtype] = min(best[dtype], time.perf_counter() - start)
        hopeless = turn > 0 and best[torch.bfloat16] > 4 * best[torch.float32]
        if hopeless or time.perf_counter() - begin > _SECONDS:
            break
    return best


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
