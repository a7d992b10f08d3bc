"""Where in many texts each feature is strongest, in one pass and bounded memory.

A feature is anything with a number at each token: a neuron, a latent of a dictionary, a direction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from interp.errors import InputError

Batch = tuple[Tensor, Tensor, Tensor]
"""Values [row, feature] of some tokens, and of each the number of its text and its position there,
[row]. All tokens of a text that are read come in one batch."""

_NOWHERE = -1


@dataclass(frozen=True)
class Top:
    """The strongest places of each feature, one a text, strongest first.

    Attributes:
        values: [feature, k]; -inf where there were fewer texts.
        text, position: [feature, k]; -1 there.
    """

    values: Tensor
    text: Tensor
    position: Tensor


@torch.no_grad()
def top_contexts(batches: Iterable[Batch], k: int) -> Top:
    """The `k` texts in which each feature is strongest, and the token of each at which it is.

    One place a text, since neighbours in one passage tell little more. Of equal values the earlier
    text and the earlier position count, so that neither the size nor the order of the batches
    matters. Memory is that of one batch and of `k` places a feature.

    Raises:
        InputError: no batch, `k` below 1, or a value that is NaN (with its text and position).
    """
    if k < 1:
        raise InputError(f"k is {k}; ask for at least one context a feature.")
    values = text = position = None
    for batch in batches:
        best, texts, places = _best_of_texts(*batch)
        if values is None or text is None or position is None:
            values, text, position = best, texts, places
        else:
            values = torch.cat([values, best])
            text, position = torch.cat([text, texts]), torch.cat([position, places])
        # By text first: the sort by value keeps that order among equals.
        order = text.argsort(dim=0, stable=True)
        values, text, position = (x.gather(0, order) for x in (values, text, position))
        order = values.argsort(dim=0, descending=True, stable=True)
        values, text, position = (x.gather(0, order) for x in (values, text, position))
        values, text, position = values[:k], text[:k], position[:k]
    if values is None or text is None or position is None:
        raise InputError("There is no batch of activations to look for contexts in.")
    missing = k - len(values)
    if missing > 0:
        values = torch.cat([values, values.new_full((missing, values.shape[1]), -torch.inf)])
        nowhere = text.new_full((missing, text.shape[1]), _NOWHERE)
        text, position = torch.cat([text, nowhere]), torch.cat([position, nowhere])
    return Top(values.t().contiguous(), text.t().contiguous(), position.t().contiguous())


def _best_of_texts(values: Tensor, text: Tensor, position: Tensor) -> Batch:
    """The largest value of each text, and where it is: three times [text, feature]."""
    if bool(values.isnan().any()):
        row = int(values.isnan().any(1).nonzero()[0])
        raise InputError(
            f"An activation is NaN, at position {int(position[row])} of text {int(text[row])}."
        )
    names, group = text.unique(return_inverse=True)
    index = group[:, None].expand_as(values)
    empty = values.new_full((len(names), values.shape[1]), -torch.inf)
    best = empty.scatter_reduce(0, index, values, "amax")
    last = torch.iinfo(torch.int64).max
    there = torch.where(values == best[group], position[:, None].long(), last)
    first = torch.full_like(best, last, dtype=torch.int64).scatter_reduce(0, index, there, "amin")
    return best, names.long()[:, None].expand_as(best), first
