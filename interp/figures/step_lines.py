"""Over the steps of a training: its loss, and what was measured at its checkpoints.

Both have a dot to click for each checkpoint, and a rule at the one that is open.
"""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from interp.errors import InputError
from interp.figures.figure import Figure, finite, require_columns, themed
from interp.figures.labels import count, number
from interp.figures.theme import PALETTES, Scheme, blend

_SIZE = (520, 250)  # pixels
_BINS = 150  # of the loss: more than that no reader can tell apart
_MOST = 8  # lines that a legend names


def loss_chart(
    log: pd.DataFrame, steps: Sequence[int], scheme: Scheme = "light", *, chosen: int | None = None
) -> Figure:
    """The loss of a training: its mean over bins of steps, and the band of the middle 80%.

    Bins widen with the step, as the axis does. A dot stands on the line for each checkpoint; a
    click selects: `selection_point(name="step", fields=["step"])`.

    Args:
        log: a row for each step with `step` and `loss`.
        steps: of the checkpoints.
        chosen: the checkpoint that the rule marks.

    Raises:
        InputError: columns are missing, or nothing that was logged is finite.
    """
    require_columns(log, ("step", "loss"), "log")
    shown = log[np.isfinite(log["loss"].astype(float))]
    if not len(shown):
        raise InputError("No loss in the log is finite; there is nothing to draw.")
    line = _binned(shown["step"].to_numpy(float), shown["loss"].to_numpy(float))
    at = np.asarray(sorted(steps), dtype=float)
    dots = pd.DataFrame({"step": at.astype(int), "line": "loss", "front": True})
    dots["value"] = np.interp(np.log1p(at), np.log1p(line["step"]), line["value"])
    colors = PALETTES[scheme]
    high = line["high"].max()
    scale = alt.Scale(domain=[0, float(high)], nice=True)
    y = alt.Y(
        "value:Q",
        title="loss (nats)",
        scale=scale,
        axis=alt.Axis(grid=True, gridColor=colors.line, tickCount=5),
    )
    base = alt.Chart(line).encode(x=_x(dots["step"]))
    layers = [
        base.mark_area(color=colors.sequential[5], opacity=0.3, aria=False).encode(
            y=alt.Y("low:Q", title="loss (nats)", scale=scale), y2="high:Q"
        ),
        base.mark_line(color=colors.sequential[6], strokeWidth=2, aria=False).encode(y=y),
        *_marks(dots, y, alt.value(colors.sequential[7]), chosen, scheme),
    ]
    chart = alt.layer(*layers).properties(width=_SIZE[0], height=_SIZE[1])
    return Figure(
        themed(chart, scheme, autosize="fit-x"),
        _loss_finding(line, int(shown["step"].max()), dots, chosen),
        log,
    )


def step_lines(
    frame: pd.DataFrame,
    title: str,
    scheme: Scheme = "light",
    *,
    chosen: int | None = None,
    strong: str | None = None,
    chance: float | None = None,
) -> Figure:
    """A line over the checkpoints for each thing that was measured at all of them.

    A click on a dot selects: `selection_point(name="step", fields=["step", "line"])`.

    Args:
        frame: `step`, `line` (what it is called) and `value`; further columns stay in the table.
        title: what the values are.
        chosen: the checkpoint that the rule marks.
        strong: the line that stands out, the others are faint; without it lines go from pale to
            strong in their order.
        chance: drawn as a dashed line.

    Raises:
        InputError: columns are missing, a value is not finite, or a line has a step twice.
    """
    require_columns(frame, ("step", "line", "value"), "lines")
    finite(frame["value"], "column 'value' of the lines")
    if frame.duplicated(["step", "line"]).any():
        raise InputError("The frame of the lines has a line and a step twice.")
    lines = list(dict.fromkeys(frame["line"].astype(str)))
    data = frame[["step", "line", "value"]].astype({"step": int, "line": str, "value": float})
    colors = PALETTES[scheme]
    paint = dict.fromkeys(lines, colors.muted)
    if strong is None:
        shades = np.linspace(0, 1, len(lines)) if len(lines) > 1 else [1.0]
        paint = {
            name: blend(colors.sequential[3:], x) for name, x in zip(lines, shades, strict=True)
        }
    elif strong in paint:
        paint[strong] = colors.accent
        data = pd.concat([data[data["line"] != strong], data[data["line"] == strong]])
    named = strong is None and 1 < len(lines) <= _MOST
    color = alt.Color(
        "line:N",
        sort=lines,
        scale=alt.Scale(domain=lines, range=list(paint.values())),
        legend=alt.Legend(title=None, symbolType="stroke", symbolOpacity=1, labelLimit=320)
        if named
        else None,
    )
    data["front"] = strong is None or data["line"] == strong
    low, high = min(0.0, data["value"].min()), max(data["value"].max(), chance or 0.0)
    y = alt.Y(
        "value:Q",
        title=title,
        scale=alt.Scale(domain=[float(low), float(high) or 1.0], nice=True),
        axis=alt.Axis(grid=True, gridColor=colors.line, tickCount=5),
    )
    base = alt.Chart(data).encode(x=_x(data["step"]), y=y, color=color, detail="line:N")
    layers = [
        base.transform_filter("!datum.front").mark_line(strokeWidth=1, opacity=0.6, aria=False),
        base.transform_filter("datum.front").mark_line(strokeWidth=2.5, aria=False),
        *_marks(data, y, color, chosen, scheme),
    ]
    if chance is not None:
        rule = alt.Chart(pd.DataFrame({"value": [chance]}))
        layers.insert(0, rule.mark_rule(color=colors.muted, strokeDash=[4, 4]).encode(y=y))
    chart = alt.layer(*layers).properties(width=_SIZE[0], height=_SIZE[1])
    return Figure(
        themed(chart, scheme, autosize="fit-x"),
        _finding(data, title, chosen, strong, chance),
        frame,
    )


