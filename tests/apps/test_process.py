"""The server's process is set up for short answers."""

from __future__ import annotations

import subprocess
import sys


def test_a_collection_of_garbage_passes_over_the_modules() -> None:
    code = (
        "import gc, sys; from apps.process import prepare; prepare(); prepare(); import torch;"
        "print(gc.get_freeze_count(), len(gc.get_objects()), sys.getswitchinterval(),"
        "torch.get_num_threads())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    frozen, looked_through, interval, threads = map(float, out.stdout.split())
    assert frozen > 100_000 and looked_through < frozen / 50
    assert interval < 0.001
    assert threads == 1
