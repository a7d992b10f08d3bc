"""Whether a model is right as often as it says: bins of one model, the error over a training."""

from __future__ import annotations

import pandas as pd

from interp.errors import InputError
from interp.figures.course import MOST, course_chart
from interp.figures.figure import Figure, require_columns
from interp.figures.intervals import Values, model_names, rows_chart
from interp.figures.labels import number
from interp.figures.reliability import reliability_chart
from interp.figures.theme import Scheme

_ERROR = Values("expected calibration error")
_NAMES = {False: "as it is", True: "with a fitted temperature"}


def calibration_chart(frame: pd.DataFrame, scheme: Scheme = "light") -> Figure:
    """The reliability of one model as it is; of several, the calibration error before and after a
    temperature.

    Args:
        frame: as `probes.calibration` makes it, with the keys of its models: `run`, `step`,
            `scaled`, `bin`, `confidence`, `metric`, `value`, `ci_low`, `ci_high`, `n`.

    Raises:
        InputError: columns are missing, or what `reliability_chart` refuses.
    """
    names = ("run", "step", "scaled", "bin", "confidence", "metric", "value", "ci_low", "ci_high")
    require_columns(frame, (*names, "n"), "calibration")
    errors = frame[frame["metric"] == "ece"]
    if not len(errors):
        raise InputError("The frame of the calibration has no ece; there is nothing to draw.")
    errors = errors.assign(group=errors["scaled"].map(_NAMES))
    models = errors[["run", "step"]].drop_duplicates()
    said = _finding(frame)
    if len(models) == 1:
        bins = frame[frame["bin"].notna() & ~frame["scaled"].astype(bool)]
        drawn = reliability_chart(bins, scheme=scheme)
        return Figure(drawn.chart, f"{drawn.alt} {said}", drawn.frame)
    if errors["step"].nunique() > 1 and 2 * models["run"].nunique() <= MOST:
        several = models["run"].nunique() > 1
        group = errors["run"] + ", " + errors["group"] if several else errors["group"]
        chart = course_chart(errors.assign(group=group), _ERROR, scheme)
    else:
        label = model_names(errors)
        groups = list(_NAMES.values())
        chart = rows_chart(errors.assign(label=label), _ERROR, scheme, groups=groups)
    return Figure(chart, said, frame.loc[errors.index])


def _finding(frame: pd.DataFrame) -> str:
    parts = []
    for run, part in frame.groupby("run", sort=False):
        last = part[part["step"].isna() | (part["step"] == part["step"].max())]
        errors = last[last["metric"] == "ece"].set_index("scaled")
        fitted = last.loc[last["metric"] == "temperature", "value"].iloc[0]
        parts.append(
            f"{run}: the calibration error is {_ERROR.sure(errors.loc[False])}; with a "
            f"temperature of {number(float(fitted))} it is {_ERROR.sure(errors.loc[True])}."
        )
    return " ".join(parts)
