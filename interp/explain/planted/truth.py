"""What each token of a text does to a function of texts, found by trying everything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb

import torch
from torch import Tensor

from interp.errors import InputError

LARGEST = 16  # units; beyond it 2^n coalitions are too many
_SAME = 1e-9


@dataclass(frozen=True)
class Question:
    """A function of texts, and what a text may be made of.

    Attributes:
        value: ids [batch, unit] -> [batch].
        alphabet: [unit, d_vocab], True for the tokens that may stand at a unit.
        blank: the token of an absent unit.
    """

    value: Callable[[Tensor], Tensor]
    alphabet: Tensor
    blank: int

    @property
    def movable(self) -> Tensor:
        """[unit], True where more than one token may stand."""
        return self.alphabet.sum(1) > 1


def causal(question: Question, ids: Tensor) -> Tensor:
    """Whether some other token in place of each unit of a text [unit] changes the value, while
    all other units stay: [unit], bool. Every one that may stand there is tried."""
    units, tokens = question.alphabet.nonzero(as_tuple=True)
    texts = ids.repeat(len(units), 1)
    texts[torch.arange(len(units)), units] = tokens
    changed = (question.value(texts) - question.value(ids[None])).abs() > _SAME
    found = torch.zeros(len(ids), dtype=torch.long)
    return found.index_add(0, units, changed.long()) > 0


def contribution(question: Question, ids: Tensor) -> tuple[Tensor, float]:
    """Shapley values of the units of a text [unit], and how large the value is.

    The value of a coalition is that of the text in which the movable units outside it are blank.
    Shapley 1953: the mean, over all orders in which units join, of what each then adds; computed
    over all 2^n coalitions.

    Returns:
        [unit], float64, 0 where a unit cannot move; and the largest, over coalitions, of |v(S)|
        and |v(S) - v(nobody)|.

    Raises:
        InputError: more movable units than can be tried.
    """
    movable = question.movable.nonzero()[:, 0]
    n = len(movable)
    if n > LARGEST:
        raise InputError(
            f"The text has {n} tokens that can move; Shapley values over all coalitions are for "
            f"{LARGEST} at most. Use a shorter text."
        )
    members = (torch.arange(2**n)[:, None] >> torch.arange(n)) & 1 == 1  # [coalition, player]
    texts = ids.repeat(2**n, 1)
    texts[:, movable] = torch.where(members, texts[:, movable], question.blank)
    values = question.value(texts).double()
    weights = torch.tensor([1 / (n * comb(n - 1, k)) for k in range(n)], dtype=torch.float64)
    shares = torch.zeros(len(ids), dtype=torch.float64)
    for player, unit in enumerate(movable):
        without = (~members[:, player]).nonzero()[:, 0]
        gain = values[without + 2**player] - values[without]
        shares[unit] = (weights[members[without].sum(1)] * gain).sum()
    shares[shares.abs() <= _SAME] = 0.0
    return shares, float(torch.stack([values, values - values[0]]).abs().max())
