"""Examples that are tokens already, put together by length."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from interp.data.batch import Batch, pad
from interp.data.order import Bucketed, Indices
from interp.errors import InputError


class Examples(ABC):
    """A source whose examples differ in length: each once an epoch, like lengths together.

    Args:
        lengths: tokens of each example.
        tokens: the most that a batch holds, padding included. A longer example is a batch alone.
        seed: of the order.

    Raises:
        InputError: there is no example.
        ConfigError: `tokens` is not positive.
    """

    def __init__(self, lengths: Sequence[int], tokens: int, seed: int):
        if not lengths:
            raise InputError("There are no examples to learn from.")
        self.order = Bucketed(lengths, tokens, seed)

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.order.lengths)

    @property
    def steps_per_epoch(self) -> int:
        return self.order.steps_per_epoch

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        return self.collate(self.order.step(step))

    @abstractmethod
    def collate(self, chosen: Indices | Sequence[int]) -> Batch:
        """Some of the examples, in this order, as one batch."""


def padded(
    rows: list[list[int]], value: int, tokens: str = "tokens", mask: str = "attention_mask"
) -> dict[str, Tensor]:
    """Rows under the name `tokens`, [row, pos], and under the name `mask` which tokens are real.

    Without padding there is no mask: attention is faster without.
    """
    out = {tokens: pad(rows, value)}
    lengths = torch.tensor([len(row) for row in rows])
    width = out[tokens].shape[1]
    if int(lengths.min()) < width:
        out[mask] = torch.arange(width) < lengths[:, None]
    return out


def class_index(labels: Sequence[str], classes: Sequence[str], where: str) -> list[int]:
    """The place of each label in the list of classes.

    Raises:
        InputError: a label that is none of the classes.
    """
    index = {name: i for i, name in enumerate(classes)}
    for i, label in enumerate(labels):
        if label not in index:
            raise InputError(
                f"{where} {i} has the label {label!r}, which is none of the {len(index)} classes "
                f"{', '.join(map(repr, list(index)[:10]))}{' ...' if len(index) > 10 else ''}."
            )
    return [index[label] for label in labels]


def check_equally_many(what: str, first: Sequence[object], second: Sequence[object]) -> None:
    """That two lists belong together; `what` names both.

    Raises:
        InputError: one is longer.
    """
    if len(first) != len(second):
        raise InputError(f"There are {len(first)} and {len(second)} {what}; each needs its other.")
