from __future__ import annotations

import pytest
import torch
from torch import Tensor

from interp.errors import ConfigError, InputError
from probes.dictionary import Coder
from probes.dictionary.objective import Gated
from probes.dictionary.settings import Settings
from tests.probes.dictionary.planted import random_coder


@pytest.mark.parametrize("k", [None, 3])
def test_the_code_is_what_its_definition_says(k: int | None) -> None:
    coder = random_coder(k=k)
    x = torch.randn(2, 5, coder.d_in, dtype=torch.float64)
    z = coder.encode(x)
    for row, code in zip(x.flatten(0, 1), z.flatten(0, 1), strict=True):
        before = (row @ coder.W_enc + coder.b_enc).tolist()
        if k is None:
            assert coder.threshold is not None
            limits = coder.threshold.tolist()
            kept = [b if b > t else 0.0 for b, t in zip(before, limits, strict=True)]
        else:
            least = sorted(before)[-k]
            kept = [b if b >= max(least, 1e-300) else 0.0 for b in before]
        assert torch.allclose(code, torch.tensor(kept, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(coder(x), coder.decode(z), atol=1e-12)
    assert (z >= 0).all()


def test_a_gated_code_is_a_thresholded_one() -> None:
    """Rajamanoharan et al. 2024: with tied weights, gates are thresholds."""
    trainee = Gated(6, 6, True, Settings(kind="gated", latents=12, l0=3)).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in (trainee.b_enc, trainee.b_mag, trainee.r_mag):
            parameter.normal_(generator=generator)
    x = torch.randn(50, 6, dtype=torch.float64, generator=generator)
    seen = x @ trainee.encoder.t()
    gates = seen + trainee.b_enc > 0
    expected = torch.where(gates, (seen * trainee.r_mag.exp() + trainee.b_mag).relu(), 0.0)
    use = trainee.in_use()
    value = seen * use["scale"] + use["bias"]
    found = torch.where(value > use["threshold"], value, 0.0)
    assert (expected > 0).any() and (expected == 0).any()
    assert torch.allclose(found, expected, atol=1e-12)


def test_other_precisions_come_back_as_they_came() -> None:
    coder = random_coder(k=2).to(torch.float32)
    x = torch.randn(4, coder.d_in)
    assert coder(x.bfloat16()).dtype == torch.bfloat16
    assert coder(x).dtype == torch.float32


def parts(**changes: Tensor | int | None) -> dict[str, object]:
    coder = random_coder(k=2)
    names = ("W_enc", "b_enc", "W_dec", "b_dec", "site", "target", "k", "threshold")
    return {name: getattr(coder, name) for name in names} | changes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"b_enc": torch.zeros(3)}, "b_enc has shape"),
        ({"W_dec": torch.zeros(3, 6)}, "W_dec has shape"),
        ({"b_dec": torch.zeros(1)}, "b_dec has shape"),
        ({"W_enc": torch.zeros(3)}, "must be matrices"),
        ({"k": None}, "either `k` or a `threshold`"),
        ({"threshold": torch.zeros(12)}, "either `k` or a `threshold`"),
        ({"k": 99}, "k is 99"),
        ({"k": None, "threshold": -torch.ones(12)}, "negative"),
        ({"b_dec": torch.full((6,), torch.nan)}, "b_dec .* not finite"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Coder(**parts(**changes))  # type: ignore[arg-type]


def test_activations_of_another_width_are_refused() -> None:
    with pytest.raises(InputError, match="width 5; this dictionary reads 6"):
        random_coder(k=2)(torch.zeros(1, 5))
