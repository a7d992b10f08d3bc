"""Which number format this machine computes fastest in: measured, not guessed by name."""

from __future__ import annotations

import functools
import time

import torch

_WORTH = 0.8  # bfloat16 is coarser, so it must win clearly
_SECONDS = 1.0


@functools.cache
def fastest_dtype(device: str) -> torch.dtype:
    """bfloat16 where this device multiplies matrices clearly faster in it, else float32.

    Takes up to a second, once for each device: many x86 processors compute bfloat16 twice as fast,
    others a hundred times slower.

    Args:
        device: its type, such as `cpu` or `cuda`.
    """
    left, right = torch.randn(512, 512, device=device), torch.randn(512, 512, device=device)
    best = dict.fromkeys((torch.float32, torch.bfloat16), float("inf"))
    begin = time.perf_counter()
    # In turns, so that a slow moment meets both; the first turn only wakes the machine.
    for turn in range(200):
        for dtype in best:
            a, b = left.to(dtype), right.to(dtype)
            _wait(device)
            start = time.perf_counter()
            a @ b
            _wait(device)
            if turn > 0:
                best[dtype] = min(best[dtype], time.perf_counter() - start)
        hopeless = turn > 0 and best[torch.bfloat16] > 4 * best[torch.float32]
        if hopeless or time.perf_counter() - begin > _SECONDS:
            break
    worth = best[torch.bfloat16] < _WORTH * best[torch.float32]
    return torch.bfloat16 if worth else torch.float32


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
