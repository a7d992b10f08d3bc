"""A cube of d dimensions has d, wherever it lies in the space."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from interp.errors import InputError
from interp.figures.dimension import dimension_chart
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from probes.dimension import dimension, neighbours, participation_ratio, two_nn
from probes.passages import repeats
from tests.figures.spec import drawn


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cube(n: int, d: int, inside: int = 12, seed: int = 0) -> Tensor:
    """Uniform in a cube of d dimensions, turned in a larger space and far from its origin."""
    flat = torch.rand(n, d, generator=generator(seed), dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(inside, d, generator=generator(99), dtype=torch.float64))[0]
    return flat @ turn.T + 50.0


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_cube_has_its_dimension(d: int) -> None:
    found = two_nn(cube(4000, d))
    assert found.value == pytest.approx(d, rel=0.05)
    assert found.ci_low < found.value < found.ci_high
    assert (found.ci_high - found.ci_low) / found.value == pytest.approx(4 / 60, rel=0.1)


def test_a_torus_of_five_dimensions_has_five() -> None:
    """A cube without edges, near which rows have neighbours on one side only."""
    angle = 2 * math.pi * torch.rand(4000, 5, generator=generator(), dtype=torch.float64)
    assert two_nn(torch.cat([angle.cos(), angle.sin()], 1)).value == pytest.approx(5, rel=0.05)


def test_a_curve_that_fills_space_has_one_dimension() -> None:
    t = torch.rand(2000, generator=generator(), dtype=torch.float64) * 6
    curve = torch.stack([t.cos(), t.sin(), (2 * t).cos(), t], 1)
    assert two_nn(curve).value == pytest.approx(1, rel=0.05)
    assert participation_ratio(curve) > 1.5


def test_neighbours_are_those_of_brute_force() -> None:
    rows = torch.randn(200, 7, generator=generator(), dtype=torch.float64) * 1e-3 + 1e3
    distances = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
    distances.fill_diagonal_(math.inf)
    expected = distances.sort(1).values[:, :2]
    first, second = neighbours(rows)
    assert torch.equal(torch.stack([first, second], 1), expected) or torch.allclose(
        torch.stack([first, second], 1), expected, rtol=1e-8
    )


def test_the_estimate_is_that_of_a_peer() -> None:
    skdim = pytest.importorskip("skdim", exc_type=ImportError)
    rows = cube(1500, 3).numpy()
    theirs = skdim.id.TwoNN(discard_fraction=0.1).fit(rows).dimension_
    assert two_nn(torch.from_numpy(rows)).value == pytest.approx(theirs, rel=0.04)


def test_the_interval_of_exponential_ratios_holds_the_truth() -> None:
    """In many draws the 95 % interval misses about one in twenty."""
    missed = sum(
        not (f := two_nn(cube(300, 2, seed=seed))).ci_low <= 2 <= f.ci_high for seed in range(100)
    )
    assert missed <= 15


def test_scale_and_turns_do_not_matter_and_doubles_are_refused() -> None:
    rows = cube(500, 3)
    turn = torch.linalg.qr(torch.randn(12, 12, generator=generator(1), dtype=torch.float64))[0]
    one, other = two_nn(rows), two_nn(7 * rows @ turn)
    assert other.value == pytest.approx(one.value, rel=1e-8)
    assert other.scale == pytest.approx(7 * one.scale, rel=1e-8)
    with pytest.raises(InputError, match="equal"):
        two_nn(torch.cat([rows, rows[:1]]))
    with pytest.raises(InputError, match="three"):
        two_nn(rows[:2])


def test_few_rows_do_not_look_low_dimensional() -> None:
    """The plain ratio of isotropic noise is n d / (n + d): 20 of 40 dimensions on 40 rows."""
    ratios, plain = [], []
    for seed in range(40):
        rows = torch.randn(40, 40, generator=generator(seed), dtype=torch.float64)
        ratios.append(participation_ratio(rows))
        values = torch.linalg.eigvalsh(torch.cov(rows.T))
        plain.append(float(values.sum() ** 2 / values.square().sum()))
    assert np.mean(ratios) == pytest.approx(40, rel=0.05)
    assert np.mean(plain) == pytest.approx(20, rel=0.05)


def test_the_ratio_counts_directions() -> None:
    rows = torch.randn(5000, 9, generator=generator(), dtype=torch.float64)
    rows[:, 4:] = 0
    assert participation_ratio(rows) == pytest.approx(4, rel=0.02)
    assert participation_ratio(100 * rows + 3) == pytest.approx(participation_ratio(rows))


def test_every_layer_is_measured_at_every_scale() -> None:
    cfg = TransformerConfig(
        d_model=16, n_layers=2, n_heads=2, d_vocab=300, n_ctx=64, initializer_range=0.3
    )
    model = HookedTransformer(cfg).eval()
    examples = repeats(model, rows=16, length=40)
    frame = dimension(model, examples, rows=500)
    two = frame[frame["metric"] == "two_nn"]
    assert set(two["layer"]) == {0, 1, 2} and sorted(set(two["share"]))[-1] == 1
    last = two[two["layer"] == 2].sort_values("share")
    assert last["scale"].is_monotonic_decreasing  # more rows, nearer neighbours
    assert (frame["value"] > 0).all() and (frame["value"] <= 40).all()
    several = pd.concat([frame.assign(run="r", step=s) for s in (0, 100)])
    for figure in (dimension_chart(frame), dimension_chart(several, scheme="dark")):
        assert "layer" in figure.alt and "<svg" in drawn(figure.chart)
    few = repeats(model, rows=1, length=8)
    with pytest.raises(InputError, match="distinct rows"):
        dimension(model, few)
