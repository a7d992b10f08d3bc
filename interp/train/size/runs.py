"""Runs that somebody has recorded: a CSV file, read into what `fit` takes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from interp.errors import InputError
from interp.train.size.fitting import fit
from interp.train.size.laws import ScalingLaw, Unit
from interp.train.size.parameters import Counting, check_counting
from interp.untrusted import MALFORMED, read_text

if TYPE_CHECKING:
    import pandas as pd


def fit_file(path: Path, counting: Counting = "matrices") -> ScalingLaw:
    """The law of the runs in a CSV file.

    Columns: `tokens`; `parameters_COUNTING`, or `parameters` that are counted like this; `loss`
    (nats per token) or, where that is absent, `bits_per_byte`; `d_vocab` if known. With both
    losses, the text's bytes per token follow. Other columns are left alone.

    Raises:
        InputError: see `fit`; a file that is missing or no table; or runs of several vocabularies
            whose loss is per token.
    """
    check_counting(counting)
    frame = _read(path)
    unit: Unit = "nats per token" if "loss" in frame.columns else "bits per byte"
    ours = f"parameters_{counting}"
    names = {ours: "parameters"} if ours in frame.columns else {}
    if unit == "bits per byte":
        names["bits_per_byte"] = "loss"
    runs = frame.drop(columns=[name for name in names.values() if name in frame.columns])
    runs = (runs if names else frame).rename(columns=names)
    return fit(
        runs,
        counting=counting,
        unit=unit,
        source=f"{len(frame)} runs in {path.name}",
        d_vocab=_vocabulary(frame, unit, path),
        bytes_per_token=_bytes_per_token(frame),
    )


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_csv(io.StringIO(read_text(path)))
    except MALFORMED as error:  # pandas' own are ValueErrors
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"The runs in {path} cannot be read: {reason}. Give a CSV file with a header."
        ) from error


def _vocabulary(frame: pd.DataFrame, unit: Unit, path: Path) -> int | None:
    if "d_vocab" not in frame.columns:
        return None
    sizes = sorted(frame["d_vocab"].dropna().unique())
    if len(sizes) > 1 and unit == "nats per token":
        raise InputError(
            f"The runs in {path} have vocabularies of {', '.join(f'{n:g}' for n in sizes)} tokens; "
            "their losses per token do not compare. Keep one, or give bits_per_byte and no loss."
        )
    return int(sizes[0]) if len(sizes) == 1 else None


def _bytes_per_token(frame: pd.DataFrame) -> float | None:
    if not {"loss", "bits_per_byte"} <= set(frame.columns):
        return None
    import numpy as np

    ratio = (frame["loss"] / frame["bits_per_byte"]).median() / np.log(2)
    return float(ratio) if np.isfinite(ratio) and ratio > 0 else None
