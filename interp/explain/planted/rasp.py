"""A small language of programs that a Transformer can run, and its interpreter.

After RASP (Weiss et al. 2021, arXiv 2106.06981) and Tracr (Lindner et al. 2023, arXiv 2301.05062).
An operation has one value per position: one of a finite domain, written as a one-hot row, or one
number. A text begins with a first token that belongs to no operation: there, every value is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from interp.errors import InputError

Side = str
"""The stack that an operation lives in: `blocks`, `encoder` or `decoder`."""


@dataclass(frozen=True, eq=False)
class Op:
    """One value per position.

    Attributes:
        side: where it lives.
        domain: its possible values; None for a number.
    """

    side: Side
    domain: tuple[Any, ...] | None

    @property
    def width(self) -> int:
        """Columns of its rows."""
        return 1 if self.domain is None else len(self.domain)


@dataclass(frozen=True, eq=False)
class Tokens(Op):
    """The ids of the tokens."""


@dataclass(frozen=True, eq=False)
class Indices(Op):
    """The positions, counted from 0 after the first token."""


@dataclass(frozen=True, eq=False)
class Map(Op):
    """A function of the values of one or two operations at the same position.

    Attributes:
        table: [domain of each input ..., width], its rows.
    """

    inputs: tuple[Op, ...]
    table: Tensor


@dataclass(frozen=True)
class Select:
    """Which positions each position looks at: those whose key fits its query, and that it can see.

    Attributes:
        fits: [domain of the queries, domain of the keys], bool.
    """

    keys: Op
    queries: Op
    fits: Tensor

    @property
    def crosses(self) -> bool:
        """Whether the target looks at the source."""
        return self.keys.side != self.queries.side


@dataclass(frozen=True, eq=False)
class Aggregate(Op):
    """The mean of the selected positions' values; 0 where none is selected."""

    select: Select
    values: Op


@dataclass(frozen=True, eq=False)
class Width(Op):
    """How many positions are selected."""

    select: Select


def tokens(n: int, side: Side = "blocks") -> Tokens:
    """The ids 0 to n - 1."""
    return Tokens(side, tuple(range(n)))


def indices(n: int, side: Side = "blocks") -> Indices:
    """The positions 0 to n - 1."""
    return Indices(side, tuple(range(n)))


def apply(function: Callable[..., Any], *inputs: Op) -> Map:
    """A function of one or two operations with finite domains; its domain is what it returns.

    Raises:
        InputError: an input is a number, there are none or more than two, or they live in
            different stacks.
    """
    found = _tabulated(function, inputs)
    domain = tuple(sorted(set(found.values())))
    shape = [op.width for op in inputs]
    table = torch.zeros(*shape, len(domain), dtype=torch.float64)
    for places, value in found.items():
        table[(*places, domain.index(value))] = 1
    return Map(inputs[0].side, domain, inputs, table)


def number(function: Callable[..., float], *inputs: Op) -> Map:
    """The same with a number for its value."""
    found = _tabulated(function, inputs)
    table = torch.zeros(*(op.width for op in inputs), 1, dtype=torch.float64)
    for places, value in found.items():
        table[(*places, 0)] = float(value)
    return Map(inputs[0].side, None, inputs, table)


def select(keys: Op, queries: Op, fits: Callable[[Any, Any], bool]) -> Select:
    """The positions whose key fits the query: `fits(key, query)`.

    Raises:
        InputError: a number cannot be compared.
    """
    fitting = [[bool(fits(k, q)) for k in _domain(keys)] for q in _domain(queries)]
    return Select(keys, queries, torch.tensor(fitting))


def same(key: object, query: object) -> bool:
    """Whether a key is what the query asks for."""
    return key == query


def aggregate(chosen: Select, values: Op) -> Aggregate:
    """The mean of `values` over the selected positions.

    Raises:
        InputError: the values live in another stack than the keys.
    """
    if values.side != chosen.keys.side:
        raise InputError(
            f"The values are of the {values.side}, the keys of the {chosen.keys.side}."
        )
    return Aggregate(chosen.queries.side, values.domain, chosen, values)


def width(chosen: Select, n: int) -> Width:
    """The number of selected positions, which is `n` at most."""
    return Width(chosen.queries.side, tuple(range(n + 1)), chosen)


def run(op: Op, texts: Mapping[Side, Tensor], causal: frozenset[Side]) -> Tensor:
    """The values of an operation, [batch, pos, width] in float64.

    Args:
        texts: ids [batch, pos] by side, without the first token.
        causal: the sides in which a position sees only itself and earlier ones.

    Raises:
        InputError: a function is asked of a mean of several different values.
    """
    return _Run(texts, causal, {}).of(op)


@dataclass(frozen=True)
class _Run:
    texts: Mapping[Side, Tensor]
    causal: frozenset[Side]
    known: dict[Op, Tensor]

    def of(self, op: Op) -> Tensor:
        if op not in self.known:
            self.known[op] = self._compute(op)
        return self.known[op]

    def _compute(self, op: Op) -> Tensor:
        ids = self.texts[op.side]
        if isinstance(op, Tokens):
            return torch.eye(op.width, dtype=torch.float64)[ids]
        if isinstance(op, Indices):
            here = torch.eye(op.width, dtype=torch.float64)[: ids.shape[1]]
            return here.expand(len(ids), -1, -1)
        if isinstance(op, Map):
            rows = [self.of(each) for each in op.inputs]
            if any(bool(((row != 0) & (row != 1)).any()) for row in rows):
                raise InputError(
                    "A function is applied to a mean of several values, which is none of them. "
                    "Select one position, or positions of one value."
                )
            letters = "ij"[: len(rows)]
            spec = ",".join(f"bp{letter}" for letter in letters)
            return torch.einsum(f"{spec},{letters}o->bpo", *rows, op.table)
        if isinstance(op, Aggregate):
            looked = self._selected(op.select)
            total = looked.sum(-1, keepdim=True).clamp(min=1)
            return looked @ self.of(op.values) / total
        assert isinstance(op, Width)
        counts = self._selected(op.select).sum(-1).long()
        return torch.eye(op.width, dtype=torch.float64)[counts]

    def _selected(self, chosen: Select) -> Tensor:
        """[batch, query, key], 1 where selected."""
        queries, keys = self.of(chosen.queries), self.of(chosen.keys)
        looked = queries @ chosen.fits.double() @ keys.transpose(1, 2)
        if not chosen.crosses and chosen.queries.side in self.causal:
            looked = looked.tril()
        return looked


def _domain(op: Op) -> tuple[Any, ...]:
    if op.domain is None:
        raise InputError("A number has no finite domain; only outputs and means can be numbers.")
    return op.domain


def _tabulated(function: Callable[..., Any], inputs: tuple[Op, ...]) -> dict[tuple[int, ...], Any]:
    """Places in the domains -> what the function says."""
    if len(inputs) not in (1, 2) or len({op.side for op in inputs}) != 1:
        raise InputError("A function has one input or two, of the same stack.")
    first = _domain(inputs[0])
    if len(inputs) == 1:
        return {(i,): function(a) for i, a in enumerate(first)}
    second = _domain(inputs[1])
    return {(i, j): function(a, b) for i, a in enumerate(first) for j, b in enumerate(second)}
