"""How a model fares on parts of a table of examples, beside the whole."""

from __future__ import annotations

import pandas as pd

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
