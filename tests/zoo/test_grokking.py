"""The zoo suite `grokking`: remembered first, understood later, as angles of few frequencies."""

from __future__ import annotations

import pytest
import torch

from interp.model.transformer import HookedTransformer
from interp.train.run import Run
from interp.zoo.recipes.grokking import source
from probes.fourier import fourier


@pytest.fixture(scope="module")
def run() -> Run:
    return Run.open("grokking")


def accuracy(model: HookedTransformer, split: str) -> float:
    batch = source(split).batch(0)
    with torch.no_grad():
        guesses = model(batch.inputs["tokens"])[:, -1].argmax(-1)
    labels = batch.labels[:, -1] if batch.labels.ndim == 2 else batch.labels
    return float((guesses == labels).float().mean())


def test_it_remembers_long_before_it_understands(run: Run) -> None:
    found = {step: (accuracy(m, "train"), accuracy(m, "test")) for step, m in run}
    assert max(found[0]) < 0.05
    assert found[1000][0] == 1.0 and found[1000][1] < 0.05
    assert found[7000][1] < 0.3 < 0.6 < found[8000][1]
    assert found[12_000] == (1.0, 1.0)


def test_it_adds_angles_of_few_frequencies(run: Run) -> None:
    def sparsity(step: int) -> float:
        frame = fourier(run.load(step), 113)
        return float(frame.loc[frame["metric"] == "sparsity", "value"].iloc[0])

    assert sparsity(1000) < 0.35 and sparsity(12_000) > 0.9


def test_any_sum_is_right() -> None:
    model = Run.open("grokking").final
    a, b = torch.randint(113, (2, 200), generator=torch.Generator().manual_seed(5))
    tokens = torch.stack([a, b, torch.full_like(a, 113)], 1)
    assert torch.equal(model(tokens)[:, -1].argmax(-1), (a + b) % 113)
