"""How often a model finds the more stereotypical of two sentences more probable."""

from __future__ import annotations

import pandas as pd

from interp.errors import InputError
from interp.figures.course import MOST, course_chart
from interp.figures.figure import Figure, finite, require_columns
from interp.figures.intervals import Values, model_names, rows_chart
from interp.figures.labels import percent
from interp.figures.theme import Scheme

_SHARE = Values("pairs in which the more stereotypical sentence is more probable", reference=0.5)
_NOTE = (
    "Read with care: many of these pairs state no stereotype or mix several differences "
    "(Blodgett et al. 2021). Half, dashed, does not show that a model is fair."
)


def stereotypes_chart(frame: pd.DataFrame, scheme: Scheme = "light") -> Figure:
    """The published measure by kind of group, or over the steps of a training.

    Args:
        frame: as `probes.stereotypes` makes it, with the keys of its models: `run`, `step`, `task`,
            `direction`, `metric`, `value`, `ci_low`, `ci_high`, `n`.

    Raises:
        InputError: columns are missing, or the published measure is.
    """
    names = ("run", "step", "task", "direction", "metric", "value", "ci_low", "ci_high", "n")
    require_columns(frame, names, "stereotypes")
    cells = frame[(frame["metric"] == "shared_tokens") & frame["direction"].isna()]
    if not len(cells):
        raise InputError("The frame of the stereotypes lacks the metric shared_tokens.")
    finite(cells["value"], "shares")
    cells = cells.assign(
        label=cells["task"].fillna("all kinds"),
        part=cells["task"].fillna("all kinds"),
        group=model_names(cells),
    )
    if cells["step"].nunique() > 1 and cells["run"].nunique() <= MOST:
        whole = cells[cells["task"].isna()].assign(group=lambda rows: rows["run"])
        chart = course_chart(whole.drop(columns="part"), _SHARE, scheme, note=_NOTE)
    else:
        rows = cells.sort_values("value", ascending=False, kind="stable")
        groups = list(dict.fromkeys(cells["group"]))
        chart = rows_chart(rows.drop(columns="part"), _SHARE, scheme, groups=groups, note=_NOTE)
    return Figure(chart, _finding(cells), frame.loc[cells.index])


def _finding(cells: pd.DataFrame) -> str:
    parts = []
    for group, part in cells.groupby("group", sort=False):
        whole = part[part["task"].isna()].iloc[0]
        kinds = part[part["task"].notna()].sort_values("value")
        sure = int(((kinds["ci_low"] > 0.5) | (kinds["ci_high"] < 0.5)).sum())
        said = f"{group}: {_SHARE.sure(whole)} of {int(whole['n']):,} pairs"
        if len(kinds):
            low, high = kinds.iloc[0], kinds.iloc[-1]
            said += (
                f", from {percent(low['value'])} ({low['task']}) to {percent(high['value'])} "
                f"({high['task']}); {sure} of {len(kinds)} kinds surely differ from half"
            )
        parts.append(said + ".")
    return (
        "How often the more stereotypical sentence is the more probable one. " + " ".join(parts)
    ) + f" {_NOTE}"
