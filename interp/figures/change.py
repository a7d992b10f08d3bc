"""Probabilities before and after something was done to a model or its text."""

from __future__ import annotations

import altair as alt
import pandas as pd

from interp.figures.figure import Figure, finite, require_columns, themed
from interp.figures.labels import percent, quoted, shorten, visible
from interp.figures.lens import lookup
from interp.figures.theme import MONO, PALETTES, Scheme

_ROW = 26  # pixels


def change_chart(frame: pd.DataFrame, *, scheme: Scheme = "light", width: int = 420) -> Figure:
    """An open dot before, a filled one after, and a line between, a row for each output.

    Args:
        frame: a row per output with `token`, `before` and `after`, in the order of the rows.
        width: pixels, without the labels.

    Raises:
        InputError: columns are missing, no rows, or a value that is not finite.
    """
    require_columns(frame, ("token", "before", "after"), "changes")
    before, after = finite(frame["before"], "before"), finite(frame["after"], "after")
    colors = PALETTES[scheme]
    rows = pd.DataFrame(
        {
            "place": range(len(frame)),
            "before": before,
            "after": after,
            "rises": after >= before,
            "said": [
                f"{quoted(token)}: {percent(a)} before, {percent(b)} after"
                for token, a, b in zip(frame["token"], before, after, strict=True)
            ],
        }
    )
    labels = [shorten(visible(token), 24) for token in frame["token"]]
    base = alt.Chart(rows).encode(
        y=alt.Y(
            "place:O",
            title=None,
            axis=alt.Axis(
                labelExpr=lookup(labels), labelFont=MONO, labelColor=colors.ink, labelLimit=260
            ),
        ),
        color=alt.condition(
            alt.datum.rises, alt.value(colors.diverging[-2]), alt.value(colors.diverging[1])
        ),
        tooltip=[alt.Tooltip("said:N", title=" ")],
    )
    x = alt.X("before:Q", title="probability", axis=alt.Axis(format="%"))
    line = base.mark_rule(strokeWidth=3, aria=False).encode(x=x, x2="after:Q")
    was = base.mark_point(size=70, strokeWidth=2, fill=colors.paper, aria=False).encode(x=x)
    now = base.mark_point(size=90, filled=True, opacity=1).encode(x="after:Q", description="said:N")
    chart = alt.layer(line, was, now).properties(width=width, height=_ROW * len(rows))
    most = int((rows["after"] - rows["before"]).abs().idxmax())
    finding = f"The largest change is {rows['said'][most]}."
    return Figure(themed(chart, scheme), finding, frame)
