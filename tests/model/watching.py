"""A tap that keeps what it sees at every step of a generation."""

from __future__ import annotations

from torch import Tensor

from interp.model.tap import Tap


class Seen(Tap):
    """Keeps the tensors of one name, in the order of the forwards."""

    def __init__(self, name: str):
        self.name = name
        self.seen: list[Tensor] = []

    def wants(self, name: str) -> bool:
        return name == self.name

    def visit(self, name: str, value: Tensor) -> Tensor:
        self.seen.append(value)
        return value