def _binned(steps: np.ndarray, loss: np.ndarray) -> pd.DataFrame:
    """`step`, `value`, `low` and `high` of each bin; the first steps have one each."""
    edges = np.unique(np.geomspace(1, steps.max() + 1, _BINS).round())
    place = np.digitize(steps, edges)
    bins = pd.DataFrame({"step": steps, "loss": loss}).groupby(place)
    return pd.DataFrame(
        {
            "step": bins["step"].mean(),
            "value": bins["loss"].mean(),
            "low": bins["loss"].quantile(0.1),
            "high": bins["loss"].quantile(0.9),
        }
    ).reset_index(drop=True)


def _x(steps: pd.Series) -> alt.X:
    return alt.X(
        "step:Q",
        title="step of training",
        # The first checkpoints double their steps, and one may be step 0.
        scale=alt.Scale(type="symlog", constant=4, nice=False),
        axis=alt.Axis(
            values=sorted({int(step) for step in steps}),
            format=",d",
            labelOverlap="greedy",
            labelSeparation=8,
            labelFlush=False,
        ),
    )


def _marks(
    data: pd.DataFrame, y: alt.Y, color: alt.Color | alt.Value, chosen: int | None, scheme: Scheme
) -> list[alt.Chart]:
    """The rule at the chosen step, and the dots to click."""
    picked = alt.selection_point(name="step", fields=["step", "line"], empty=False)
    heard = [f"step {row.step:,}, {row.line}: {number(float(row.value))}" for row in
             data.itertuples()]  # fmt: skip
    dots = (
        alt.Chart(data.assign(heard=heard))
        .mark_circle(opacity=1, cursor="pointer")
        .encode(
            x=_x(data["step"]),
            y=y,
            color=color,
            size=alt.Size(
                "front:N", scale=alt.Scale(domain=[False, True], range=[26, 64]), legend=None
            ),
            description="heard:N",
            tooltip=[alt.Tooltip("heard:N", title="open")],
        )
        .add_params(picked)
    )
    if chosen is None:
        return [dots]
    rule = alt.Chart(pd.DataFrame({"step": [chosen]})).mark_rule(
        color=PALETTES[scheme].accent, strokeWidth=2, aria=False
    )
    return [rule.encode(x=_x(data["step"])), dots]


def _loss_finding(line: pd.DataFrame, steps: int, dots: pd.DataFrame, chosen: int | None) -> str:
    first, last = float(line["value"].iloc[0]), float(line["value"].iloc[-1])
    half = line.loc[(line["value"] - last).abs() <= abs(first - last) / 2, "step"]
    told = (
        f"The loss goes from {number(first)} to {number(last)} nats in "
        f"{steps:,} steps; half of the way is done by step {int(half.iloc[0]):,}."
    )
    here = dots[dots["step"] == chosen]
    if len(here):
        told += f" At the chosen step {chosen:,} it is {number(float(here['value'].iloc[0]))}."
    return told


def _finding(
    data: pd.DataFrame, title: str, chosen: int | None, strong: str | None, chance: float | None
) -> str:
    steps = sorted(data["step"].unique().tolist())
    last = data[data["step"] == steps[-1]]
    top, low = (last.loc[place] for place in (last["value"].idxmax(), last["value"].idxmin()))
    told = (
        f"{title[:1].upper()}{title[1:]} at {count(len(steps), 'checkpoint')}: at step "
        f"{steps[-1]:,}, {number(float(top['value']))} of {top['line']}"
    )
    if low["line"] != top["line"]:
        told += f" is the most, {number(float(low['value']))} of {low['line']} the least"
    told += "." if chance is None else f"; chance is {number(chance)}."
    here = data[(data["step"] == chosen) & (data["line"] == (strong or top["line"]))]
    if len(here):
        told += (
            f" At the chosen step {chosen:,}, {here['line'].iloc[0]} has "
            f"{number(float(here['value'].iloc[0]))}."
        )
    return told
