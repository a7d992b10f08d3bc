"""What attention heads do, and since when: a grid of heads, one panel for each score."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from interp.errors import InputError
from interp.figures.figure import Figure, finite, require_columns, themed
from interp.figures.labels import count, number
from interp.figures.lens import lookup
from interp.figures.theme import PALETTES, Scheme, color_range

PANELS = ("previous", "induction", "duplicate", "first", "copying", "k composition")
"""The scores that are drawn, of those that a frame has; the others stay in the table."""

_SIGNED = ("copying",)
_WIDTH, _HEIGHT = 190, 320  # pixels of a panel at most
_ACROSS = 3  # panels side by side
_CELL = 22  # pixels of a cell at most


def head_chart(
    frame: pd.DataFrame, scheme: Scheme = "light", *, panels: Sequence[str] = PANELS
) -> Figure:
    """Scores of heads: layer by head of one model, or head by step where there are several steps.

    Shares of attention and of composition run from 0, in blue; copying is signed, orange where a
    head raises what it reads and blue where it lowers it. Layer 0 is at the bottom.

    Args:
        frame: a row for each head and metric with `layer`, `head`, `metric` and `value`; `run`,
            `step` and `site` where there are several.
        panels: the metrics to draw, in this order.

    Raises:
        InputError: columns are missing, a value is not finite, a cell comes twice, or no metric is
            one of the panels.
    """
    require_columns(frame, ("layer", "head", "metric", "value"), "head scores")
    shown = [metric for metric in panels if (frame["metric"] == metric).any()]
    if not shown:
        raise InputError(
            f"The frame of the head scores has none of the metrics {', '.join(panels)}; it has "
            f"{', '.join(sorted(frame['metric'].unique()))}."
        )
    cells = frame[frame["metric"].isin(shown)].copy()
    finite(cells["value"], "head scores")
    for column in ("run", "site"):
        cells[column] = cells[column].fillna("") if column in cells else ""
    cells["step"] = cells["step"].fillna(-1).astype(int) if "step" in cells else -1
    keys = ["run", "site", "step", "layer", "head", "metric"]
    if cells.duplicated(keys).any():
        raise InputError("The frame of the head scores has a head, step and metric twice.")
    rows = []
    for where, part in _parts(cells):
        drawn = [_panel(part, m, where if m == shown[0] else "", scheme) for m in shown]
        rows += [
            alt.hconcat(*drawn[i : i + _ACROSS], spacing=20) for i in range(0, len(drawn), _ACROSS)
        ]
    rows = [row.resolve_scale(color="independent") for row in rows]
    chart = alt.vconcat(*rows, spacing=20).resolve_scale(color="independent")
    return Figure(themed(chart, scheme), _finding(cells, shown), frame)


def _parts(cells: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """One row of panels for each model and kind of attention, with what to call it."""
    several = [name for name in ("run", "site") if cells[name].nunique() > 1]
    if not several:
        return [("", cells)]
    groups = cells.groupby(several, sort=False)
    return [(", ".join(map(str, names)), part) for names, part in groups]


def _panel(
    part: pd.DataFrame, metric: str, where: str, scheme: Scheme
) -> alt.LayerChart | alt.FacetChart:
    """One score of all heads of a part; `where` is what the part is called, if it must be said."""
    colors = PALETTES[scheme]
    signed = metric in _SIGNED
    data, across, down = _placed(part, metric)
    over_steps = part["step"].nunique() > 1
    limit = 1.0 if signed else _limit(data["value"], metric)
    ends = (-limit, limit) if signed else (0.0, limit)
    wide, high = (
        min(_CELL, most / len(labels)) for most, labels in ((_WIDTH, across), (_HEIGHT, down))
    )
    cells = (
        alt.Chart(data)
        .mark_rect(stroke=colors.paper, strokeWidth=0.5)
        .encode(
            x=alt.X(
                "x:O",
                title="step" if over_steps else "head",
                scale=alt.Scale(domain=list(range(len(across))), paddingInner=0, paddingOuter=0),
                axis=_axis(across, wide, angle=-90 if over_steps else 0),
            ),
            y=alt.Y(
                "y:O",
                title="layer.head" if over_steps else "layer",
                scale=alt.Scale(domain=list(range(len(down))), paddingInner=0, paddingOuter=0),
                axis=_axis(down, high, angle=0),
            ),
            color=alt.Color(
                "value:Q",
                scale=alt.Scale(
                    **color_range(colors.diverging if signed else colors.sequential, *ends)
                ),
                legend=alt.Legend(
                    title=None,
                    orient="bottom",
                    direction="horizontal",
                    gradientLength=max(60, int(wide * len(across))),
                    gradientThickness=8,
                    values=[ends[0], (ends[0] + ends[1]) / 2, ends[1]],
                    format=".2~f",
                ),
            ),
            tooltip=[
                alt.Tooltip("who:N", title="head"),
                *([alt.Tooltip("when:N", title="step")] if over_steps else []),
                alt.Tooltip("value:Q", title=metric, format=".3f"),
            ],
            description="heard:N",
        )
    )
    title = alt.TitleParams(metric, subtitle=where, offset=6, fontSize=13)
    size = {"width": alt.Step(wide), "height": alt.Step(high)}
    return alt.layer(cells).properties(title=title, **size)


def _placed(part: pd.DataFrame, metric: str) -> tuple[pd.DataFrame, list[str], list[str]]:
    """The cells of a metric with their column and row, and the labels of columns and rows."""
    steps = sorted(part["step"].unique().tolist())
    cells = part[part["metric"] == metric]
    at = list(zip(cells["layer"].astype(int), cells["head"].astype(int), strict=True))
    if len(steps) > 1:
        every = part[["layer", "head"]].drop_duplicates().sort_values(["layer", "head"])
        names = list(reversed(list(every.astype(int).itertuples(index=False, name=None))))
        x, y = [steps.index(step) for step in cells["step"]], [names.index(one) for one in at]
        across, down = [f"{step:,}" for step in steps], [f"{a}.{b}" for a, b in names]
    else:
        layers = sorted(part["layer"].unique().tolist(), reverse=True)
        x, y = [head for _, head in at], [layers.index(layer) for layer, _ in at]
        across = [str(i) for i in range(int(part["head"].max()) + 1)]
        down = [str(layer) for layer in layers]
    when = [f"{step:,}" if step >= 0 else "" for step in cells["step"]]
    data = pd.DataFrame({"x": x, "y": y, "value": cells["value"].to_numpy(float), "when": when})
    data["who"] = [f"layer {layer}, head {head}" for layer, head in at]
    data["heard"] = [
        f"{metric}, {row.who}{row.when and f', step {row.when}'}: {number(float(row.value))}"
        for row in data.itertuples()
    ]
    return data, across, down


def _limit(values: pd.Series, metric: str) -> float:
    """Where the colours of an amount end: shares at 1, composition at what there is."""
    if not metric.endswith("composition"):
        return 1.0
    return max(0.1, -(-float(values.max()) * 10 // 1) / 10)


def _axis(labels: Sequence[str], size: float, angle: int) -> alt.Axis:
    every = max(1, -(-13 // max(int(size), 1)))
    return alt.Axis(
        values=list(range(0, len(labels), every)),
        labelExpr=lookup(labels),
        labelAngle=angle,
        labelOverlap=False,
    )


def _finding(cells: pd.DataFrame, shown: Sequence[str]) -> str:
    heads = len(cells[["run", "site", "layer", "head"]].drop_duplicates())
    parts = [f"Scores of {count(heads, 'attention head')}."]
    for run, part in cells.groupby("run", sort=False):
        for metric in shown:
            told = _best(part[part["metric"] == metric], metric)
            parts.append(f"{run}: {told}" if cells["run"].nunique() > 1 else told)
    return " ".join(part for part in parts if part)


def _best(cells: pd.DataFrame, metric: str) -> str:
    """The head that ends with the largest score, and when it got there."""
    if not len(cells):
        return ""
    steps = sorted(cells["step"].unique().tolist())
    last = cells[cells["step"] == steps[-1]]
    best = last.loc[last["value"].idxmax()]
    site = f" of {best['site']}" if cells["site"].nunique() > 1 else ""
    who = f"head {best['layer']}.{best['head']}{site}"
    told = f"The highest score for {metric}: {number(float(best['value']))} in {who}"
    if len(steps) == 1:
        return told + "."
    over = cells.groupby("step")["value"].max()
    told += f" at step {steps[-1]:,}; at step {steps[0]:,} it was {number(float(over[steps[0]]))}"
    half = next(step for step in steps if over[step] >= float(best["value"]) / 2)
    return told + (f", and it passes half of that by step {half:,}." if half > steps[0] else ".")
