"""What activation patching puts in place at a time: the cells of a grid, and which of them share
a forward."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.inside.run import TOKENS
from interp.model.hook_points import unknown

KINDS = {
    "resid_pre": "hook_resid_pre",
    "resid_mid": "hook_resid_mid",
    "resid_mid_cross": "hook_resid_mid_cross",
    "resid_post": "hook_resid_post",
    "attn_out": "hook_attn_out",
    "cross_attn_out": "hook_cross_attn_out",
    "mlp_out": "hook_mlp_out",
    "neuron": "mlp.hook_post",
    **{name: f"attn.hook_{name}" for name in ("z", "q", "k", "v", "pattern")},
    **{f"cross_{name}": f"cross_attn.hook_{name}" for name in ("z", "q", "k", "v", "pattern")},
}
"""Kind of activation -> its name within a block."""

# Axis of a grid -> the names of the dimensions that it runs along.
AXES = {
    "position": ("pos", "query_pos", "source_pos"),
    "head": ("head", "kv_head"),
    "neuron": ("d_mlp",),
    "key": ("key_pos",),
}

# A forward of fewer tokens than this is bound by reading the weights, so that one more cell in it
# costs next to nothing, even one that begins earlier.
_FEW = 64


@dataclass(frozen=True)
class Site:
    """One kind of activation in every block of a stack.

    Attributes:
        names: layer -> full name.
        dims: names of the activation's dimensions.
    """

    kind: str
    stack: str
    names: dict[int, str]
    dims: tuple[str, ...]

    @classmethod
    def of(cls, model: Any, kind: str, stack: str) -> Site:
        """
        Raises:
            InputError: there is no such kind or stack.
            HookError: this model has none of the kind.
        """
        if kind not in KINDS:
            raise InputError(f"There is no kind {kind!r} to patch; there are: {', '.join(KINDS)}.")
        stacks = ["encoder", "decoder"] if model.cfg.shape == "encoder_decoder" else ["blocks"]
        if stack not in stacks:
            raise InputError(f"The model has the stack(s) {', '.join(stacks)}, not {stack!r}.")
        points = model.hook_points
        found = {i: f"{stack}.{i}.{KINDS[kind]}" for i in range(_n_layers(points, stack))}
        found = {i: name for i, name in found.items() if name in points}
        if not found:
            raise unknown(points, f"{stack}.0.{KINDS[kind]}")
        shape = points[next(iter(found.values()))].shape
        return cls(kind, stack, found, tuple(shape.split()))

    @property
    def counted(self) -> str:
        """The stack whose positions the activation has: keys and values of cross-attention have
        those of the source."""
        return "encoder" if self.kind in ("cross_k", "cross_v") else self.stack

    def dim(self, axis: str) -> int:
        """The dimension of the activation that an axis of the grid runs along."""
        return next(i for i, dim in enumerate(self.dims) if dim in AXES[axis])

    @property
    def axes(self) -> list[str]:
        """What the activation can be cut along, in the order of `AXES`."""
        return [axis for axis, dims in AXES.items() if set(dims) & set(self.dims)]

    def read_by(self, by: str | Sequence[str] | None) -> tuple[str, ...]:
        """The axes of a grid in the order of `axes`; by default what the activation consists of:
        heads, neurons, or the positions of a stream.

        Raises:
            InputError: the activation has no such axis.
        """
        has = self.axes
        if by is None:
            return (next((axis for axis in ("head", "neuron") if axis in has), "position"),)
        wanted = (by,) if isinstance(by, str) else tuple(by)
        wrong = [axis for axis in wanted if axis not in has]
        if wrong:
            raise InputError(f"{self.kind} can be patched by {', '.join(has)}, not {wrong[0]!r}.")
        return tuple(axis for axis in has if axis in wanted)


def _n_layers(points: Any, stack: str) -> int:
    inside = [name.split(".")[1] for name in points if name.startswith(f"{stack}.")]
    return 1 + max((int(part) for part in inside if part.isdecimal()), default=-1)


def picked(what: str, given: Sequence[int] | None, n: int) -> list[int]:
    """Indices of an axis of length n, each once, ascending; all for None.

    Raises:
        InputError: one that the axis does not have.
    """
    if given is None:
        return list(range(n))
    wrong = [i for i in given if type(i) is not int or not -n <= i < n]
    if wrong or len(given) == 0:
        raise InputError(
            f"There is no {what} {wrong[0]!r} here; there are {n}."
            if wrong
            else f"No {what} was given; leave the argument out for all."
        )
    return sorted({i % n for i in given})


@dataclass(frozen=True)
class Cells:
    """The cells of one layer, those that begin at the earliest position first.

    Attributes:
        by: the axes that a cell has an index of; along the others it takes `within`, or all.
        index: [cell, axis].
        within: positions that a cell takes where it has none of its own, [pos] of bool.
    """

    site: Site
    by: tuple[str, ...]
    index: Tensor
    within: Tensor

    @classmethod
    def of(
        cls, site: Site, by: tuple[str, ...], indices: Sequence[Tensor], within: Tensor
    ) -> Cells:
        """All combinations of the indices, one tensor per axis."""
        # Positions come first in `by`, so the product is in the order of positions.
        index = torch.cartesian_prod(*indices) if by else torch.empty(1, 0, dtype=torch.long)
        index = index.reshape(-1, len(by)) if by else index
        return cls(site, by, index, within)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, part: slice | list[int]) -> Cells:
        return Cells(self.site, self.by, self.index[part], self.within)

    def firsts(self) -> list[int]:
        """The earliest position of each cell."""
        if "position" in self.by:
            firsts: list[int] = self.index[:, self.by.index("position")].tolist()
            return firsts
        return [int(self.within.nonzero()[0])] * len(self)

    def where(self, shape: torch.Size) -> Tensor:
        """True at each cell's entries of an activation of a shape, [cell, ...]; axes that no cell
        is cut along have length 1."""
        out = torch.ones(len(self), *(1 for _ in shape[1:]), dtype=torch.bool)
        for axis, column in zip(self.by, self.index.T, strict=True):
            dim = self.site.dim(axis)
            out = out & _along(dim, len(shape), column[:, None] == torch.arange(shape[dim]))
        if "position" not in self.by and not bool(self.within.all()):
            out = out & _along(self.site.dim("position"), len(shape), self.within[None])
        return out


def _along(dim: int, n_dims: int, mask: Tensor) -> Tensor:
    """[cell, size] -> [cell, 1, ..., size, ..., 1]"""
    return mask.reshape(len(mask), *(mask.shape[1] if i == dim else 1 for i in range(1, n_dims)))


def together(firsts: Sequence[int], n_pos: int) -> Iterator[slice]:
    """Parts of a list of cells that share a forward, which computes the positions from its
    earliest cell on.

    A forward with cells of several positions computes some of them in vain, and a small one has
    the weights read for little; so it takes on earlier cells until it is no longer small.

    Args:
        firsts: earliest position of each cell, ascending.
        n_pos: number of positions in all.
    """
    stop = len(firsts)
    while stop:
        start = stop - 1
        while start:
            now, then = ((stop - i) * (n_pos - firsts[i]) for i in (start, start - 1))
            if now >= _FEW and (firsts[start - 1] != firsts[start] or then > TOKENS):
                break
            start -= 1
        yield slice(start, stop)
        stop = start
