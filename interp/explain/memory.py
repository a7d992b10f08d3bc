"""How much memory a piece of work took at its peak, beyond what was held before."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import torch

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """Measures between entering and leaving.

    On a GPU, what torch allocated there; elsewhere, the memory of the whole process, where the
    system tells it (Linux). Freed memory that the process had kept is used first and does not
    count, so a CPU's figure is a lower bound.

    Attributes:
        peak: bytes; None if the system does not tell.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.peak: int | None = None
        self._before: int | None = None

    def __enter__(self) -> Self:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            self._before = torch.cuda.memory_allocated(self.device)
        elif _reset():
            self._before = _field("VmRSS")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is None:
            return
        cuda = self.device.type == "cuda"
        peak = torch.cuda.max_memory_allocated(self.device) if cuda else _field("VmHWM")
        self.peak = None if peak is None else max(0, peak - self._before)


def _reset() -> bool:
    """Whether the process's peak could be set back to what it holds now."""
    try:
        _RESET.write_text("5")
    except OSError:
        return False
    return True


def _field(name: str) -> int | None:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")]
    return found[0] if found else None
