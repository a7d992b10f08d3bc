"""Sines are found, noise is not."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pandas as pd
import pytest
import torch

from interp.errors import InputError
from interp.figures.fourier import fourier_chart
from interp.model.transformer import HookedTransformer
from interp.pretrained.folder import save_folder
from interp.zoo.recipes import grokking
from probes.fourier import SCRIPT, fourier, sparsity, spectrum
from tests.figures.spec import drawn

P = 113


def waves(*frequencies: int, d: int = 16, p: int = P) -> torch.Tensor:
    """Sines and cosines of some frequencies in random directions, [p, d], around a mean."""
    generator = torch.Generator().manual_seed(0)
    angle = torch.arange(p).double()[:, None] * torch.tensor(frequencies) * (2 * math.pi / p)
    table = torch.cat([angle.cos(), angle.sin()], 1)
    turn = torch.randn(table.shape[1], d, generator=generator, dtype=torch.float64)
    return table @ turn + 3.0


def model(table: torch.Tensor) -> HookedTransformer:
    made = HookedTransformer(grokking.CONFIG.replace(d_model=table.shape[1], n_heads=1)).double()
    with torch.no_grad():
        made.embed.weight[: len(table)] = table
        made.embed.weight[-1] = 100.0  # `=` is no number
    return made


def value(frame: pd.DataFrame, metric: str) -> pd.Series:
    return frame.loc[frame["metric"] == metric, "value"].reset_index(drop=True)


def test_sines_of_ten_frequencies_are_wholly_sparse() -> None:
    table = waves(3, 14, 15, 22, 27, 35, 41, 48, 50, 56)
    assert sparsity(spectrum(table)) == pytest.approx(1.0, abs=1e-12)
    frame = fourier(model(table))
    assert value(frame, "sparsity").item() == pytest.approx(1.0, abs=1e-12)
    power = value(frame, "power")
    assert len(power) == 56 and power.sum() == pytest.approx(1.0)
    found = set(frame.loc[(frame["metric"] == "power") & (frame["value"] > 1e-9), "frequency"])
    assert found == {3, 14, 15, 22, 27, 35, 41, 48, 50, 56}


def test_an_eleventh_frequency_is_left_out() -> None:
    table = waves(*range(1, 12), d=64)
    power = spectrum(table)
    weakest = power[:11].min() / power.sum()
    assert sparsity(power) == pytest.approx(1 - float(weakest)) and weakest > 0.01


def test_a_random_table_has_about_its_share() -> None:
    random = torch.randn(P, 128, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    frame = fourier(model(random))
    found = value(frame, "sparsity").item()
    chance = frame.loc[frame["metric"] == "sparsity", "chance"].item()
    # Ten of 56, and a little more since the strongest are chosen.
    assert 10 / 56 < found < 10 / 56 * 1.35
    assert found == pytest.approx(chance, rel=0.1)


@pytest.mark.parametrize("p", [12, 13])
def test_the_power_is_all_of_the_variance(p: int) -> None:
    """Parseval's theorem, for odd and even moduli."""
    table = torch.randn(p, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    away = table - table.mean(0)
    assert float(spectrum(table).sum()) == pytest.approx(p * float(away.square().sum()) / 2)


def test_the_order_of_numbers_matters_and_a_turn_of_the_space_does_not() -> None:
    table = waves(5, 9)
    turned = table @ torch.linalg.qr(torch.randn(16, 16, dtype=torch.float64))[0]
    assert torch.allclose(spectrum(turned), spectrum(table))
    shuffled = table[torch.randperm(P, generator=torch.Generator().manual_seed(0))]
    assert sparsity(spectrum(shuffled)) < 0.5


def test_a_wrong_modulus_is_refused() -> None:
    for p in (2, 115):
        with pytest.raises(InputError, match="modulus"):
            fourier(model(waves(3)), p)
    with pytest.raises(InputError, match="all the same"):
        fourier(model(torch.ones(P, 16)))


def test_the_chart_tells_one_model_from_a_training() -> None:
    sparse, random = fourier(model(waves(3, 5))), fourier(model(torch.randn(P, 16)))
    one = fourier_chart(sparse)
    assert "hold 100% of the power" in one.alt
    both = pd.concat([random.assign(run="g", step=0), sparse.assign(run="g", step=2000)])
    several = fourier_chart(both, scheme="dark")
    assert "At the first of 2 checkpoints" in several.alt and "at the end" in several.alt
    for figure in (one, several):
        assert "<svg" in drawn(figure.chart)


def test_the_script_measures_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_folder(model(waves(3, 5)), tmp_path / "sines")
    chart = tmp_path / "chart.html"
    assert SCRIPT.main(["--run", str(tmp_path / "sines"), "--chart", str(chart), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows[-1]["metric"] == "sparsity" and rows[-1]["value"] > 0.999
    assert "ten strongest frequencies" in chart.read_text()
