"""Where in many texts a feature is strongest, found in one pass and bounded memory.

A feature is anything with a number at each token: a neuron, a latent of a dictionary, a direction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.lens import token_texts

Batch = tuple[Tensor, Tensor, Tensor]
"""Values [row, pos, feature], which positions count [row, pos], and which texts the rows are."""


@dataclass(frozen=True)
class Extremes:
    """The texts in which features are strongest, one place in each, the strongest first.

    Attributes:
        value: [feature, k]; -inf where no token of the text counts.
        text, position: of each, [feature, k].
    """

    value: Tensor
    text: Tensor
    position: Tensor


@torch.no_grad()
def top_contexts(batches: Iterable[Batch], k: int) -> Extremes:
    """The `k` texts in which each feature is strongest (fewer if there are fewer), and where.

    One place a text, since neighbours in one passage tell little more. Of equal values the earlier
    text and the earlier position count, so that neither the size nor the order of the batches
    matters. Memory is that of one batch and of `k` places a feature.

    Raises:
        InputError: no batch, or `k` below 1.
    """
    if k < 1:
        raise InputError(f"k is {k}; ask for at least one context a feature.")
    best: Extremes | None = None
    for values, counted, texts in batches:
        best = best_of(best, extremes_of(values, counted, texts), k)
    if best is None:
        raise InputError("There is no batch of activations to look for contexts in.")
    return best


def extremes_of(values: Tensor, counted: Tensor, texts: Tensor) -> Extremes:
    """The one strongest place of each text of a batch."""
    hidden = values.masked_fill(~counted[..., None], -torch.inf)
    value, position = hidden.max(1)  # [row, feature]
    return Extremes(value.T, texts.expand(value.shape[1], -1), position.T)


def best_of(old: Extremes | None, new: Extremes, k: int) -> Extremes:
    """The k largest of both; of equal ones the text that comes first in the data."""
    parts = [part for part in (old, new) if part is not None]
    value, text, position = (
        torch.cat([getattr(part, name) for part in parts], 1)
        for name in ("value", "text", "position")
    )
    by_text = text.argsort(1)
    order = value.gather(1, by_text).argsort(dim=1, descending=True, stable=True)[:, :k]
    kept = by_text.gather(1, order)
    return Extremes(value.gather(1, kept), text.gather(1, kept), position.gather(1, kept))


@dataclass(frozen=True)
class Context:
    """A feature on the tokens around a place where it is strong.

    Attributes:
        text: which of the texts it is.
        position: of the place, counted from the start of `tokens`.
        tokens: texts of the tokens.
        activations: one for each.
    """

    text: int
    position: int
    tokens: list[str]
    activations: list[float]

    @property
    def value(self) -> float:
        """The activation at the place."""
        return self.activations[self.position]


def context(
    model: Any,
    ids: Tensor,
    real: Tensor,
    values: Tensor,
    *,
    text: int,
    place: int,
    before: int,
    after: int,
) -> Context:
    """The tokens from `before` to `after` a place; ids, which are real, and values are [pos]."""
    kept = real.nonzero()[:, 0]
    kept = kept[(kept >= place - before) & (kept <= place + after)]
    return Context(
        text,
        int((kept < place).sum()),
        token_texts(model, ids[kept].tolist()),
        values[kept].tolist(),
    )
