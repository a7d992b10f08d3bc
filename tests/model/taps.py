"""Taps that the tests read and edit with, written on the base class alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from interp.model.tap import Tap


class Put(Tap):
    """Goes on with given values instead of the model's own."""

    def __init__(self, values: Mapping[str, Tensor]):
        self.replacements = dict(values)

    def wants(self, name: str) -> bool:
        return name in self.replacements

    edits = wants

    def visit(self, name: str, value: Tensor) -> Tensor:
        return self.replacements[name]


class Same(Tap):
    """Says that it edits, and goes on with the very value: opens every fast path there is."""

    def __init__(self, names: Collection[str]):
        self.names = frozenset(names)

    def wants(self, name: str) -> bool:
        return name in self.names

    edits = wants


class Noise(Tap):
    """Adds noise at one point."""

    def __init__(self, name: str, size: float = 0.5):
        self.name = name
        self.size = size

    def wants(self, name: str) -> bool:
        return name == self.name

    edits = wants

    def visit(self, name: str, value: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(5)
        noise = torch.randn(value.shape, generator=generator).to(value.dtype)
        return value + self.size * noise


class Journal(Tap):
    """Looks at everything, and notes each tensor as it passes."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, Tensor]] = []

    def wants(self, name: str) -> bool:
        return True

    def visit(self, name: str, value: Tensor) -> Tensor:
        self.entries.append((name, value.detach()))
        return value
