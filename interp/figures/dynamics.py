"""Curves over a training, one above the other, with the windows in which they jump."""

from __future__ import annotations

import altair as alt
import pandas as pd

from interp.errors import InputError
from interp.figures.figure import Figure, require_columns, themed
from interp.figures.labels import count, number
from interp.figures.theme import PALETTES, Scheme

_WIDTH, _HEIGHT = 560, 130
_TITLES = {
    "loss": "loss, nats a token",
    "llc": "learning coefficient",
    "noise_scale": "noise scale, tokens",
}


def dynamics_chart(frame: pd.DataFrame, *, scheme: Scheme = "light") -> Figure:
    """The curves of one run, and where their change points lie: between two checkpoints.

    Args:
        frame: rows of `run`, `step`, `metric`, `value`, `ci_low`, `ci_high`; rows whose metric is
            `change_point` with `of`, `step` and `step_before`. Of several runs, the first is drawn.

    Raises:
        InputError: columns are missing, or no row has a step.
    """
    require_columns(frame, ("run", "step", "metric", "value", "ci_low", "ci_high"), "dynamics")
    frame = frame.dropna(subset=["step"])
    if not len(frame):
        raise InputError("The frame of the dynamics has no steps; measure a run of checkpoints.")
    frame = frame[frame["run"] == frame["run"].iloc[0]].reset_index(drop=True)
    jumps = frame[frame["metric"] == "change_point"]
    curves = frame[frame["metric"] != "change_point"].dropna(subset=["value"])
    metrics = list(dict.fromkeys(curves["metric"]))
    steps = sorted(set(curves["step"].astype(int)))
    parts = [
        _curve(curves, jumps, metric, steps, scheme, named=metric == metrics[-1])
        for metric in metrics
    ]
    chart = alt.vconcat(*parts, spacing=12)
    return Figure(themed(chart, scheme), _finding(curves, jumps), frame)


def _curve(
    curves: pd.DataFrame,
    jumps: pd.DataFrame,
    metric: str,
    steps: list[int],
    scheme: Scheme,
    *,
    named: bool,
) -> alt.LayerChart | alt.FacetChart:
    colors = PALETTES[scheme]
    mine = curves[curves["metric"] == metric].astype({"step": "int64"}).reset_index(drop=True)
    # Checkpoints are dense at first: a logarithm with room for step 0.
    scale = alt.Scale(type="symlog", domain=[steps[0], steps[-1]], nice=False)
    axis = alt.Axis(values=_shown(steps), format=",d", labelOverlap="parity")
    time = "step of training" if named else None
    x = alt.X("step:Q", title=time, scale=scale, axis=axis)
    title = _TITLES.get(metric, metric.replace("_", " "))
    grid = alt.Axis(grid=True, gridColor=colors.line, tickCount=4)
    y = alt.Y("value:Q", title=title, axis=grid, scale=alt.Scale(zero=False))
    base = alt.Chart(mine)
    parts: list[alt.Chart] = []
    if len(jumps) and (jumps["of"] == metric).any():
        windows = jumps[jumps["of"] == metric].astype({"step": "int64", "step_before": "int64"})
        parts.append(
            alt.Chart(windows.reset_index(drop=True))
            .mark_rect(color=colors.accent, opacity=0.3)
            .encode(
                x=alt.X("step_before:Q", title=time, scale=scale, axis=axis),
                x2="step:Q",
                tooltip=[
                    alt.Tooltip("step_before:Q", title="jumps after"),
                    alt.Tooltip("step:Q", title="and by"),
                    alt.Tooltip("value:Q", title="p", format=".3f"),
                ],
            )
        )
    parts.append(
        base.mark_area(color=colors.sequential[6], opacity=0.2).encode(
            x=x, y=alt.Y("ci_low:Q", title=title, axis=grid), y2="ci_high:Q"
        )
    )
    parts.append(base.mark_line(color=colors.sequential[6], strokeWidth=2).encode(x=x, y=y))
    parts.append(
        base.mark_circle(color=colors.sequential[6], size=36, opacity=1).encode(
            x=x,
            y=y,
            tooltip=[
                "step:Q",
                alt.Tooltip("value:Q", title=title, format=".4~g"),
                alt.Tooltip("ci_low:Q", title="95% interval from", format=".4~g"),
                alt.Tooltip("ci_high:Q", title="to", format=".4~g"),
            ],
        )
    )
    return alt.layer(*parts).properties(width=_WIDTH, height=_HEIGHT)


def _shown(steps: list[int]) -> list[int]:
    """Steps to name: the first, the last, and between them such that each is thrice the last."""
    shown = [steps[0]]
    for step in steps[1:-1]:
        if step >= 3 * max(shown[-1], 1) and 3 * step <= 2 * steps[-1]:
            shown.append(step)
    return [*shown, steps[-1]]


def _finding(curves: pd.DataFrame, jumps: pd.DataFrame) -> str:
    n = curves["step"].nunique()
    parts = []
    for metric, curve in curves.sort_values("step").groupby("metric", sort=False):
        first, last = float(curve["value"].iloc[0]), float(curve["value"].iloc[-1])
        name = _TITLES.get(str(metric), str(metric).replace("_", " "))
        text = f"{name}: from {number(first)} to {number(last)}"
        mine = jumps[jumps["of"] == metric] if len(jumps) else jumps
        if len(mine):
            windows = [f"{int(j.step_before):,} and {int(j.step):,}" for j in mine.itertuples()]
            text += f", with a jump between {', between '.join(windows)}"
        else:
            text += ", without a jump that noise could not make"
        parts.append(text)
    return f"Over {count(n, 'checkpoint')}, {'; '.join(parts)}."
