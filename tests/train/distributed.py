"""One of several processes of trainings, started by the tests of `parallel`.

    torchrun --nproc-per-node 2 -m tests.train.distributed STEPS KIND FOLDER [KIND FOLDER ...]

The trainings follow each other: what takes long is that each process loads torch.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch.distributed as dist

from interp.train.loop import fit
from tests.train.runs import Counting, settings, tiny


def train(kind: str, steps: int, folder: Path) -> None:
    alone = kind == "alone"
    asked = settings(
        schedule="constant",
        steps=steps,
        parallel="ddp" if alone else kind,
        micro_batches=2,
        save_every=0.0,
    )
    fit(tiny(), Counting(rows=5), asked, folder=folder, progress=False)


def main(steps: str, *trainings: str) -> None:
    for kind, folder in zip(trainings[::2], trainings[1::2], strict=True):
        train(kind, int(steps), Path(folder))
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main(*sys.argv[1:])
