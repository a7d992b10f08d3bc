"""What a training must remember to go on as if it had never stopped.

A state is a folder of safetensors files, written by as many processes as train and read by any
number of them (torch's distributed checkpoints), and `state.json`, written last. A folder without
it does not exist for the reader. Nothing of it is a pickle.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from interp.atomic import writing
from interp.errors import LoadError
from interp.processes import World
from interp.untrusted import read_json

_LAST = "state.json"


def save_state(
    folder: Path, step: int, tensors: Mapping[str, Tensor], facts: dict[str, Any], world: World
) -> None:
    """Writes the state after `step` steps, then removes older ones.

    Every process calls it with its share. At any moment, killed or not, the newest complete state
    in `folder` can be read.

    Args:
        folder: of all states of a run.
        tensors: name -> tensor.
        facts: plain values, the same in all processes.
    """
    # Here and below, since whoever only opens a run should not wait a second for it.
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    target, written = folder / _name(step), folder / f".{_name(step)}"
    if world.first:
        shutil.rmtree(written, ignore_errors=True)
        written.mkdir(parents=True)
    world.wait()
    alone = {} if not world.alone else {"no_dist": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a process without a group: it is meant to be alone
        save(
            dict(tensors),
            storage_writer=HuggingFaceStorageWriter(str(written), save_distributed=True),
            **alone,
        )
    world.wait()
    if world.first:
        for path in written.iterdir():
            _to_disk(path)
        with writing(written / _LAST) as file:
            json.dump({"step": step, **facts}, file)
        shutil.rmtree(target, ignore_errors=True)
        written.rename(target)
        _to_disk(folder)
        for old in _complete(folder)[:-1]:
            shutil.rmtree(old)
    world.wait()


def newest_state(folder: Path) -> tuple[Path, dict[str, Any]] | None:
    """The newest complete state in a folder and its facts (`step` among them); None without one.

    Raises:
        LoadError: its facts cannot be read.
    """
    complete = _complete(folder)
    if not complete:
        return None
    path = complete[-1] / _LAST
    try:
        return complete[-1], read_json(path)
    except LoadError as error:
        raise LoadError(f"{path} is not readable: {error}. Remove its folder.") from error


def load_state(folder: Path, tensors: Mapping[str, Tensor], world: World) -> None:
    """Reads a state into the given tensors, whatever number of processes wrote it.

    Raises:
        LoadError: a tensor is missing or has another shape.
    """
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.state_dict_loader import load

    for path in folder.iterdir():
        if not path.is_file():  # the library would read a pipe without end
            raise LoadError(f"{path} is no file; the training state in {folder} is damaged.")
    into = dict(tensors)
    alone = {} if not world.alone else {"no_dist": True}
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            load(into, storage_reader=HuggingFaceStorageReader(str(folder)), **alone)
    except (Exception, CheckpointException) as error:  # the library's own is no `Exception`
        raise LoadError(
            f"The training state in {folder} does not fit this model and optimiser, or is damaged: "
            f"{str(error).strip().splitlines()[-1]}"
        ) from error
    with torch.no_grad():
        for name, tensor in tensors.items():
            if into[name] is not tensor:
                tensor.copy_(into[name])


def _name(step: int) -> str:
    return f"step-{step:08}"


def _complete(folder: Path) -> list[Path]:
    """The folders of complete states, oldest first."""
    return sorted(path.parent for path in folder.glob(f"step-*/{_LAST}"))


def _to_disk(path: Path) -> None:
    """Waits until a file or folder is on the disk, not only in the system's memory."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
