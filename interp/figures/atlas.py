"""What a probe reads out of each layer: over the steps of a training, and beside its controls."""

from __future__ import annotations

import altair as alt
import pandas as pd

from interp.errors import InputError
from interp.figures.figure import Figure, finite, require_columns, themed
from interp.figures.intervals import chart_title, group_colors
from interp.figures.labels import percent
from interp.figures.theme import PALETTES, Scheme, blend, color_range, text_color

_Panel = alt.LayerChart | alt.FacetChart
_CELL = (46, 30)  # pixels
_LINES = (360, 260)
_SERIES = {
    ("accuracy", "test"): "the task",
    ("accuracy", "new types"): "the task, words never seen",
    ("accuracy", "new lemmas"): "the task, lemmas never seen",
    ("twin_accuracy", "test"): "the task, random weights",
    ("control_accuracy", "test"): "control task",
}
_DASHES = ([1, 0], [7, 3], [4, 2], [2, 2], [8, 3, 2, 3])
_LEVEL = 0.05


def atlas_chart(frame: pd.DataFrame, *, scheme: Scheme = "light") -> Figure:
    """Accuracy by layer and step as a map, a run above the other, and by layer with all controls
    for the last step of each.

    A dot in a cell says that the layer is better than the embedding (p < 0.05, corrected for the
    choice of the layer).

    Args:
        frame: of `probes.atlas`.

    Raises:
        InputError: columns are missing, or there is no accuracy of a layer.
    """
    names = ("run", "step", "layer", "split", "draw", "metric", "value", "ci_low", "ci_high")
    require_columns(frame, names, "atlas")
    shown = frame[[pair in _SERIES for pair in zip(frame["metric"], frame["split"], strict=True)]]
    task = shown[(shown["metric"] == "accuracy") & (shown["split"] == "test")]
    if not len(task):
        raise InputError("The frame of the atlas has no accuracy of a layer; there is no map.")
    finite(task["value"], "accuracies of the atlas")
    parts, findings = [], []
    for run, rows in frame.groupby("run", sort=False):
        mine = task[task["run"] == run]
        if mine["step"].nunique() > 1:
            parts.append(_map(str(run), mine, rows, scheme))
        last = rows[rows["step"].isna() | (rows["step"] == rows["step"].max())]
        parts.append(layer_lines(str(run), last, scheme))
        findings.append(_finding(str(run), last))
    chart = alt.vconcat(*parts, spacing=28)
    return Figure(themed(chart, scheme), " ".join(findings), shown.reset_index(drop=True))


def _map(run: str, task: pd.DataFrame, rows: pd.DataFrame, scheme: Scheme) -> _Panel:
    colors = PALETTES[scheme]
    low, high = float(task["value"].min()), float(task["value"].max())
    if high - low < 1e-6:
        low, high = low - 0.01, high + 0.01
    gains = rows[rows["metric"] == "gain_over_embedding"]
    p = gains.set_index(["step", "layer"])["p"] if "p" in gains else pd.Series(dtype=float)
    p = p[~p.index.duplicated()]
    cells = pd.DataFrame(
        {
            "step": [f"{int(step):,}" for step in task["step"]],
            "layer": [layer_name(layer) for layer in task["layer"]],
            "value": task["value"].to_numpy(),
            "text": [f"{100 * value:.0f}" for value in task["value"]],
            "ink": [
                text_color(blend(colors.sequential, (value - low) / (high - low)))
                for value in task["value"]
            ],
            "better": [
                bool(p.get((step, layer), 1.0) < _LEVEL)
                for step, layer in zip(task["step"], task["layer"], strict=True)
            ],
            "heard": [
                f"step {int(row.step):,}, {layer_name(row.layer)}: {_sure(row)}"
                for row in task.itertuples()
            ],
        }
    )
    layers = sorted(task["layer"].unique(), reverse=True)
    base = alt.Chart(cells).encode(
        x=alt.X(
            "step:O",
            sort=[f"{step:,}" for step in sorted(task["step"].astype(int).unique())],
            title="step of training",
            axis=alt.Axis(labelAngle=0),
        ),
        y=alt.Y("layer:O", sort=[layer_name(layer) for layer in layers], title=None),
        tooltip=[alt.Tooltip("heard:N", title="reads")],
    )
    boxes = base.mark_rect(stroke=colors.paper, strokeWidth=2).encode(
        fill=alt.Fill(
            "value:Q",
            scale=alt.Scale(**color_range(colors.sequential, low, high)),
            legend=alt.Legend(title="accuracy", format=".0%", tickCount=4),
        ),
        description="heard:N",
    )
    numbers = base.mark_text(fontSize=11, aria=False).encode(
        text="text:N", color=alt.Color("ink:N", scale=None)
    )
    dots = (
        base.mark_circle(size=14, xOffset=15, yOffset=-8, opacity=1, aria=False)
        .encode(color=alt.Color("ink:N", scale=None))
        .transform_filter("datum.better")
    )
    title = chart_title(
        f"{run}: accuracy in per cent. A dot: better than the embedding (p < 0.05, corrected).",
        scheme,
    )
    size = {"width": alt.Step(_CELL[0]), "height": alt.Step(_CELL[1])}
    return alt.layer(boxes, numbers, dots, title=title, **size)


