"""The benchmark of training compares like with like."""

from __future__ import annotations

import pytest
import torch

from benchmarks import training
from benchmarks.peers import HF, INTERP, TWIN, Shape
from interp.train.settings import Settings

TINY = Shape("tiny", width=16, n_layers=2, n_heads=2, d_vocab=31, n_ctx=16, batch=2, pos=8)


def test_all_contestants_train_alike() -> None:
    asked = Settings(steps=9, precision="float32", warmup_steps=0)
    losses = {}
    for name, loop in training.same_loop(TINY, asked, "cpu"):
        losses[name] = [loop.one_step()["loss"] for _ in range(5)]
    assert set(losses) == {INTERP, HF, TWIN}
    assert losses[INTERP] == pytest.approx(losses[TWIN], rel=1e-4)
    assert losses[INTERP] == pytest.approx(losses[HF], rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_speeds_are_tokens_by_time(dtype: torch.dtype) -> None:
    timings = training.measure(TINY, dtype, "cpu", compiled=False, rounds=2)
    rows = {row.name: row for row in training.rows_of(timings, TINY, "some")}
    assert rows.keys() == {INTERP, TWIN, HF, f"{TWIN}, plain loop", f"{HF}, plain loop"}
    assert rows[TWIN].speed == pytest.approx(2 * 8 / timings.median(TWIN))
    assert rows[TWIN].ratio is not None and rows[INTERP].ratio is None


def test_work_is_counted_as_published() -> None:
    """GPT-2 small at 1,024: 6 N with N of the matrices and the head, and 12 L d T."""
    gpt2 = training.SHAPES["gpt2"]
    matrices = 12 * (4 * 768**2 + 2 * 4 * 768**2) + 50304 * 768
    assert training.flops_per_token(gpt2) == 6 * matrices + 12 * 12 * 768 * 1024
