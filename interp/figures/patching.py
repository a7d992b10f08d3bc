"""Maps of what comes back when parts of one run are put into another, layer by place."""

from __future__ import annotations

import altair as alt
import pandas as pd

from interp.figures.figure import Figure, finite, require_columns, themed
from interp.figures.labels import number, shorten, visible
from interp.figures.theme import PALETTES, Scheme, color_range

_CELL, _LEAST, _MOST = 34, 14, 560  # pixels of a cell, of the narrowest, and of a map's width


def patch_chart(frame: pd.DataFrame, *, scheme: Scheme = "light") -> Figure:
    """The share of a difference that each patched part brings back: layer by position or head.

    Orange is back (1 is all of it), blue is further away than before; layer 0 is at the bottom.

    Args:
        frame: a row per cell with `layer`, `recovered`, and `position` (with `token`) or `head`.

    Raises:
        InputError: columns are missing, no rows, or a value that is not finite.
    """
    column = "position" if "position" in frame.columns else "head"
    require_columns(frame, ("layer", column, "recovered"), "patching")
    values = finite(frame["recovered"], "recovered shares")
    cells = frame[["layer", column, "recovered"]].copy()
    if "token" in frame.columns and column == "position":
        cells["at"] = [
            f"{i} {shorten(visible(token), 12)}"
            for i, token in zip(frame["position"], frame["token"], strict=True)
        ]
    else:
        cells["at"] = cells[column].astype(str)
    order = cells.drop_duplicates(column).sort_values(column)["at"].tolist()
    limit = max(1.0, float(abs(values).max()))
    colors = PALETTES[scheme]
    side = max(_LEAST, min(_CELL, _MOST // len(order)))
    cells["said"] = [
        f"layer {row.layer}, {column} {row.at}: {number(100 * row.recovered)} % back"
        for row in cells.itertuples()
    ]
    base = alt.Chart(cells).encode(
        x=alt.X(
            "at:N",
            sort=order,
            title=column,
            axis=alt.Axis(labelAngle=-45 if column == "position" else 0, labelOverlap=False),
        ),
        y=alt.Y("layer:O", sort="descending", title="layer"),
    )
    marks = base.mark_rect(stroke=colors.paper, strokeWidth=1).encode(
        color=alt.Color(
            "recovered:Q",
            title="share back",
            scale=alt.Scale(**color_range(colors.diverging, -limit, limit)),
            legend=alt.Legend(format=".0%", gradientLength=120),
        ),
        description="said:N",
        tooltip=[alt.Tooltip("said:N", title=" ")],
    )
    layers = cells["layer"].nunique()
    chart = alt.layer(marks).properties(width=side * len(order), height=max(side, 24) * layers)
    best = cells.loc[cells["recovered"].idxmax()]
    finding = (
        f"Put back alone, layer {best['layer']} at {column} {best['at']} brings most back: "
        f"{number(100 * best['recovered'])} % of the difference."
    )
    ranked = frame.sort_values("recovered", ascending=False, ignore_index=True)
    return Figure(themed(chart, scheme), finding, ranked)
