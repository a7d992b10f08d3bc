"""How many answers change without each part, beside a random change of the same size."""

from __future__ import annotations

from typing import Any

import pandas as pd

from interp.errors import InputError
from interp.figures.figure import Figure, finite, require_columns
from interp.figures.intervals import Values, model_names, rows_chart
from interp.figures.theme import Scheme

_CHANGED = Values("share of answers that become others")
_GROUPS = {
    "changed": "without the part",
    "changed, chance": "changed as much in a random direction",
}
_MOST = 24  # parts that are drawn


def ablation_chart(frame: pd.DataFrame, scheme: Scheme = "light") -> Figure:
    """The parts without which the most answers change, with what chance of that size does.

    Args:
        frame: as `probes.ablation` makes it, with the keys of its models: `run`, `step`, `site`,
            `layer`, `head`, `metric`, `value`, `ci_low`, `ci_high`, `n`.

    Raises:
        InputError: columns are missing, or no part was taken away.
    """
    names = ("run", "step", "site", "layer", "head", "metric", "value", "ci_low", "ci_high", "n")
    require_columns(frame, names, "ablation")
    cells = frame[frame["metric"].isin(list(_GROUPS))]
    if not len(cells):
        raise InputError("The frame of the ablation has no parts; there is nothing to draw.")
    finite(cells["value"], "shares")
    cells = cells.assign(
        label=[part_name(row) for row in cells.itertuples()],
        group=cells["metric"].map(_GROUPS),
        part=model_names(cells),
    )
    own = cells[cells["metric"] == "changed"].sort_values("value", ascending=False, kind="stable")
    kept = {
        (part, label)
        for part, mine in own.groupby("part", sort=False)
        for label in mine["label"].head(_MOST)
    }
    chosen = [key in kept for key in zip(cells["part"], cells["label"], strict=True)]
    note = "" if all(chosen) else f"The {_MOST} parts that change the most."
    drawn = cells[chosen]
    chart = rows_chart(drawn, _CHANGED, scheme, groups=list(_GROUPS.values()), note=note)
    return Figure(chart, _finding(cells), frame.loc[drawn.index])


def part_name(row: Any) -> str:
    """What a part is called: `head 2.3` is the fourth head of the third layer."""
    if pd.isna(row.head):
        return f"{row.site} {int(row.layer)}"
    return f"{row.site} {int(row.layer)}.{int(row.head)}"


def _finding(cells: pd.DataFrame) -> str:
    parts = []
    for model, mine in cells.groupby("part", sort=False):
        own = mine[mine["metric"] == "changed"]
        top = own.loc[own["value"].idxmax()]
        beside = mine[(mine["metric"] == "changed, chance") & (mine["label"] == top["label"])]
        parts.append(
            f"{model}: of {len(own)} parts {top['label']} changes the most answers, "
            f"{_CHANGED.sure(top)}; a random change of the same size, "
            f"{_CHANGED.sure(beside.iloc[0])}."
        )
    return " ".join(parts)
