"""One of several processes of a training, started by the tests of `parallel`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch.distributed as dist

from interp.train.loop import fit
from tests.train.runs import Counting, settings, tiny


def main(kind: str, steps: str, folder: str) -> None:
    alone = kind == "alone"
    asked = settings(
        schedule="constant",
        steps=int(steps),
        parallel="ddp" if alone else kind,
        micro_batches=2,
        save_every=0.0,
    )
    fit(tiny(), Counting(rows=5), asked, folder=Path(folder), progress=False)
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
