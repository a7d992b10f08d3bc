"""Learning coefficients that are known: half the dimensions, and what singularities take off."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from interp.errors import ConfigError, InputError, TrainingError
from probes.llc import Sampling, llc, rhat


def nothing(chains: int) -> Any:
    """Rows of a loss that reads none."""
    return lambda step: torch.zeros(chains)


def of_quadratic(d: int, settings: Sampling, curvature: Tensor | None = None) -> Any:
    h = torch.linspace(0.3, 1.0, d, dtype=torch.float64) if curvature is None else curvature

    def loss(weights: Any, rows: Tensor) -> Tensor:
        return 0.5 * (h * (weights["w"] - 1).square()).sum() + 3.0

    start = {"w": torch.ones(d, dtype=torch.float64)}
    return llc(loss, start, nothing(settings.chains), settings)


@pytest.mark.parametrize("d", [4, 24])
def test_a_quadratic_has_half_its_dimensions(d: int) -> None:
    settings = Sampling(1000.0, 1e-4, 0.0, chains=48, burn_in=200, draws=700)
    found = of_quadratic(d, settings)
    assert found.value == pytest.approx(d / 2, rel=0.05)
    assert found.rhat < 1.1 and found.ci_low < found.value < found.ci_high
    assert found.excess.shape == (48, 700)


def test_flat_directions_do_not_count() -> None:
    curvature = torch.tensor([1.0] * 6 + [0.0] * 6, dtype=torch.float64)
    settings = Sampling(1000.0, 1e-4, 1.0, chains=48, burn_in=200, draws=700)
    assert of_quadratic(12, settings, curvature).value == pytest.approx(3, rel=0.06)


def aoyagi_watanabe(m: int, n: int, h: int, r: int) -> float:
    """The learning coefficient of reduced-rank regression, a network m -> h -> n without
    nonlinearity whose true map has rank r (Aoyagi & Watanabe 2005, Neural Networks 18, 924)."""
    if m + h < n + r:
        return (h * m - h * r + n * r) / 2
    if n + h < m + r:
        return (h * n - h * r + m * r) / 2
    if m + n < h + r:
        return m * n / 2
    odd = (m + n + h + r) % 2
    s = h + r
    return (odd - s * s - m * m - n * n + 2 * s * m + 2 * s * n + 2 * m * n) / 8


def test_reduced_rank_regression_has_its_learning_coefficient() -> None:
    m, n, h, r = 5, 5, 3, 1
    a, b = torch.zeros(h, m), torch.zeros(n, h)
    a[0, 0] = b[0, 0] = 1.0
    truth = b @ a

    def loss(weights: Any, rows: Tensor) -> Tensor:
        """Half the mean squared error on white inputs, beyond that of the truth."""
        return 0.5 * (weights["b"] @ weights["a"] - truth).square().sum()

    settings = Sampling(1000.0, 1e-4, 1.0, chains=64, burn_in=700, draws=700)
    found = llc(loss, {"a": a, "b": b}, nothing(64), settings)
    expected = aoyagi_watanabe(m, n, h, r)
    assert expected == 8.0 and (a.numel() + b.numel()) / 2 == 15.0
    assert found.value == pytest.approx(expected, rel=0.15)


def test_the_noise_of_rows_falls_out_of_the_difference() -> None:
    """Rows that shift the loss of weights and start alike change nothing."""
    random = torch.randn(200, 8, generator=torch.Generator().manual_seed(0))

    def loss(weights: Any, rows: Tensor) -> Tensor:
        return 0.5 * weights["w"].square().sum() + 100 * rows

    start = {"w": torch.zeros(3)}
    settings = Sampling(1000.0, 1e-4, 0.0, chains=8, burn_in=50, draws=150)
    noisy = llc(loss, start, lambda step: random[step], settings)
    plain = llc(loss, start, nothing(8), settings)
    assert noisy.value == pytest.approx(plain.value, rel=1e-3)
    assert torch.equal(start["w"], torch.zeros(3))


def test_chains_that_disagree_are_seen() -> None:
    random = np.random.default_rng(0)
    draws = torch.from_numpy(random.standard_normal((4, 500)))
    assert rhat(draws) == pytest.approx(1.0, abs=0.02)
    apart = draws + torch.tensor([0.0, 0.0, 0.0, 3.0])[:, None]
    assert rhat(apart) > 1.3
    drifting = draws + torch.linspace(0, 4, 500)
    assert rhat(drifting) > 1.3
    # The formula, written out for two chains of four draws.
    small = torch.tensor([[0.0, 1, 2, 5], [1, 3, 2, 2]], dtype=torch.float64)
    halves = np.array([[0, 1], [2, 5], [1, 3], [2, 2]], dtype=float)
    w, b = halves.var(1, ddof=1).mean(), halves.mean(1).var(ddof=1)
    assert rhat(small) == pytest.approx(np.sqrt(0.5 + b / w))
    with pytest.raises(InputError, match="R-hat"):
        rhat(torch.zeros(4))


def test_chains_that_run_away_and_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(TrainingError, match="Lower the step"):
        of_quadratic(2, Sampling(1000.0, 1.0, 0.0, chains=2, burn_in=0, draws=900))
    with pytest.raises(ConfigError, match="positive"):
        Sampling(-1.0)
    with pytest.raises(ConfigError, match="two"):
        Sampling(1.0, chains=1)
