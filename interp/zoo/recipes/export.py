"""From a finished training to the folders of the zoo: weights rounded once, records beside them."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterable
from pathlib import Path

import torch

from interp.model.transformer import HookedTransformer
from interp.pretrained.folder import save_folder
from interp.train.recorder import CHECKPOINTS, LOG, RUN
from interp.train.run import Run


def rounded(model: HookedTransformer) -> HookedTransformer:
    """A float32 copy whose weights are what bfloat16 keeps of them: the model that is stored."""
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.copy_(parameter.bfloat16())
    return twin.eval()


def save_rounded(model: HookedTransformer, folder: Path) -> HookedTransformer:
    """Writes a model with two bytes a weight, and returns it as it was written."""
    stored = rounded(model)
    save_folder(stored, folder)
    return stored


def save_suite(run: Run, folder: Path, steps: Iterable[int]) -> None:
    """Writes some checkpoints of a run, rounded, with its description and log, as a run."""
    assert run.folder is not None
    folder.mkdir(parents=True, exist_ok=True)
    for step in steps:
        save_rounded(run.load(step), folder / CHECKPOINTS / f"step-{step:08}")
    for name in (RUN, LOG):
        shutil.copyfile(run.folder / name, folder / name)
