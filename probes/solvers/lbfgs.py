"""Many smooth problems minimised at once, each with its own step and its own end.

L-BFGS (Liu & Nocedal 1989) over a stack of problems. They share nothing but the call that evaluates
them: each has its own line search, and leaves the stack when it is done, so that the batch gives
what the problems give one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Evaluated:
    """What is known of k problems at a point each.

    Attributes:
        value: [k], float64.
        gradient: [k, size].
        curvature: [k, size], positive: a guess at the diagonal of the Hessian, in axes in which it
            is nearly diagonal. Only speed depends on it.
    """

    value: Tensor
    gradient: Tensor
    curvature: Tensor

    def expected_decrease(self) -> Tensor:
        """How far the value would fall in a Newton step if the Hessian were that diagonal, [k]."""
        return (self.gradient.double().square() / self.curvature.double()).sum(1) / 2

    def of(self, keep: Tensor) -> Evaluated:
        return Evaluated(self.value[keep], self.gradient[keep], self.curvature[keep])


Objective = Callable[[Tensor, Tensor], Evaluated]
"""From the numbers of k problems [k] and a point for each [k, size]."""


@dataclass(frozen=True)
class Minimum:
    """Where a stack of problems ended.

    Attributes:
        x: [problem, size].
        value: [problem], float64.
        expected_decrease: [problem], what another step would have been expected to gain.
        iterations: [problem].
        converged: [problem]; False where the steps or the precision ran out first.
    """

    x: Tensor
    value: Tensor
    expected_decrease: Tensor
    iterations: Tensor
    converged: Tensor


def minimise(
    objective: Objective,
    start: Tensor,
    *,
    tolerance: float,
    max_iterations: int = 500,
    memory: int = 20,
) -> Minimum:
    """Minimises each of a stack of problems.

    Args:
        start: [problem, size]; its type and device are those of the work.
        tolerance: a problem is done when another step is expected to lower its value by no more
            than this.
        memory: steps that the estimate of the inverse Hessian remembers.
    """
    x = start.clone()
    n = len(x)
    value, decrease = x.new_empty(n, dtype=torch.float64), x.new_empty(n, dtype=torch.float64)
    iterations = torch.zeros(n, dtype=torch.long, device=x.device)
    converged = torch.zeros(n, dtype=torch.bool, device=x.device)
    which = torch.arange(n, device=x.device)
    at, here, history = x.clone(), objective(which, x), _History(memory)
    stuck = torch.zeros_like(converged)
    for iteration in range(max_iterations + 1):
        direction = history.direction(here)
        # The diagonal alone overlooks what it is not: slow directions between its axes.
        gain = here.expected_decrease().maximum(-(here.gradient * direction).sum(1).double() / 2)
        done = gain <= tolerance
        leave = done | stuck if iteration < max_iterations else torch.ones_like(done)
        out = which[leave]
        x[out], value[out], decrease[out] = at[leave], here.value[leave], gain[leave]
        iterations[out], converged[out] = iteration, done[leave]
        if leave.any():
            keep = ~leave
            which, at, here = which[keep], at[keep], here.of(keep)
            direction = direction[keep]
            history.keep(keep)
        if not len(which):
            break
        before, at_before = here, at
        at, here, stuck = _search(objective, which, at, here, direction)
        history.remember(at - at_before, here.gradient - before.gradient)
    return Minimum(x, value, decrease, iterations, converged)


class _History:
    """The last steps and changes of gradient of each problem; the two-loop recursion."""

    def __init__(self, memory: int):
        self._memory = memory
        self._pairs: list[tuple[Tensor, Tensor, Tensor]] = []

    def remember(self, step: Tensor, change: Tensor) -> None:
        product = (step * change).sum(1)
        # Rounding may hide the curvature of a tiny step; such a pair is left out of the sums.
        inverse = torch.where(product > 0, 1 / product, 0.0)
        self._pairs = [*self._pairs[1 - self._memory :], (step, change, inverse)]

    def keep(self, keep: Tensor) -> None:
        self._pairs = [(s[keep], y[keep], r[keep]) for s, y, r in self._pairs]

    def direction(self, here: Evaluated) -> Tensor:
        """Minus the estimated inverse Hessian times the gradient, [k, size]; always downhill."""
        steepest = -here.gradient / here.curvature
        q, weights = here.gradient.clone(), []
        for step, change, inverse in reversed(self._pairs):
            weight = inverse * (step * q).sum(1)
            q -= weight[:, None] * change
            weights.append(weight)
        q /= here.curvature
        if self._pairs:
            step, change, inverse = self._pairs[-1]
            curved = (change.square() / here.curvature).sum(1) * inverse
            q *= torch.where(curved > 0, 1 / curved, 1.0)[:, None]
        for (step, change, inverse), weight in zip(self._pairs, reversed(weights), strict=True):
            q += (weight - inverse * (change * q).sum(1))[:, None] * step
        uphill = (q * here.gradient).sum(1) <= 0
        return torch.where(uphill[:, None], steepest, -q)


_ARMIJO = 1e-4
_TRIES = 25


def _search(
    objective: Objective, which: Tensor, x: Tensor, here: Evaluated, direction: Tensor
) -> tuple[Tensor, Evaluated, Tensor]:
    """A step that lowers each value enough (Armijo), or as far as rounding lets one see, in slope
    (the approximate condition of Hager & Zhang 2005, equation 4).

    Returns:
        The new points, what was found there, and which problems [k] found no such step.
    """
    slope = (here.gradient * direction).sum(1).double()
    noise = 4 * torch.finfo(x.dtype).eps * (1 + here.value.abs())
    new = x.clone()
    value, gradient, curvature = here.value.clone(), here.gradient.clone(), here.curvature.clone()
    length = torch.ones_like(slope)
    pending = torch.arange(len(x), device=x.device)
    for _ in range(_TRIES):
        trial = x[pending] + length[pending, None].to(x.dtype) * direction[pending]
        there = objective(which[pending], trial)
        end = (there.gradient * direction[pending]).sum(1).double()
        first, old = slope[pending], here.value[pending]
        lower = there.value <= old + _ARMIJO * length[pending] * first
        flat = (there.value <= old + noise[pending]) & (end <= (2 * _ARMIJO - 1) * first)
        fine = (lower | flat) & there.value.isfinite()
        found = pending[fine]
        new[found], value[found] = trial[fine], there.value[fine]
        gradient[found], curvature[found] = there.gradient[fine], there.curvature[fine]
        # Where the slope would be zero if it changed linearly.
        secant = (first / (first - end)).nan_to_num(0.1).clamp(0.1, 0.5)
        length[pending] *= secant
        pending = pending[~fine]
        if not len(pending):
            break
    stuck = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    stuck[pending] = True
    return new, Evaluated(value, gradient, curvature), stuck
