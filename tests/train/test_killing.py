"""After `kill -9` at any moment a training goes on as if nothing had happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_kills_leave_no_trace(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.train.killing", "12", str(tmp_path)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["kills"] == 12
    assert result["in_save"] > 0 and result["states"] > 3  # it did hit saves, and got on between
    assert result["equal"] and not result["left_over"]
