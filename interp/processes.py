"""Several processes at one work, a training or a harvest, started by `torchrun`."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from interp.errors import ConfigError


@dataclass(frozen=True)
class World:
    """The processes that share the work.

    Attributes:
        rank: which one this is.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def here(cls) -> World:
        """Those of the process group that this process is in; by itself without one."""
        if not (dist.is_available() and dist.is_initialized()):
            return cls()
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def alone(self) -> bool:
        return self.size == 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes what is written once."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all processes are here."""
        if not self.alone:
            dist.barrier()

    def sum(self, value: Tensor) -> Tensor:
        """The sum over processes, where `value` is."""
        if self.alone:
            return value
        total = value.to(_device(), copy=True)  # the group reduces where its backend does
        dist.all_reduce(total)
        return total.to(value.device)

    def agree(self, value: float) -> float:
        """The value of the first process, for decisions that depend on its clock."""
        if self.alone:
            return value
        tensor = torch.tensor(value, dtype=torch.float64, device=_device())
        dist.broadcast(tensor, 0)
        return float(tensor)


def join() -> World:
    """The world that `torchrun` describes; a process started otherwise is alone.

    Joins the group with NCCL where each process has a GPU of its own, else with gloo.

    Raises:
        ConfigError: the environment describes no world that this process is in.
    """
    if not dist.is_available() or "WORLD_SIZE" not in os.environ:
        return World()
    size, rank = int(os.environ["WORLD_SIZE"]), int(os.environ.get("RANK", "0"))
    if not 0 <= rank < size:
        raise ConfigError(f"RANK is {rank} in a world of {size} processes; start with torchrun.")
    if size == 1:
        return World()
    if not dist.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    return World(rank, size)


def default_device() -> str:
    """Where this process works unless told otherwise."""
    if torch.cuda.is_available():
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    return "cpu"


def _device() -> str:
    return default_device() if dist.get_backend() == "nccl" else "cpu"
