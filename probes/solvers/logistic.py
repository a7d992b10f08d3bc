"""Multinomial logistic regression for all sites, tasks, strengths, resamples and controls at once.

Each problem minimises, over coefficients B [class, d] and intercepts b [class],

    sum_i w_i CE(softmax(B x_i + b), y_i) / sum_i w_i  +  strength / 2 |B|^2

which is scikit-learn's `LogisticRegression(C=1 / (strength * sum_i w_i))`. Problems of one site
share every product with its rows. The work is done in the axes of each site's own variance,
where the Hessian is nearly diagonal: for class c and axis j about s_c v_j + strength, with v_j the
variance along the axis and s_c the mean of p_c (1 - p_c). (The bound of Böhning 1992 has 1/2 in
place of s_c.) That diagonal preconditions the solver.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from interp.errors import InputError
from probes.solvers.lbfgs import Evaluated, minimise

_BLOCK = 1 << 18  # numbers of a block of logits: enough for a product to be fast, few for the cache


@dataclass(frozen=True)
class Problems:
    """What is solved: places in tables of sites, labels and weights, and a strength; [problem].

    Problems are in the order of their sites, as `cross` makes them.
    """

    site: Tensor
    labels: Tensor
    weights: Tensor
    strength: Tensor

    @classmethod
    def cross(
        cls, sites: int, labels: int = 1, weights: int = 1, strengths: tuple[float, ...] = (1e-3,)
    ) -> Problems:
        """Every combination, in the order of the arguments; the last changes fastest."""
        return cls.of(list(product(range(sites), range(labels), range(weights), strengths)))

    @classmethod
    def of(cls, rows: Sequence[tuple[int, int, int, float]]) -> Problems:
        """From (site, labels, weights, strength) of each, in the order of sites."""
        site, label, weight, strength = zip(*rows, strict=True)
        return cls(
            torch.tensor(site),
            torch.tensor(label),
            torch.tensor(weight),
            torch.tensor(strength, dtype=torch.float64),
        )

    def __len__(self) -> int:
        return len(self.site)

    def to(self, device: torch.device) -> Problems:
        return Problems(*(getattr(self, name).to(device) for name in self.__annotations__))


@dataclass(frozen=True)
class LogisticFit:
    """Fitted classifiers on standardised rows.

    Attributes:
        coefficients: [problem, class, d].
        intercepts: [problem, class], with mean zero; minus infinity for a class without examples.
        loss: [problem], nats a row, penalty included.
        gap: [problem], nats a row that the loss is above its minimum; an estimate, in float64.
        iterations: [problem].
    """

    problems: Problems
    coefficients: Tensor
    intercepts: Tensor
    loss: Tensor
    gap: Tensor
    iterations: Tensor

    def logits(self, rows: Tensor, problem: int) -> Tensor:
        """Scores [row, class] of one problem for rows [row, d] of its site."""
        return rows @ self.coefficients[problem].T + self.intercepts[problem]


def fit_logistic(
    rows: Tensor,
    labels: Tensor,
    problems: Problems,
    *,
    n_classes: int,
    weights: Tensor | None = None,
    start: LogisticFit | None = None,
    tolerance: float | None = None,
) -> LogisticFit:
    """Solves all problems.

    Args:
        rows: standardised, [site, row, d]; float32 or float64, and so is the work.
        labels: [table, row], 0 to n_classes - 1.
        weights: of rows, [table, row]; how often a row counts. All ones if there are none.
        start: an earlier fit of equally many problems, to begin from.
        tolerance: nats a row above the minimum at which to stop; by default 1e-5 in float32 and
            1e-17 in float64.

    Raises:
        InputError: shapes that contradict each other, labels out of range, weights that are
            negative or all zero, a strength that is not positive, rows that are not finite.
    """
    weights = torch.ones_like(labels[:1], dtype=rows.dtype) if weights is None else weights
    _check(rows, labels, weights, problems, n_classes)
    if tolerance is None:
        tolerance = 1e-5 if rows.dtype == torch.float32 else 1e-17
    problems, labels = problems.to(rows.device), labels.to(rows.device)
    work = _Work(rows, labels, weights.to(rows), problems, n_classes)
    first = torch.zeros(len(problems), n_classes * work.width, dtype=rows.dtype, device=rows.device)
    if start is not None:
        first = work.turned(start)
    found = minimise(work, first, tolerance=tolerance)
    gap = found.expected_decrease
    if rows.dtype == torch.float32:
        # What float32 cannot see of its own error, float64 can: one look at the place it ended.
        exact = work.exact()(torch.arange(len(first), device=rows.device), found.x.double())
        gap = exact.expected_decrease().maximum(found.expected_decrease)
    coefficients, intercepts = work.turned_back(found.x)
    return LogisticFit(problems, coefficients, intercepts, found.value, gap, found.iterations)


class _Work:
    """The objective of `minimise`: value, gradient and diagonal curvature of many problems."""

    def __init__(
        self, rows: Tensor, labels: Tensor, weights: Tensor, problems: Problems, n_classes: int
    ):
        self.problems, self.labels, self.weights = problems, labels, weights
        self.n_classes, self.dtype = n_classes, rows.dtype
        n_sites, n, d = rows.shape
        self.width = d + 1  # the last axis is the intercept's
        self.axes = rows.new_empty(n_sites, d, d)
        self.variance = rows.new_ones(n_sites, self.width)
        self.rows = rows.new_ones(n_sites, n, self.width)
        for site in range(n_sites):
            second = (rows[site].T @ rows[site]).double().cpu() / n
            variance, axes = torch.linalg.eigh(second)
            self.axes[site] = axes.to(rows)
            self.variance[site, :d] = variance.clamp(min=0).to(rows)
            torch.mm(rows[site], self.axes[site], out=self.rows[site, :, :d])
        self.total = weights.double().sum(1)[problems.weights]
        self.penalty = rows.new_ones(self.width, dtype=torch.float64)
        self.penalty[-1] = 0.0
        self._attractions()

    def _attractions(self) -> None:
        """The mean row of each class, times its share: the part of the gradient, and of the
        loss, that the labels have; and which classes have no example."""
        keys = torch.stack([self.problems.site, self.problems.labels, self.problems.weights], 1)
        unique, self.attraction_of = torch.unique(keys, dim=0, return_inverse=True)
        size = (len(unique), self.n_classes, self.width)
        self.attraction = self.rows.new_zeros(size, dtype=torch.float64)
        for i, (site, label, weight) in enumerate(unique.tolist()):
            for part in _blocks(self.rows.shape[1], self.width):
                weighted = self.rows[site, part].double() * self.weights[weight, part, None]
                self.attraction[i].index_add_(0, self.labels[label, part], weighted)
            self.attraction[i] /= self.weights[weight].double().sum()
        self.absent = self.attraction[:, :, -1] == 0

    def exact(self) -> _Work:
        """The same in float64; blocks of rows are converted as they are read."""
        other = object.__new__(_Work)
        other.__dict__.update(self.__dict__, dtype=torch.float64)
        return other

    def __call__(self, which: Tensor, x: Tensor) -> Evaluated:
        value = x.new_empty(len(which), dtype=torch.float64)
        gradient, curvature = torch.empty_like(x), torch.empty_like(x)
        sites, counts = torch.unique_consecutive(self.problems.site[which], return_counts=True)
        end = 0
        for site, count in zip(sites.tolist(), counts.tolist(), strict=True):
            mine = slice(end, end := end + count)
            value[mine], gradient[mine], curvature[mine] = self._of_site(site, which[mine], x[mine])
        return Evaluated(value, gradient, curvature)

    def _of_site(self, site: int, which: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Problems of one site. Classes come first, so that the softmax runs over whole rows of
        memory: logits are [class, problem, row]."""
        k, classes = len(which), self.n_classes
        theta = x.view(k, classes, self.width).transpose(0, 1).reshape(classes * k, self.width)
        weighting, weight_of = torch.unique(self.problems.weights[which], return_inverse=True)
        attraction_of = self.attraction_of[which]
        absent = self.absent[attraction_of].T[:, :, None]
        normaliser = x.new_zeros(k, dtype=torch.float64)
        pull = x.new_zeros(classes * k, self.width)
        spread = x.new_zeros(classes * k)
        n = self.rows.shape[1]
        space = x.new_empty(classes * k * _rows_of_block(classes * k))  # one piece, used again
        for part in _blocks(n, classes * k):
            rows = self.rows[site, part].to(x.dtype)
            weights = self.weights[weighting, part].to(x.dtype)[weight_of]
            flat = space[: classes * k * len(rows)].view(classes * k, -1)
            logits = torch.mm(theta, rows.T, out=flat).view(classes, k, -1)
            if absent.any():
                logits.masked_fill_(absent, -torch.inf)
            top = logits.amax(0)
            p = logits.sub_(top).exp_()
            total = p.sum(0)
            p.div_(total)
            normaliser += (weights * (top + total.log())).sum(1)
            spread += flat.sum(1) - torch.linalg.vector_norm(flat, dim=1).square()
            p.mul_(weights)
            pull.addmm_(flat, rows)
        share = 1 / self.total[which]
        pull = pull.view(classes, k, self.width).transpose(0, 1).double() * share[:, None, None]
        spread = (spread.view(classes, k).T.double() / n).clamp(min=1e-7)
        attraction, weights = (
            self.attraction[attraction_of],
            x.view(k, classes, self.width).double(),
        )
        decay = self.problems.strength[which, None, None] * self.penalty
        loss = normaliser * share - (weights * attraction).sum((1, 2))
        loss += (decay * weights.square()).sum((1, 2)) / 2
        gradient = pull - attraction + decay * weights
        curvature = spread[:, :, None] * self.variance[site].double() + decay
        return loss, gradient.flatten(1).to(x), curvature.flatten(1).to(x)

    def turned_back(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """From the axes of the work to those of the rows."""
        theta = x.view(len(x), self.n_classes, self.width)
        coefficients = theta[..., :-1] @ self.axes[self.problems.site].mT
        intercepts = theta[..., -1]
        absent = self.absent[self.attraction_of]
        centre = intercepts.masked_fill(absent, 0.0).sum(1) / (~absent).sum(1)
        intercepts = (intercepts - centre[:, None]).masked_fill(absent, -torch.inf)
        return coefficients, intercepts

    def turned(self, fit: LogisticFit) -> Tensor:
        """From the axes of the rows to those of the work."""
        turned = fit.coefficients @ self.axes[self.problems.site]
        intercepts = fit.intercepts.masked_fill(fit.intercepts.isinf(), 0.0)
        return torch.cat([turned, intercepts[..., None]], -1).flatten(1)


def _rows_of_block(height: int) -> int:
    return max(_BLOCK // height // 64 * 64, 64)


def _blocks(n: int, height: int) -> list[slice]:
    """Slices of n rows, such that `height` numbers a row make about `_BLOCK`."""
    size = _rows_of_block(height)
    return [slice(i, min(i + size, n)) for i in range(0, n, size)]


def _check(
    rows: Tensor, labels: Tensor, weights: Tensor, problems: Problems, n_classes: int
) -> None:
    n = rows.shape[1]
    if labels.shape[1:] != (n,) or weights.shape[1:] != (n,):
        raise InputError(
            f"There are {n} rows, labels of shape {list(labels.shape)} and weights of shape "
            f"{list(weights.shape)}; give a label and a weight for each row, [table, row]."
        )
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < n_classes:
        raise InputError(f"Labels go from 0 to {n_classes - 1}; found {int(labels.max())}.")
    if (weights < 0).any() or (weights.sum(1) <= 0).any():
        raise InputError("Weights of rows are counts: none negative, and not all zero.")
    if (problems.strength <= 0).any():
        raise InputError(
            "A strength is not positive; without a penalty the optimum may lie at infinity."
        )
    bad = (~rows.isfinite()).flatten(1).any(1)
    if bad.any():
        raise InputError(f"Site {int(bad.nonzero()[0])} has rows that are not finite.")
