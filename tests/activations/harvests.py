"""Small harvests, for the tests; run as a program, one of several processes, or one that dies."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch.distributed as dist

from interp.activations import Places, Plan, Side, Texts, harvest
from interp.model.transformer import HookedTransformer
from tests.model.configurations import build

SITES = ["blocks.0.hook_resid_pre", "blocks.1.attn.hook_z", "blocks.2.hook_resid_post"]


def some_plan(n: int = 40, **changes: Any) -> Plan:
    """Texts of random ids, 1 to 20 tokens long; every row with a label, some without a class."""
    random = np.random.default_rng(3)
    texts = Texts(Side([random.integers(0, 29, random.integers(1, 21)).tolist() for _ in range(n)]))
    places = changes.get("places") or Places.tokens(texts.source)
    kinds = np.array(["noun", "verb", None], dtype=object)
    labels = pd.DataFrame({"tag": kinds[random.integers(0, 3, len(places))]})
    about = pd.DataFrame({"document": [f"d{i // 3}" for i in range(n)]})
    plan: dict[str, Any] = {
        "sites": SITES,
        "labels": labels,
        "about": about,
        "moments": True,
        "classes": "tag",
        "pairs": [(SITES[0], SITES[2])],
        "tokens": 60,
        "shard": 70,
        **changes,
    }
    return Plan(texts, **plan)


def some_model() -> HookedTransformer:
    return build("decoder").requires_grad_(False)


def main(folder: str, dies_after: str) -> None:
    """Harvests into a folder; dies when it has read so many rows."""

    def progress(done: int, total: int) -> None:
        if done >= int(dies_after) > 0:
            os.kill(os.getpid(), signal.SIGKILL)

    if "WORLD_SIZE" in os.environ:
        dist.init_process_group("gloo")
    harvest(some_model(), some_plan(), Path(folder), progress=progress)
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
