"""Probes with a hidden layer: low-rank logistic regression, and a perceptron.

Scores are `V act(U x + a) + b`. Without an activation the map `V U` has the rank of the hidden
layer and is penalised as a whole, strength / 2 |V U|^2, so that from rank n_classes - 1 on it is
the logistic probe; with one, both matrices are, strength / 2 (|U|^2 + |V|^2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from interp.errors import InputError
from probes.solvers.lbfgs import minimise
from probes.solvers.logistic import Problems
from probes.solvers.smooth import Smooth


@dataclass(frozen=True)
class HiddenFit:
    """Fitted probes: U [problem, hidden, d], a [problem, hidden], V [problem, class, hidden] and
    b [problem, class]; `loss` [problem] in nats a row, penalty included."""

    problems: Problems
    parts: tuple[Tensor, ...]
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
    work = Smooth(
        lambda site, part, parts: _scores(rows[site, part], parts, activation),
        lambda parts: _size(parts, activation),
        rows.shape[1],
        labels,
        weights.to(rows),
        problems,
        shapes,
    )
    found = minimise(
        work,
        first.to(rows.device).repeat(len(problems), 1),
        tolerance=tolerance,
        max_iterations=max_iterations,
    )
    return HiddenFit(problems, work.parts(found.x), activation, found.value)


def _size(parts: Sequence[Tensor], activation: str) -> Tensor:
    u, _, v, _ = parts
    if activation == "none":
        return (v @ u).square().sum((1, 2))
    return u.square().sum((1, 2)) + v.square().sum((1, 2))


def _scores(rows: Tensor, parts: Sequence[Tensor], activation: str) -> Tensor:
    """[problem, row, class] of rows [row, d]."""
    u, a, v, b = parts
    hidden = rows @ u.mT + a[:, None]
    if activation == "relu":
        hidden = hidden.relu()
    return hidden @ v.mT + b[:, None]
