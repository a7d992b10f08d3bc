"""Saliency, gradient times input, SmoothGrad and expected gradients against closed formulas."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from interp import InputError
from interp.explain import Baseline, Target
from interp.explain.methods.expected_gradients import expected_gradients
from interp.explain.methods.gradients import gradient_x_input, saliency
from interp.explain.methods.integrated_gradients import integrated_gradients
from interp.explain.methods.smoothgrad import smoothgrad
from interp.explain.points import Point
from tests.explain.readings import read
from tests.model.configurations import EACH_KIND

LINEAR = {"n_layers": 0, "final_norm": False}


def differences(point: Point, step: float = 1e-5) -> Tensor:
    """The gradient [pos, d_model] by central differences of the target itself."""
    n = point.embedded.numel()
    moves = step * torch.eye(n, dtype=torch.float64).view(n, *point.embedded.shape)
    with torch.no_grad():
        ends = [point.values(point.embedded + sign * moves) for sign in (1, -1)]
    return ((ends[0] - ends[1]) / (2 * step)).view_as(point.embedded)


@EACH_KIND
def test_gradients_are_those_of_the_target(name: str) -> None:
    point = read(name)
    slopes = differences(point)
    step = point.embedded - point.baselines[0]
    assert slopes.abs().max() > 1e-3
    torch.testing.assert_close(saliency(point).scores, slopes.norm(dim=-1), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(
        gradient_x_input(point).scores, (slopes * step).sum(-1), atol=1e-6, rtol=1e-6
    )


def test_a_linear_target_is_explained_exactly() -> None:
    point = read("decoder", **LINEAR)
    for found in (gradient_x_input(point), smoothgrad(point), expected_gradients(point)):
        assert found.scores.sum().item() == pytest.approx(
            point.value - point.baseline_value, rel=1e-9
        )
        assert not found.scores[:-1].any()


def test_scores_are_linear_in_the_target() -> None:
    def score(a: float, b: float) -> Tensor:
        def target(logits: Tensor) -> Tensor:
            return a * logits[:, -1, 3] + b * logits[:, 2, 5]

        return gradient_x_input(read("decoder", Target.of(target))).scores

    torch.testing.assert_close(score(2, -3), 2 * score(1, 0) - 3 * score(0, 1), atol=1e-10, rtol=0)


def cubes(logits: Tensor) -> Tensor:
    return logits[:, -1].pow(3).sum(-1)


def test_noise_is_as_long_as_it_says() -> None:
    """Of a sum of cubes of w . e the mean gradient is known: 3 ((w . e)^2 + var (w . noise)) w."""
    point = read("decoder", Target.of(cubes), **LINEAR)
    w, e = point.model.W_U, point.embedded[-1]
    variance = (0.5 * point.embedded.norm(dim=-1).mean()) ** 2 / len(e)
    slopes = 3 * ((e @ w) ** 2 + variance * w.square().sum(0))
    expected = ((e - point.baselines[0, -1]) @ w @ slopes).item()
    found = smoothgrad(point, noise=0.5, draws=4000)
    assert found.low is not None and found.high is not None
    half = (found.high[-1] - found.low[-1]).item() / 2
    assert abs(found.scores[-1].item() - expected) < 1.5 * half < 0.1 * abs(expected)
    plain = gradient_x_input(point).scores[-1].item()
    assert abs(plain - expected) > 3 * half  # the noise makes a difference


@EACH_KIND
def test_little_noise_is_none(name: str) -> None:
    point = read(name)
    found = smoothgrad(point, noise=1e-7, draws=2)
    torch.testing.assert_close(found.scores, gradient_x_input(point).scores, atol=1e-4, rtol=1e-4)


@EACH_KIND
def test_intervals_of_expected_gradients_cover_the_integral(name: str) -> None:
    point = read(name, baseline=Baseline.uniform(3))
    exact = integrated_gradients(point, tolerance=2e-3).scores
    found = expected_gradients(point, draws=600)
    assert found.low is not None and found.high is not None
    wide = 1.5 * (found.high - found.low) / 2  # three standard errors, for a dozen scores
    assert ((found.scores - exact).abs() <= wide).all()
    assert wide.max() < 2 * exact.abs().max()


def test_draws_are_those_of_the_seed() -> None:
    for method in (smoothgrad, expected_gradients):
        one, same = (method(read("decoder"), draws=20, seed=1) for _ in range(2))
        other = method(read("decoder"), draws=20, seed=2)
        assert torch.equal(one.scores, same.scores) and one.seed == 1
        assert not torch.equal(one.scores, other.scores)


def test_what_cannot_be_drawn_is_refused() -> None:
    point = read("decoder")
    with pytest.raises(InputError, match="draws"):
        smoothgrad(point, draws=1)
    with pytest.raises(InputError, match="seed"):
        expected_gradients(point, seed=-1)
    with pytest.raises(InputError, match="noise"):
        smoothgrad(point, noise=0)
