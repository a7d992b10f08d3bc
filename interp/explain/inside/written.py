"""What the writers of a graph wrote in a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.inside.graph import Graph, Write
from interp.explain.inside.pairs import Pairs

Ablation = Literal["corrupted", "mean"]
"""What takes the place of what a writer wrote: what it wrote in the corrupted run of the same pair,
or the mean of that over all pairs, position by position."""


@dataclass(frozen=True)
class Written:
    """Activations by point, heads before their output matrix (d_head numbers each, not d_model):
    [pair, pos, d_model] or [pair, pos, head, d_head]."""

    model: Any
    graph: Graph
    values: Mapping[str, Tensor]

    def of(self, write: Write) -> Tensor:
        """What some writers add to the stream, [pair, pos, writer, d_model]."""
        return to_stream(self.model, write, self.values[write.point])

    def all(self) -> Tensor:
        """What every writer adds, [writer, pair, pos, d_model]."""
        return torch.cat([self.of(write).movedim(2, 0) for write in self.graph.writes])

    def total(self) -> Tensor:
        """What all add up to, [pair, pos, d_model]: the stream at the end, without biases."""
        return torch.stack([self.of(write).sum(-2) for write in self.graph.writes]).sum(0)

    def minus(self, other: Written) -> Written:
        """The difference of two runs, or of one from a mean."""
        values = {name: value - other.values[name] for name, value in self.values.items()}
        return Written(self.model, self.graph, values)

    def mean(self) -> Written:
        """Over pairs; one that stands for all."""
        values = {name: value.mean(0, keepdim=True) for name, value in self.values.items()}
        return Written(self.model, self.graph, values)


def to_stream(model: Any, write: Write, value: Tensor) -> Tensor:
    """An activation of some writers as what they add to the stream, [..., pos, writer, d_model]."""
    if write.part != "head":
        return value.unsqueeze(-2)
    W_O: Tensor = model.blocks[write.layer].attn.W_O.detach()
    return torch.einsum("...he,hed->...hd", value, W_O)


def written(pairs: Pairs, graph: Graph) -> Written:
    """What was written in the clean run."""
    return Written(pairs.model, graph, {w.point: pairs.kept[w.point] for w in graph.writes})


def reference(pairs: Pairs, graph: Graph, ablation: Ablation) -> Written:
    """What takes the place of what is patched.

    Raises:
        InputError: no such ablation.
    """
    if ablation not in get_args(Ablation):
        raise InputError(f"ablation is {ablation!r}; it is 'corrupted' or 'mean'.")
    values = {write.point: pairs.corrupted_kept[write.point] for write in graph.writes}
    found = Written(pairs.model, graph, values)
    return found.mean() if ablation == "mean" else found


@torch.no_grad()
def value_if_all_patched(pairs: Pairs, graph: Graph, total: Tensor) -> Tensor:
    """The metric with every edge patched, [pair]: what all writers together change by reaches the
    logits.

    Args:
        total: `Written.total` of the change, [pair, pos, d_model].
    """
    return pairs.of_stream(pairs.kept[graph.reads[-1].stream] + total)[0]
