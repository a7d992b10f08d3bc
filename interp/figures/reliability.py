"""Whether a classifier is right as often as it says: accuracy against confidence."""

from __future__ import annotations

import altair as alt
import pandas as pd

from interp.errors import InputError
from interp.figures.figure import Figure, finite, require_columns, themed
from interp.figures.labels import count, percent
from interp.figures.theme import PALETTES, Scheme

_SIDE = 320  # pixels; both axes are shares, so the picture is a square


def reliability_chart(frame: pd.DataFrame, *, scheme: Scheme = "light") -> Figure:
    """The accuracy of each bin of confidence with its interval, and the line of honesty.

    A dot below the line is overconfident: right less often than it says.

    Args:
        frame: a row for each bin with `confidence` (its mean), `value` (accuracy), `ci_low`,
            `ci_high` and `n` (examples).

    Raises:
        InputError: columns are missing, or a share is not in 0 to 1.
    """
    needed = ("confidence", "value", "ci_low", "ci_high", "n")
    require_columns(frame, needed, "reliability")
    for name in needed[:-1]:
        values = finite(frame[name], f"column {name!r} of the reliability")
        if values.min() < 0 or values.max() > 1:
            raise InputError(f"The column {name!r} of the reliability is not between 0 and 1.")
    frame = frame.sort_values("confidence", ignore_index=True)
    return Figure(_layers(frame, scheme), _finding(frame), frame)


def _layers(frame: pd.DataFrame, scheme: Scheme) -> alt.TopLevelMixin:
    colors = PALETTES[scheme]
    heard = [
        f"says {percent(row.confidence)}, is right in {percent(row.value)} of "
        f"{count(row.n, 'example')}"
        for row in frame.itertuples()
    ]
    scale = alt.Scale(domain=[0, 1], nice=False)
    axis = alt.Axis(format="%", values=[0, 0.25, 0.5, 0.75, 1], grid=True, gridColor=colors.line)
    x = alt.X("confidence:Q", title="confidence: what it says", scale=scale, axis=axis)
    base = alt.Chart(frame.assign(heard=heard)).encode(
        x=x,
        tooltip=[
            alt.Tooltip("confidence:Q", format=".1%"),
            alt.Tooltip("value:Q", title="accuracy", format=".1%"),
            alt.Tooltip("ci_low:Q", title="95% interval from", format=".1%"),
            alt.Tooltip("ci_high:Q", title="to", format=".1%"),
            alt.Tooltip("n:Q", title="examples"),
        ],
    )
    title = "accuracy: how often it is right"
    honest = (
        alt.Chart(pd.DataFrame({"confidence": [0, 1], "value": [0, 1]}))
        .mark_line(color=colors.muted, strokeDash=[4, 4], strokeWidth=1, aria=False)
        .encode(x=x, y=alt.Y("value:Q", title=title, scale=scale, axis=axis))
    )
    intervals = base.mark_rule(color=colors.sequential[5], strokeWidth=2, aria=False).encode(
        y=alt.Y("ci_low:Q", title=title, scale=scale, axis=axis), y2="ci_high:Q"
    )
    dots = base.mark_circle(color=colors.sequential[7], size=70, opacity=1).encode(
        y=alt.Y("value:Q", title=title, scale=scale, axis=axis), description="heard:N"
    )
    chart = alt.layer(honest, intervals, dots).properties(width=_SIDE, height=_SIDE)
    return themed(chart, scheme)


def _finding(frame: pd.DataFrame) -> str:
    n = int(frame["n"].sum())
    gap = float((frame["n"] * (frame["value"] - frame["confidence"]).abs()).sum() / n)
    over = float((frame["n"] * (frame["confidence"] - frame["value"])).sum() / n)
    outside = (frame["confidence"] < frame["ci_low"]) | (frame["confidence"] > frame["ci_high"])
    direction = "says more than it keeps" if over > 0 else "says less than it keeps"
    return (
        f"Reliability of {count(n, 'prediction')} in {count(len(frame), 'bin')}: confidence and "
        f"accuracy differ by {percent(gap)} on average; on the whole the model {direction}, by "
        f"{percent(abs(over))}. In {count(int(outside.sum()), 'bin')} the confidence lies outside "
        "the 95% interval of the accuracy."
    )
