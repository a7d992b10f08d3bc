"""What matters to a model over a whole data set: the units with the most of all importance."""

from __future__ import annotations

from typing import Any

import pandas as pd

from interp.errors import InputError
from interp.figures.figure import Figure, finite, require_columns
from interp.figures.intervals import Values, model_names, rows_chart
from interp.figures.labels import percent, shorten, visible
from interp.figures.theme import Scheme

_MASS = Values("part of all importance, over texts that count alike")
_MOST = 24  # units that are drawn


def importance_chart(frame: pd.DataFrame, scheme: Scheme = "light") -> Figure:
    """The units with the largest masses, a mark for each model; the others stay in the table.

    Args:
        frame: as `probes.importance` makes it, with the keys of its models: `run`, `step`, the
            unit (`token`, `position`, or `site`, `layer` and `head`), `metric`, `value`, `ci_low`,
            `ci_high`, `n`.

    Raises:
        InputError: columns are missing, or more than five models.
    """
    names = ("run", "step", "metric", "value", "ci_low", "ci_high", "n")
    require_columns(frame, names, "importance")
    cells = frame[frame["metric"] == "mass"]
    if not len(cells):
        raise InputError("The frame of the importance has no masses; there is nothing to draw.")
    finite(cells["value"], "masses")
    cells = cells.assign(
        label=[_unit(row) for row in cells.itertuples()],
        group=model_names(cells),
    )
    groups = list(dict.fromkeys(cells["group"]))
    if len(groups) > 5:
        raise InputError(f"{len(groups)} models do not fit into one picture; choose some --steps.")
    total = cells.groupby("label")["value"].sum()
    order = total.sort_values(ascending=False, kind="stable").index[:_MOST]
    place = {label: i for i, label in enumerate(order)}
    rows = cells[cells["label"].isin(place)]
    rows = rows.assign(place=rows["label"].map(place)).sort_values("place", kind="stable")
    note = "" if len(total) <= _MOST else f"The {_MOST} largest of {len(total):,}."
    chart = rows_chart(rows, _MASS, scheme, groups=groups, note=note)
    return Figure(chart, _finding(cells, groups), frame.loc[rows.index])


def _unit(row: Any) -> str:
    """What a unit is called."""
    where = getattr(row, "side", "input")
    before = "" if where == "input" else f"{where} "
    if hasattr(row, "token"):
        return f"{before}{visible(str(row.token))}"
    if hasattr(row, "position"):
        return f"{before}{int(row.position)}"
    layer = "" if pd.isna(row.layer) else f" {int(row.layer)}"
    return f"{row.site}{layer}" if pd.isna(row.head) else f"head {int(row.layer)}.{int(row.head)}"


def _finding(cells: pd.DataFrame, groups: list[str]) -> str:
    parts = []
    for group in groups:
        mine = cells[cells["group"] == group].sort_values("value", ascending=False)
        top = mine.head(3)
        named = ", ".join(
            f"“{shorten(row.label, 40)}” ({percent(row.value)})" for row in top.itertuples()
        )
        parts.append(f"{group}: of {len(mine):,} units the most importance has {named}.")
    return " ".join(parts)
