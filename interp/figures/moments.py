"""What a chart calls the models of a frame: by their step, by their name, or by both."""

from __future__ import annotations

import pandas as pd


def model_labels(frame: pd.DataFrame, suffix: str = "") -> list[str]:
    """A name for the model of each row, as short as tells the models of the frame apart.

    Args:
        frame: with or without the columns `run` and `step`.
        suffix: of those columns, for frames that compare two models in a row.
    """
    n = len(frame)
    runs = list(frame["run" + suffix]) if "run" + suffix in frame else [""] * n
    steps = list(frame["step" + suffix]) if "step" + suffix in frame else [pd.NA] * n
    names = [str(run) for run in runs]
    moments = ["" if pd.isna(step) else f"step {int(step):,}" for step in steps]
    if not any(moments):
        return names
    if len(set(names)) == 1:
        return moments
    return [f"{name}, {moment}".strip(", ") for name, moment in zip(names, moments, strict=True)]
