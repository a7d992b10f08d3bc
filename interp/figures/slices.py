"""How a model fares on parts of a table of examples, beside the whole."""

from __future__ import annotations

import pandas as pd

from interp.errors import InputError
from interp.figures.figure import Figure, finite, require_columns
from interp.figures.intervals import Values, rows_chart
from interp.figures.labels import count, literal
from interp.figures.theme import Scheme


def slices_chart(
    frame: pd.DataFrame,
    scheme: Scheme = "light",
    *,
    title: str,
    whole: float,
    share: bool = True,
) -> Figure:
    """A row for each slice with its interval; the dashed line is the whole table.

    Args:
        frame: `label` (the slice), `value`, `ci_low`, `ci_high` (NaN for none), `n`.
        title: what the values are.
        whole: the value of all examples together.
        share: values are shares, shown in per cent.

    Raises:
        InputError: columns are missing, or a value is not finite.
    """
    require_columns(frame, ("label", "value", "ci_low", "ci_high", "n"), "slices")
    finite(frame["value"], "column 'value' of the slices")
    values = Values(title, reference=whole, share=share)
    safe = frame.assign(label=[literal(str(label)) for label in frame["label"]], group="")
    low, high = safe.loc[safe["value"].idxmin()], safe.loc[safe["value"].idxmax()]
    told = f"{title[:1].upper()}{title[1:]}: {values.text(whole)} of the whole table"
    if len(safe) > 1:
        told += (
            f"; in {count(len(safe), 'slice')} from {values.sure(low)} in “{low['label']}” to "
            f"{values.sure(high)} in “{high['label']}”"
        )
    return Figure(rows_chart(safe, values, scheme), told + ".", frame)


_MOST = 24  # slices that are drawn
_WORSE, _OTHER = "Worse than elsewhere, beyond chance", "Not worse beyond chance"
_SHARES = ("accuracy", "f1", "rougeL")
_NOTE = (
    "Dashed: all examples. Each mark is one slice, the worst first; the intervals hold all at once "
    "with a probability of 95%."
)


def worst_slices_chart(frame: pd.DataFrame, scheme: Scheme = "light") -> Figure:
    """The slices of one model, the worst first: those that are worse beyond chance above the rest.

    Args:
        frame: as `probes.slices` makes it: `by`, `slice`, `worse`, `metric`, `value`, `ci_low`,
            `ci_high`, `n`; the row of all examples has an empty `by`.

    Raises:
        InputError: columns are missing, several models, or no slice.
    """
    needed = ("by", "slice", "worse", "metric", "value", "ci_low", "ci_high", "n")
    require_columns(frame, needed, "slices")
    frame = frame.reset_index(drop=True)  # rows are told apart by their place below
    every, cells = frame[frame["by"] == ""], frame[frame["by"] != ""]
    if len(every) != 1:
        raise InputError(f"The frame of the slices is of {len(every)} models; it is drawn of one.")
    if not len(cells):
        raise InputError("The frame has no slices; there are too few examples for any.")
    finite(cells["value"], "column 'value' of the slices")
    whole, metric = every.iloc[0], str(every["metric"].iloc[0])
    title = literal(metric.replace("_", " "))
    values = Values(title, reference=float(whole["value"]), share=metric in _SHARES)
    label = [literal(f"{by}: {name}") for by, name in zip(cells["by"], cells["slice"], strict=True)]
    rows = cells.assign(label=label, part=cells["worse"].map({True: _WORSE, False: _OTHER}))
    rows = rows.sort_values("worse", ascending=False, kind="stable").head(_MOST)
    worst = rows.loc[cells.index[0]] if cells.index[0] in rows.index else rows.iloc[0]
    n, every_slice = count(int(whole["n"]), "example"), count(len(cells), "slice")
    told = (
        f"{title[:1].upper()}{title[1:]}: {values.sure(whole)} of {n}; the worst of {every_slice} "
        f"is “{worst['label']}” with {values.sure(worst)}. {int(cells['worse'].sum())} of them are "
        "worse than elsewhere beyond chance."
    )
    return Figure(rows_chart(rows, values, scheme, note=_NOTE), told, frame)
