"""Whether a model that adds modulo p keeps numbers as angles: the spectrum of its embeddings.

    python -m probes.fourier --run grokking --out fourier.parquet --chart fourier.html

A network that has understood a + b (mod p) embeds the number n by sines and cosines of 2 pi k n / p
for a few frequencies k, and adds angles (Nanda et al. 2023, arXiv 2301.05217). One that has only
remembered its pairs, or that is new, spreads the power over all frequencies.
"""

from __future__ import annotations

import argparse
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from interp.errors import InputError
from interp.figures.fourier import fourier_chart
from probes.frames import tidy
from probes.script import Script

TOP = 10
_TWINS = 20


def fourier(model: Any, modulus: int | None = None) -> pd.DataFrame:
    """The spectrum of the embeddings of the numbers 0 ... p - 1.

    Args:
        modulus: p; by default the number of answers that the model can give, `d_vocab_out`.

    Returns:
        A row `power` for each `frequency`: its share of all power; and a row `sparsity`: the share
        of the `TOP` strongest, with what embeddings drawn at random have as `chance`.

    Raises:
        InputError: the model has fewer tokens than numbers, or its embeddings do not vary.
    """
    p = int(getattr(model.cfg, "d_vocab_out", model.cfg.d_vocab)) if modulus is None else modulus
    if not 2 < p <= len(model.W_E):
        raise InputError(
            f"The modulus is {p}, and the model has {len(model.W_E)} tokens; it must be a whole "
            "number from 3 to that."
        )
    table = model.W_E[:p]
    if bool((table == table[0]).all()):
        raise InputError(f"The embeddings of the first {p} tokens are all the same.")
    power = spectrum(table)
    rows: list[dict[str, Any]] = [
        {"frequency": k, "metric": "power", "value": value}
        for k, value in enumerate((power / power.sum()).tolist(), 1)
    ]
    generator = torch.Generator().manual_seed(0)
    twins = torch.randn(_TWINS, p, table.shape[1], generator=generator)
    chance = sum(sparsity(spectrum(twin)) for twin in twins) / _TWINS
    rows.append(
        {"frequency": None, "metric": "sparsity", "value": sparsity(power), "chance": chance}
    )
    frame = pd.DataFrame(rows).astype({"frequency": "Int64"})
    return tidy(frame, site="hook_embed")


def spectrum(table: Tensor) -> Tensor:
    """The power of a table [p, d] at the frequencies 1 ... p // 2, [p // 2], summed over d.

    The constant part, frequency 0, is left out: it says nothing that tells numbers apart.
    """
    waves = torch.fft.rfft(table.detach().double(), dim=0)
    power = waves.abs().square().sum(1)
    if len(table) % 2 == 0:  # the last is its own mirror image; all others stand for two
        power[-1] /= 2
    varying: Tensor = power[1:]
    return varying


def sparsity(power: Tensor, top: int = TOP) -> float:
    """The share of the power that lies in the strongest frequencies, in [0, 1]."""
    strongest = power.topk(min(top, len(power))).values
    return float(strongest.sum() / power.sum())


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--modulus", type=int, metavar="P", help="by default the number of the model's answers"
    )


SCRIPT = Script(
    name="fourier",
    summary="Whether a model that adds modulo p keeps numbers as angles of a few frequencies.",
    examples="  python -m probes.fourier --run grokking --out fourier.parquet --chart fourier.html",
    measure=lambda model, options: fourier(model, options.modulus),
    chart=lambda frame, scheme: fourier_chart(frame, scheme=scheme),
    add_arguments=_arguments,
)


if __name__ == "__main__":
    raise SystemExit(SCRIPT.main())
