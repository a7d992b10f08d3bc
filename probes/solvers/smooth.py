"""The loss of any probe that torch differentiates, as an objective of many problems at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from probes.solvers.lbfgs import Evaluated
from probes.solvers.logistic import Problems

ROWS = 4096
"""Of a block: what is in memory at once."""

Scores = Callable[[int, slice, Sequence[Tensor]], Tensor]
"""From a site, some of its rows and the parts of k problems: scores [k, row, class]."""


class Smooth:
    """Mean cross-entropy over weighted rows, plus strength / 2 times a size of the parts.

    Args:
        scores: what the probes say.
        size: of the parts of k problems, [k]; what the penalty is of.
        rows: how many there are.
        labels, weights: [table, row].
        shapes: of the parts of a probe.
    """

    def __init__(
        self,
        scores: Scores,
        size: Callable[[Sequence[Tensor]], Tensor],
        rows: int,
        labels: Tensor,
        weights: Tensor,
        problems: Problems,
        shapes: Sequence[tuple[int, ...]],
    ):
        self.scores, self.size, self.rows = scores, size, rows
        self.labels, self.weights, self.problems = labels, weights, problems
        self.shapes = shapes

    def parts(self, x: Tensor) -> tuple[Tensor, ...]:
        """The parts of probes that are written one after the other, [problem, number]."""
        sizes = [torch.Size(shape).numel() for shape in self.shapes]
        pairs = zip(x.split(sizes, 1), self.shapes, strict=True)
        return tuple(part.reshape(len(x), *shape) for part, shape in pairs)

    def __call__(self, which: Tensor, x: Tensor) -> Evaluated:
        x = x.detach().requires_grad_()
        value = torch.zeros(len(which), dtype=torch.float64, device=x.device)
        sites, counts = torch.unique_consecutive(self.problems.site[which], return_counts=True)
        end = 0
        with torch.enable_grad():
            for site, count in zip(sites.tolist(), counts.tolist(), strict=True):
                mine = slice(end, end := end + count)
                value[mine] = self._of_site(site, which[mine], x, mine)
        assert x.grad is not None
        return Evaluated(value, x.grad, torch.ones_like(x.grad))

    def _of_site(self, site: int, which: Tensor, x: Tensor, mine: slice) -> Tensor:
        """Values of some problems; their gradients are added to those of x."""
        labels, weights = self.problems.labels[which], self.problems.weights[which]
        total = self.weights.sum(1)[weights]
        value = torch.zeros(len(which), dtype=torch.float64, device=x.device)
        for block in range(0, self.rows, ROWS):
            part = slice(block, block + ROWS)
            scores = self.scores(site, part, self.parts(x[mine]))
            losses = cross_entropy(scores.mT, self.labels[labels, part], reduction="none")
            loss = (losses * self.weights[weights, part]).sum(1) / total
            loss.sum().backward()
            value += loss.detach()
        penalty = self.problems.strength[which].to(x) / 2 * self.size(self.parts(x[mine]))
        penalty.sum().backward()
        return value + penalty.detach()
