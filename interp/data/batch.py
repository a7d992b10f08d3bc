"""What a training step reads: one batch, the same however it is split up afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

IGNORED = -100
"""The label of an output from which nothing is to be learnt."""


@dataclass(frozen=True)
class Batch:
    """Examples and what a model should make of them.

    Attributes:
        inputs: arguments of the model's `forward` by name, each [row, ...].
        labels: [row, ...], aligned with the model's outputs: for a language model [row, pos], where
            `labels[:, t]` is the token that the output *at* t should predict. `IGNORED` where
            nothing is to be learnt.
    """

    inputs: dict[str, Tensor]
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def n_labels(self) -> int:
        """How many outputs something is learnt from."""
        return int((self.labels != IGNORED).sum())

    @property
    def n_tokens(self) -> int:
        """Real tokens that are read, padding left out."""
        masked = {"attention_mask": "tokens", "decoder_attention_mask": "decoder_tokens"}
        read = {name: t for name, t in self.inputs.items() if name in masked.values()}
        for mask, tokens in masked.items():
            if mask in self.inputs:
                read[tokens] = self.inputs[mask].bool().nonzero()[:, 0]
        return sum(tensor.numel() for tensor in read.values())

    def rows(self, chosen: slice) -> Batch:
        """Some of the rows."""
        inputs = {name: tensor[chosen] for name, tensor in self.inputs.items()}
        return Batch(inputs, self.labels[chosen])

    def to(self, device: torch.device | str) -> Batch:
        """The batch on another device, without waiting for the copy."""
        inputs = {name: t.to(device, non_blocking=True) for name, t in self.inputs.items()}
        return Batch(inputs, self.labels.to(device, non_blocking=True))


class Source(Protocol):
    """Where batches come from: a pure function of the step, so that a position needs no state."""

    def batch(self, step: int) -> Batch:
        """The batch of a step, on the CPU; every call gives the same."""
        ...


def pad(rows: list[list[int]], value: int) -> Tensor:
    """Lists of unequal length as one tensor [row, pos], filled up with `value` on the right."""
    width = max(map(len, rows))
    return torch.tensor([row + [value] * (width - len(row)) for row in rows], dtype=torch.long)
