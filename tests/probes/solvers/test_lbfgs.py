"""Each problem of a stack goes its own way to its own minimum."""

from __future__ import annotations

import torch
from torch import Tensor

from probes.solvers.lbfgs import Evaluated, minimise

SIZE = 6


class Quadratics:
    """x^T A x / 2 - b^T x for each problem, with condition numbers from 1 to 10,000."""

    def __init__(self, n: int):
        generator = torch.Generator().manual_seed(0)
        axes = torch.linalg.qr(torch.randn(n, SIZE, SIZE, generator=generator).double())[0]
        spread = torch.logspace(0, 4, n).double()[:, None] ** torch.linspace(0, 1, SIZE).double()
        self.a = axes @ torch.diag_embed(spread) @ axes.mT
        self.b = torch.randn(n, SIZE, generator=generator).double()

    def __call__(self, which: Tensor, x: Tensor) -> Evaluated:
        product = (self.a[which] @ x[..., None])[..., 0]
        value = (x * product).sum(1) / 2 - (x * self.b[which]).sum(1)
        curvature = self.a[which].diagonal(dim1=1, dim2=2)
        return Evaluated(value, product - self.b[which], curvature)


def rosenbrock(which: Tensor, x: Tensor) -> Evaluated:
    """A curved valley (1960), steeper in each next problem; the minimum is at (1, 1)."""
    steep = 10.0**which
    a, b = x[:, 0], x[:, 1]
    off = b - a**2
    gradient = torch.stack([-2 * (1 - a) - 4 * steep * a * off, 2 * steep * off], 1)
    return Evaluated((1 - a) ** 2 + steep * off**2, gradient, torch.ones_like(x))


def test_quadratics_end_where_algebra_says() -> None:
    problem = Quadratics(5)
    found = minimise(problem, torch.zeros(5, SIZE).double(), tolerance=1e-22)
    expected = torch.linalg.solve(problem.a, problem.b)
    assert found.converged.all()
    torch.testing.assert_close(found.x, expected, atol=1e-8, rtol=1e-8)


def test_a_curved_valley_is_followed() -> None:
    start = torch.tensor([[-1.2, 1.0]]).double().expand(3, -1)
    found = minimise(rosenbrock, start, tolerance=1e-18)
    assert found.converged.all()
    torch.testing.assert_close(found.x, torch.ones(3, 2).double(), atol=1e-6, rtol=0)
    assert len(set(found.iterations.tolist())) > 1  # each left when it was done


def test_a_stack_takes_the_steps_of_its_problems_alone() -> None:
    start = torch.tensor([[-1.2, 1.0]]).double().expand(3, -1)
    together = minimise(rosenbrock, start, tolerance=1e-18)
    for i in range(3):
        alone = minimise(lambda which, x, i=i: rosenbrock(which + i, x), start[:1], tolerance=1e-18)
        assert alone.iterations[0] == together.iterations[i]
        torch.testing.assert_close(alone.x[0], together.x[i], atol=1e-12, rtol=0)


def test_what_runs_out_of_steps_says_so() -> None:
    start = torch.tensor([[-1.2, 1.0]]).double()
    found = minimise(rosenbrock, start, tolerance=1e-18, max_iterations=3)
    assert not found.converged.any() and found.iterations.tolist() == [3]
    assert found.value[0] < rosenbrock(torch.zeros(1), start).value[0]
