"""Probes with a hidden layer: low-rank logistic regression, and a perceptron.

Scores are `V act(U x + a) + b`. Without an activation the map `V U` has the rank of the hidden
layer and is penalised as a whole, strength / 2 |V U|^2, so that from rank n_classes - 1 on it is
the logistic probe; with one, both matrices are, strength / 2 (|U|^2 + |V|^2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from interp.errors import InputError
from probes.solvers.lbfgs import Evaluated, minimise
from probes.solvers.logistic import Problems

_ROWS = 4096  # of a block


@dataclass(frozen=True)
class HiddenFit:
    """Fitted probes: U [problem, hidden, d], a [problem, hidden], V [problem, class, hidden] and
    b [problem, class]; `loss` [problem] in nats a row, penalty included."""

    problems: Problems
    parts: tuple[Tensor, Tensor, Tensor, Tensor]
    activation: str
    loss: Tensor

    def logits(self, rows: Tensor, problem: int) -> Tensor:
        """Scores [row, class] of one problem for rows [row, d] of its site."""
        one = [part[problem, None] for part in self.parts]
        return _scores(rows, one, self.activation)[0]


def fit_hidden(
    rows: Tensor,
    labels: Tensor,
    problems: Problems,
    *,
    n_classes: int,
    size: int,
    activation: Literal["none", "relu"] | str,
    weights: Tensor | None = None,
    tolerance: float = 1e-6,
    max_iterations: int = 200,
    seed: int = 0,
) -> HiddenFit:
    """Fits all problems from the same seeded start, by L-BFGS on all rows.

    The loss is not convex; where it ends depends on the start.

    Args:
        rows: standardised, [site, row, d]; labels: [table, row]; weights: [table, row].
        size: of the hidden layer.

    Raises:
        InputError: shapes that contradict each other, or a size below one.
    """
    if labels.shape[1] != rows.shape[1] or size < 1:
        raise InputError(
            f"{rows.shape[1]} rows, {labels.shape[1]} labels and {size} hidden units are no probe."
        )
    problems, labels = problems.to(rows.device), labels.to(rows.device)
    weights = torch.ones_like(labels[:1], dtype=rows.dtype) if weights is None else weights
    d = rows.shape[2]
    shapes = ((size, d), (size,), (n_classes, size), (n_classes,))
    generator = torch.Generator().manual_seed(seed)
    # Only the first layer is random: the scores start at zero, at the prior of equal classes.
    first = torch.zeros(sum(torch.Size(s).numel() for s in shapes), dtype=rows.dtype)
    first[: size * d] = torch.randn(size * d, generator=generator, dtype=rows.dtype) / d**0.5
    work = _Work(rows, labels, weights.to(rows), problems, shapes, activation)
    found = minimise(
        work,
        first.to(rows.device).repeat(len(problems), 1),
        tolerance=tolerance,
        max_iterations=max_iterations,
    )
    return HiddenFit(problems, work.parts(found.x), activation, found.value)


class _Work:
    def __init__(
        self,
        rows: Tensor,
        labels: Tensor,
        weights: Tensor,
        problems: Problems,
        shapes: tuple[tuple[int, ...], ...],
        activation: str,
    ):
        self.rows, self.labels, self.weights, self.problems = rows, labels, weights, problems
        self.shapes, self.activation = shapes, activation

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        sizes = [torch.Size(shape).numel() for shape in self.shapes]
        u, a, v, b = (
            part.reshape(len(x), *shape)
            for part, shape in zip(x.split(sizes, 1), self.shapes, strict=True)
        )
        return u, a, v, b

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
        for block in range(0, self.rows.shape[1], _ROWS):
            part = slice(block, block + _ROWS)
            scores = _scores(self.rows[site, part], self.parts(x[mine]), self.activation)
            losses = cross_entropy(scores.mT, self.labels[labels, part], reduction="none")
            loss = (losses * self.weights[weights, part]).sum(1) / total
            loss.sum().backward()
            value += loss.detach()
        u, _, v, _ = self.parts(x[mine])
        strength = self.problems.strength[which].to(x)
        whole = (v @ u).square() if self.activation == "none" else None
        size = (
            u.square().sum((1, 2)) + v.square().sum((1, 2)) if whole is None else whole.sum((1, 2))
        )
        penalty = strength / 2 * size
        penalty.sum().backward()
        return value + penalty.detach()


def _scores(rows: Tensor, parts: tuple[Tensor, ...] | list[Tensor], activation: str) -> Tensor:
    """[problem, row, class] of rows [row, d]."""
    u, a, v, b = parts
    hidden = rows @ u.mT + a[:, None]
    if activation == "relu":
        hidden = hidden.relu()
    return hidden @ v.mT + b[:, None]