def layer_lines(run: str, rows: pd.DataFrame, scheme: Scheme) -> _Panel:
    """The accuracy of one model by layer, with all that it is held against.

    Args:
        rows: of the frame of `probes.atlas`, about one model.
    """
    colors = PALETTES[scheme]
    groups = [rows[(rows["metric"] == m) & (rows["split"] == s)] for m, s in _SERIES]
    series = [
        group.assign(series=name)
        # Draws of a control are drawn as their mean, in the widest of their intervals.
        .groupby(["series", "layer"], as_index=False)
        .agg({"value": "mean", "ci_low": "min", "ci_high": "max"})
        for group, name in zip(groups, _SERIES.values(), strict=True)
        if len(group)
    ]
    data = pd.concat(series, ignore_index=True)
    data["heard"] = [f"{layer_name(r.layer)}, {r.series}: {_sure(r)}" for r in data.itertuples()]
    data["layer"] = data["layer"].astype(int)
    present = [name for name in _SERIES.values() if name in set(data["series"])]
    legend = alt.Legend(
        title=None, orient="right", symbolType="stroke", symbolSize=400, symbolOpacity=1,
        labelLimit=260,
    )  # fmt: skip
    paint = group_colors(len(present), scheme)
    color = alt.Color("series:N", scale=alt.Scale(domain=present, range=paint), legend=legend)
    dashes = [list(dash) for dash in _DASHES[: len(present)]]
    dash = alt.StrokeDash("series:N", scale=alt.Scale(domain=present, range=dashes), legend=legend)
    grid = alt.Axis(format="%", grid=True, gridColor=colors.line, tickCount=6)
    ends = [*data["ci_low"].dropna(), *data["ci_high"].dropna(), *data["value"]]
    rules = rows[rows["metric"].isin(["majority", "type_majority"])].assign(
        name=lambda r: r["metric"].map(
            {"majority": "most frequent label", "type_majority": "most frequent label of the word"}
        )
    )
    ends += list(rules["value"])
    scale = alt.Scale(domain=[max(min(ends) - 0.03, 0), min(max(ends) + 0.03, 1)], nice=False)
    y = alt.Y("value:Q", title="accuracy", scale=scale, axis=grid)
    depths = sorted(data["layer"].unique().tolist())
    x = alt.X(
        "layer:Q",
        title="blocks passed (0: the embedding)",
        scale=alt.Scale(domain=[depths[0] - 0.15, depths[-1] + 0.15], nice=False),
        axis=alt.Axis(values=depths, format="d"),
    )
    lines = alt.Chart(data).encode(x=x, color=color)
    heard = [alt.Tooltip("heard:N", title="reads")]
    baseline = alt.Chart(rules[["name", "value"]].reset_index(drop=True))
    layers = [
        baseline.mark_rule(color=colors.muted, strokeDash=[4, 4], aria=False).encode(
            y=y, tooltip=[alt.Tooltip("name:N"), alt.Tooltip("value:Q", format=".1%")]
        ),
        baseline.mark_text(align="left", dx=6, fontSize=11, color=colors.muted).encode(
            x=alt.value(_LINES[0]), y=y, text="name:N"
        ),
        lines.mark_area(opacity=0.16, aria=False).encode(
            y=alt.Y("ci_low:Q", title="accuracy", scale=scale, axis=grid), y2="ci_high:Q"
        ),
        lines.mark_line(strokeWidth=2.5, aria=False).encode(y=y, strokeDash=dash),
        lines.mark_point(filled=True, opacity=1, size=34).encode(
            y=y, description="heard:N", tooltip=heard
        ),
    ]
    step = rows["step"].dropna()
    name = f"{run} at step {int(step.iloc[0]):,}" if len(step) else run
    title = chart_title(f"{name}, with 95% bands", scheme)
    return alt.layer(*layers, title=title, width=_LINES[0], height=_LINES[1])


def _finding(run: str, rows: pd.DataFrame) -> str:
    task = rows[(rows["metric"] == "accuracy") & (rows["split"] == "test")]
    best = task.loc[task["value"].idxmax()]
    text = (
        f"{run}: the probe reads the labels best at {layer_name(best['layer'])}, "
        f"{percent(best['value'])}"
    )
    extra = []
    for metric, said in (
        ("type_majority", "by the most frequent label of each word"),
        ("twin_accuracy", "from random weights"),
        ("control_accuracy", "of a control task"),
    ):
        values = rows[rows["metric"] == metric]
        if metric != "type_majority":
            values = values[values["layer"] == best["layer"]]
        if len(values):
            extra.append(f"{percent(values['value'].mean())} {said}")
    return f"{text}, against {', '.join(extra)}." if extra else f"{text}."


def layer_name(layer: int) -> str:
    """What to call the state after so many blocks."""
    return "the embedding" if layer == 0 else f"block {int(layer)}"


def _sure(row: object) -> str:
    value, low, high = (getattr(row, name) for name in ("value", "ci_low", "ci_high"))
    return f"{percent(value)} ({percent(low)} to {percent(high)})"
