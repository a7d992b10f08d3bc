"""Both halves of the noise scale are right on average, for any number of groups."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from interp.data.batch import IGNORED
from interp.errors import InputError
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from probes.gradient_noise import gradient_noise, noise_scale, summed_loss
from probes.passages import Passages, repeats


@pytest.mark.parametrize(("groups", "size"), [(3, 1), (8, 4)])
def test_the_parts_are_without_bias(groups: int, size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.tensor([1.0, -0.8, 0.5], dtype=torch.float64)
    spread = torch.tensor([1.0, 0.5, 2.0], dtype=torch.float64)
    found = []
    for _ in range(1200):
        rows = truth + spread * torch.randn(
            groups, size, 3, generator=generator, dtype=torch.float64
        )
        noise = noise_scale(rows.mean(1), size)
        found.append((noise.gradient, noise.trace))
    means, errors = np.mean(found, 0), np.std(found, 0) / np.sqrt(len(found))
    expected = (float(truth.square().sum()), float(spread.square().sum()))
    for mean, error, right in zip(means, errors, expected, strict=True):
        assert abs(mean - right) < 3 * error and error < 0.1 * right
    # The plain estimate, the norm of the mean gradient, would be wrong by this.
    assert expected[1] / (groups * size) > 3 * errors[0]


def test_the_scale_of_many_rows_is_that_of_their_distribution_and_lies_in_its_interval() -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.full((20,), 0.5, dtype=torch.float64)
    inside = 0
    for _ in range(60):
        rows = truth + 2 * torch.randn(16, 20, generator=generator, dtype=torch.float64)
        noise = noise_scale(rows, 1)
        inside += noise.ci_low <= 4 / 0.25 <= noise.ci_high
    assert inside >= 50
    big = truth + 2 * torch.randn(4000, 20, generator=generator, dtype=torch.float64)
    assert noise_scale(big, 1).scale == pytest.approx(16, rel=0.1)


def test_without_a_gradient_there_is_no_scale() -> None:
    rows = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])
    assert np.isnan(noise_scale(rows, 1).scale)
    with pytest.raises(InputError, match="three"):
        noise_scale(rows[:2], 1)


def test_a_model_gets_the_noise_of_its_rows_and_keeps_its_weights() -> None:
    cfg = TransformerConfig(
        d_model=8, n_layers=1, n_heads=2, d_vocab=20, n_ctx=32, initializer_range=0.3
    )
    model = HookedTransformer(cfg).eval()
    before = [p.clone() for p in model.parameters()]
    rows = [[3 + i, 5, 7 + i % 4, 2][: 2 + i % 3] for i in range(12)]
    labels = [[*row[1:], IGNORED] for row in rows]
    examples = Passages(rows, labels)
    found = gradient_noise(model, examples, groups=12)
    parameters = list(model.parameters())
    slopes, counts = [], []
    for row, label in zip(rows, labels, strict=True):
        loss = summed_loss(model(torch.tensor([row])), torch.tensor([label]))
        slopes.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)]))
        counts.append(len(row) - 1)
    single = noise_scale(torch.stack(slopes) / np.mean(counts), 1)
    assert found.scale == pytest.approx(single.scale, rel=1e-3) or (
        np.isnan(found.scale) and np.isnan(single.scale)
    )
    assert found.trace == pytest.approx(single.trace, rel=1e-3)
    assert found.tokens == pytest.approx(np.mean(counts)) and found.n == 12
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(p.grad is None for p in model.parameters())
    with pytest.raises(InputError, match="three"):
        gradient_noise(model, repeats(model, rows=2, length=16))
