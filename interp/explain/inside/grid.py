"""Filling a grid: the metric with each cell in place, in as few forwards as it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.inside.cells import Cells, Site, picked, together
from interp.explain.inside.run import Run, Splice
from interp.explain.inside.shortlist import strongest
from interp.explain.reading import finite
from interp.explain.resolved import ResolvedTarget


@dataclass(frozen=True)
class Grid:
    """All cells of a site.

    Attributes:
        axes: of a cell within its layer.
        receiver: the run that is changed.
        donor: the run that the parts come from.
        names: layer -> full name, of the layers to be patched.
    """

    site: Site
    axes: tuple[str, ...]
    receiver: Run
    donor: Run
    target: ResolvedTarget
    names: Mapping[int, str]

    def fill(
        self,
        positions: Sequence[int] | None,
        heads: Sequence[int] | None,
        neurons: int | Sequence[int] | None,
    ) -> tuple[Tensor, int]:
        """The values, [layer, *axes] in float64, NaN elsewhere; and the copies of the text run."""
        others = {layer: self.donor.cache[name] for layer, name in self.names.items()}
        shape = next(iter(others.values())).shape
        within = self._within(positions, shape)
        by_layer = self._neurons(neurons, others, within)
        sizes = [shape[self.site.dim(axis)] for axis in self.axes]
        n_layers = max(self.site.names) + 1
        values = torch.full((n_layers, *sizes), torch.nan, dtype=torch.float64)
        own = self.receiver.value(self.target)
        all_cells: dict[int, Cells] = {}
        for layer in others:
            indices = {
                "position": within.nonzero()[:, 0].tolist(),
                "head": self._part("head", heads, shape),
                "neuron": by_layer[layer],
                "key": self._part("key", None, shape),
            }
            tensors = [torch.tensor(indices[axis], dtype=torch.long) for axis in self.axes]
            all_cells[layer] = Cells.of(self.site, self.axes, tensors, within)
        found, forwards = self._swept(all_cells, others, own) if self._sweeps() else ({}, 0)
        for layer, cells in all_cells.items():
            if layer not in found:
                found[layer], run = self._layer(layer, cells, others[layer], own)
                forwards += run
            values[(layer, *cells.index.T)] = found[layer]
        return values, forwards

    def _sweeps(self) -> bool:
        """Whether the cells of all layers can share forwards."""
        read = self.target.positions is not None
        return self._resumes() and read and self.site.stack == self.receiver.last_stack

    def _swept(
        self, all_cells: Mapping[int, Cells], others: Mapping[int, Tensor], own: float
    ) -> tuple[dict[int, Tensor], int]:
        """The metric of every cell by layer, of all layers but the last; and the copies run."""
        assert self.target.positions is not None
        ids, axis = self.receiver.ids(self.site.stack), self.site.dim("position")
        last = len(self.receiver.model.stack(self.site.stack).blocks) - 1
        found, order = dict[int, Tensor](), list[tuple[int, int, int]]()
        for layer, cells in all_cells.items():
            if layer < last:
                found[layer] = torch.full((len(cells),), own, dtype=torch.float64)
                # A change behind all that the metric reads reaches none of it.
                order += [
                    (first, layer, i)
                    for i, first in enumerate(cells.firsts())
                    if first <= max(self.target.positions)
                ]
        order.sort()
        for part in together([first for first, _, _ in order], len(ids)):
            first, chosen = order[part.start][0], dict[int, list[int]]()
            for _, layer, i in sorted(order[part], key=lambda cell: cell[1:]):
                chosen.setdefault(layer, []).append(i)
            splices = {}
            for layer, some in chosen.items():
                where = all_cells[layer][some].where(others[layer].shape).to(others[layer].device)
                splice = Splice(self.names[layer], where, others[layer])
                splices[layer] = splice.from_position(first, axis)
            with torch.no_grad():
                values = self.receiver.swept(self.target, splices, self.site.stack, first)
            values = finite(values, "metric").double().cpu()
            for (layer, some), mine in zip(
                chosen.items(), values.split([len(some) for some in chosen.values()]), strict=True
            ):
                found[layer][some] = mine
        return found, len(order)

    def _layer(self, layer: int, cells: Cells, other: Tensor, own: float) -> tuple[Tensor, int]:
        """The metric of every cell of a layer, and the copies of the text that were run."""
        values = torch.full((len(cells),), own, dtype=torch.float64)
        resumes = self._resumes()
        firsts = cells.firsts() if resumes else [0] * len(cells)
        reached = len(cells)
        if resumes and self.target.positions is not None:
            # A change behind all that the metric reads reaches none of it.
            reached = sum(first <= max(self.target.positions) for first in firsts)
        axis = self.site.dim("position")
        stacks = {self.site.stack, self.receiver.last_stack}
        n_pos = sum(len(self.receiver.ids(stack)) for stack in stacks)
        for part in together(firsts[:reached], n_pos):
            where, first = cells[part].where(other.shape).to(other.device), firsts[part.start]
            splice = Splice(self.names[layer], where, other).from_position(first, axis)
            with torch.no_grad():
                found = self.receiver.edited(
                    self.target, splice, len(where), self.site.stack, layer, first
                )
            values[part] = finite(found, "metric").double().cpu()
        return values, reached

    def _resumes(self) -> bool:
        """Whether a cell's effects begin at its position."""
        run, site = self.receiver, self.site
        if not run.resumable or site.counted != site.stack:
            return False
        causal: bool = run.model.stack(site.stack).causal
        return causal

    def _within(self, positions: Sequence[int] | None, shape: torch.Size) -> Tensor:
        """[pos], True where something may be patched: never on padding."""
        n = shape[self.site.dim("position")]
        mask = self.receiver.mask(self.site.counted)
        real = torch.ones(n, dtype=torch.bool) if mask is None else mask[0].bool().cpu()
        chosen = torch.zeros(n, dtype=torch.bool)
        chosen[picked("position", positions, n)] = True
        if not bool((chosen & real).any()):
            raise InputError("All positions to be patched are padding.")
        return chosen & real

    def _neurons(
        self, neurons: int | Sequence[int] | None, others: Mapping[int, Tensor], within: Tensor
    ) -> Mapping[int, list[int]]:
        """Layer -> the neurons to be patched in it."""
        shape = next(iter(others.values())).shape
        if isinstance(neurons, int) and "neuron" in self.axes:
            if isinstance(neurons, bool) or neurons < 1:
                raise InputError(f"neurons is {neurons!r}; give how many, or a list of them.")
            return strongest(self.receiver, others, self.names, self.target, within, neurons)
        if isinstance(neurons, int):
            raise InputError("A number of neurons needs a grid of them: by='neuron'.")
        part = self._part("neuron", neurons, shape)
        return dict.fromkeys(self.names, part)

    def _part(self, axis: str, given: Sequence[int] | None, shape: torch.Size) -> list[int]:
        """The indices along an axis, which has to be one of the grid's if some are chosen."""
        if given is not None and axis not in self.axes:
            raise InputError(
                f"{axis}s are chosen, and this grid has none: patch by {axis}, or leave them out."
            )
        return picked(axis, given, shape[self.site.dim(axis)]) if axis in self.axes else []
