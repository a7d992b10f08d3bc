"""What pushing a model along a direction does, beside random directions of the same length."""

from __future__ import annotations

import altair as alt
import pandas as pd

from interp.errors import InputError
from interp.figures.figure import Figure, finite, require_columns, themed
from interp.figures.labels import count, number
from interp.figures.theme import PALETTES, Scheme

_SIZE = (420, 260)  # pixels


def steering_chart(frame: pd.DataFrame, *, scheme: Scheme = "light") -> Figure:
    """The change of a target along a direction as a bold line, along random ones as grey lines.

    Args:
        frame: of `interp.explain.inside.steering_effect`: `direction` (`steering` or `random`),
            `draw`, `coefficient`, `metric`, `change`.

    Raises:
        InputError: columns are missing, no row of the direction itself, or a change that is not
            finite.
    """
    require_columns(
        frame, ("direction", "draw", "coefficient", "metric", "change"), "steering effect"
    )
    finite(frame["change"], "changes")
    if not (frame["direction"] == "steering").any():
        raise InputError("The frame of the steering effect has no row of the direction itself.")
    colors, metric = PALETTES[scheme], str(frame["metric"].iloc[0])
    zero = [
        {"direction": direction, "draw": draw, "coefficient": 0.0, "change": 0.0}
        for direction, draw in frame[["direction", "draw"]].drop_duplicates().to_numpy()
    ]
    rows = pd.concat([frame, pd.DataFrame(zero)]).sort_values("coefficient", kind="stable")
    rows = pd.DataFrame(
        {
            "own": (rows["direction"] == "steering").to_numpy(),
            "line": rows["draw"].astype(str).to_numpy(),
            "strength": rows["coefficient"].astype(float).to_numpy(),
            "change": rows["change"].astype(float).to_numpy(),
        }
    )
    rows["said"] = [
        f"{'this direction' if row.own else 'a random direction'}, {number(row.strength)} times: "
        f"{number(row.change, signed=True)}"
        for row in rows.itertuples()
    ]
    x = alt.X("strength:Q", title="how much of the direction is added")
    y = alt.Y("change:Q", title=f"change of the {metric}")
    tip = [alt.Tooltip("said:N", title=" ")]
    base = alt.Chart().encode(x=x, y=y, tooltip=tip)
    random = base.transform_filter("!datum.own").mark_line(
        color=colors.muted, opacity=0.45, strokeWidth=1, aria=False
    )
    own = base.transform_filter("datum.own")
    line = own.mark_line(color=colors.diverging[-2], strokeWidth=3, aria=False)
    dots = own.mark_point(color=colors.diverging[-2], filled=True, opacity=1, size=60)
    rule = alt.Chart().mark_rule(color=colors.ink, strokeWidth=1, aria=False).encode(y=alt.datum(0))
    chart = alt.layer(
        rule, random.encode(detail="line:N"), line, dots.encode(description="said:N"), data=rows
    )
    width, height = _SIZE
    return Figure(
        themed(chart.properties(width=width, height=height), scheme),
        _finding(frame, metric),
        frame,
    )


def _finding(frame: pd.DataFrame, metric: str) -> str:
    own = frame[frame["direction"] == "steering"]
    most = own.loc[own["change"].abs().idxmax()]
    same = frame["coefficient"] == most["coefficient"]
    random = frame[(frame["direction"] == "random") & same]["change"].abs()
    said = (
        f"{number(float(most['coefficient']))} times the direction changes the {metric} by "
        f"{number(float(most['change']), signed=True)}"
    )
    if not len(random):
        return f"{said}."
    beyond = int((random < abs(most["change"])).sum())
    return (
        f"{said}, more than {beyond} of {count(len(random), 'random direction')} of the same "
        f"length (at most {number(float(random.max()))} either way)."
    )
