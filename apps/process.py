"""The process of the server, set up for short answers."""

from __future__ import annotations

import gc
import sys
from functools import cache
from importlib import import_module

_LASTING = ("torch", "pandas", "altair", "interp.explain", "probes.subjects", "apps.results")
_SWITCH = 0.0005  # seconds


@cache
def prepare() -> None:
    """Once: import what every page needs, and keep its objects from being looked through again.

    Streamlit collects garbage after each run of a page. That took 0.4 s of every click when it went
    through the objects of all modules, which live as long as the process. And a page sends some
    forty messages, after each of which it waits for the thread that passes them on: up to 5 ms with
    the interpreter's own interval.
    """
    import torch

    # Passes of a small model over a few tokens are too short to share. On a busy machine, threads
    # that waited for one another made integrated gradients eight times slower.
    torch.set_num_threads(1)
    sys.setswitchinterval(_SWITCH)
    for name in _LASTING:
        import_module(name)
    gc.collect()
    gc.freeze()
