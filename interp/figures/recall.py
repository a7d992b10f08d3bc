"""Which facts a model recalls, beside what the most frequent answer gets right."""

from __future__ import annotations

import pandas as pd

from interp.errors import InputError
from interp.figures.course import MOST, course_chart
from interp.figures.figure import Figure, finite, require_columns
from interp.figures.intervals import Values, model_names, rows_chart
from interp.figures.labels import percent
from interp.figures.theme import Scheme

_SHARE = Values("share of facts", domain=(0.0, 1.0))
_NAMES = {
    "accuracy": "recalled",
    "consistency": "the same by two patterns",
    "majority": "most frequent object",
    "chance": "blind choice",
}


def recall_chart(frame: pd.DataFrame, scheme: Scheme = "light") -> Figure:
    """Accuracy, consistency and the majority's accuracy: by relation, or over a training.

    Args:
        frame: as `probes.recall` makes it, with the keys of its models: `run`, `step`, `task`
            (missing for all), `metric`, `value`, `ci_low`, `ci_high`, `n`.

    Raises:
        InputError: columns are missing, or no fact was asked.
    """
    names = ("run", "step", "task", "metric", "value", "ci_low", "ci_high", "n")
    require_columns(frame, names, "facts")
    cells = frame[frame["metric"].isin(_NAMES)]
    if not (cells["metric"] == "accuracy").any():
        raise InputError("The frame of the facts has no accuracy; there is nothing to draw.")
    finite(cells["value"], "shares of facts")
    cells = cells.assign(group=cells["metric"].map(_NAMES))
    models = cells[["run", "step"]].drop_duplicates()
    whole = cells[cells["task"].isna()]
    if cells["step"].nunique() > 1 and len(_NAMES) * models["run"].nunique() <= MOST:
        chart = course_chart(whole, _SHARE, scheme)
    elif len(models) == 1:
        rows = cells.assign(label=cells["task"].fillna("all relations"))
        order = rows[rows["metric"] == "accuracy"].sort_values(
            ["task", "value"], ascending=[True, False], key=_none_first
        )
        place = {label: i for i, label in enumerate(order["label"])}
        rows = rows.assign(place=rows["label"].map(place)).sort_values("place", kind="stable")
        chart = rows_chart(rows, _SHARE, scheme, groups=list(_NAMES.values()))
    else:
        label = model_names(whole)
        chart = rows_chart(whole.assign(label=label), _SHARE, scheme, groups=list(_NAMES.values()))
    return Figure(chart, _finding(whole), frame.loc[cells.index])


def _none_first(column: pd.Series) -> pd.Series:
    """Sorts the row for all before the others, which are by value alone."""
    return column.notna().astype(int) if column.name == "task" else column


def _finding(whole: pd.DataFrame) -> str:
    parts = []
    for run, part in whole.groupby("run", sort=False):
        last = part[part["step"].isna() | (part["step"] == part["step"].max())]
        found = {row.metric: row for row in last.itertuples()}
        said = f"{run} recalls {_SHARE.sure(found['accuracy'])} of the facts"
        said += "; the most frequent object of each relation would be right in "
        said += f"{percent(found['majority'].value)}, and a blind choice in "
        said += percent(found["chance"].value)
        if "consistency" in found:
            said += f". Two patterns agree in {percent(found['consistency'].value)}"
        first = part[(part["metric"] == "accuracy") & (part["step"] == part["step"].min())]
        if len(first) and part["step"].nunique() > 1:
            said += f". At step {first.iloc[0]['step']:,} it was {percent(first.iloc[0]['value'])}"
        parts.append(said + ".")
    return " ".join(parts)
