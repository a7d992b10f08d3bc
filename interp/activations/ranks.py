"""The processes that share a harvest, started by `torchrun`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Ranks:
    """The processes of a harvest.

    Attributes:
        rank: which one this is.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def here(cls) -> Ranks:
        """Those of the process group that this process is in; by itself without one."""
        if not (dist.is_available() and dist.is_initialized()):
            return cls()
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def first(self) -> bool:
        """Whether this process writes what is written once."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            dist.barrier()

    def sum(self, value: Tensor) -> Tensor:
        """The sum over processes, on the CPU."""
        if self.size == 1:
            return value
        device = torch.device("cuda") if dist.get_backend() == "nccl" else torch.device("cpu")
        total = value.to(device, copy=True)
        dist.all_reduce(total)
        return total.cpu()
