"""A matrix of how alike layers are: of one model, or of several side by side."""

from __future__ import annotations

import json

import altair as alt
import numpy as np
import pandas as pd

from interp.errors import InputError
from interp.figures.figure import Figure, finite, require_columns, themed
from interp.figures.labels import count, number
from interp.figures.moments import model_labels
from interp.figures.theme import PALETTES, Scheme, color_range, sequential_color, text_color

_SIDE = 480
_SPOKEN = 34  # cells of this size or larger, in pixels, show their value
_METRICS = {"cka": "debiased CKA", "svcca": "SVCCA", "rsa": "RSA"}


def similarity_chart(
    frame: pd.DataFrame, *, metric: str = "cka", scheme: Scheme = "light"
) -> Figure:
    """Layer against layer, models one after the other; a value below zero has the colour of zero.

    Args:
        frame: rows of `metric` and `value` for pairs of a `site`, `layer` and a `site_b`, `layer_b`
            (each pair once), of several models with `run`, `step` and `run_b`, `step_b`.
        metric: `cka`, `svcca` or `rsa`.

    Raises:
        InputError: columns are missing, or there is nothing of the metric.
    """
    needed = ("metric", "value", "site", "layer", "site_b", "layer_b")
    require_columns(frame, needed, "similarity")
    frame = frame[frame["metric"] == metric].reset_index(drop=True)
    if not len(frame):
        raise InputError(f"The frame of the similarity has no row of the metric {metric!r}.")
    finite(frame["value"], "column 'value' of the similarity")
    cells, sites = _cells(frame)
    chart = _layers(cells, sites, _METRICS.get(metric, metric), scheme)
    return Figure(chart, _finding(cells, _METRICS.get(metric, metric)), frame)


def _cells(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both halves of the matrix with places, and the sites in order."""
    one = pd.DataFrame(
        {"model": model_labels(frame), "site": frame["site"], "layer": frame["layer"]}
    )
    other = pd.DataFrame(
        {"model": model_labels(frame, "_b"), "site": frame["site_b"], "layer": frame["layer_b"]}
    )
    # Labels of both sides must be equal for equal models, so they are made of all at once.
    if "run" in frame:
        names = ["run", "step"] if "step" in frame else ["run"]
        both = pd.concat([frame[names], frame[[f"{n}_b" for n in names]].set_axis(names, axis=1)])
        labels = model_labels(both)
        one["model"], other["model"] = labels[: len(frame)], labels[len(frame) :]
    sites = pd.concat([one, other]).drop_duplicates(ignore_index=True)
    place = {tuple(row): i for i, row in enumerate(sites.itertuples(index=False))}
    i = [place[tuple(row)] for row in one.itertuples(index=False)]
    j = [place[tuple(row)] for row in other.itertuples(index=False)]
    value = frame["value"].to_numpy()
    cells = pd.DataFrame({"x": i + j, "y": j + i, "value": np.tile(value, 2)})
    cells = cells.drop_duplicates(["x", "y"], ignore_index=True)
    named = sites.assign(place=range(len(sites)))
    for side in ("x", "y"):
        cells = cells.merge(
            named.add_suffix(f"_{side}"), left_on=side, right_on=f"place_{side}", how="left"
        )
    return cells, named


def _layers(
    cells: pd.DataFrame, sites: pd.DataFrame, name: str, scheme: Scheme
) -> alt.TopLevelMixin:
    colors = PALETTES[scheme]
    n = len(sites)
    side = max(4.0, min(44.0, _SIDE / n))
    cells = cells.assign(
        ink=[text_color(sequential_color(v, 1.0, scheme)) for v in cells["value"]],
        x0=cells["x"] - 0.5,
        x1=cells["x"] + 0.5,
        y0=cells["y"] - 0.5,
        y1=cells["y"] + 0.5,
        where=[
            f"{a} layer {b}".strip()
            for a, b in zip(cells["model_x"], cells["layer_x"], strict=True)
        ],
        other=[
            f"{a} layer {b}".strip()
            for a, b in zip(cells["model_y"], cells["layer_y"], strict=True)
        ],
    )
    several = sites["model"].nunique() > 1
    groups = sites.groupby("model", sort=False)["place"].agg(["min", "max"]).reset_index()
    shown = groups["max"] + groups["min"]
    words = groups["model"].tolist() if several else sites["layer"].astype(str).tolist()
    at = (shown / 2).tolist() if several else sites["place"].tolist()
    labels = dict(zip([float(a) for a in at], words, strict=True))
    lookup = "{" + ",".join(f"'{a:g}':{json.dumps(w)}" for a, w in labels.items()) + "}"
    scale = alt.Scale(domain=[-0.5, n - 0.5], nice=False)

    def axis(angle: float) -> alt.Axis:
        return alt.Axis(
            values=list(labels),
            labelExpr=f"{lookup}[format(datum.value, '.6~g')]",
            labelAngle=angle,
            labelOverlap="parity",
        )

    title = "layers of each model, in order" if several else "blocks passed"
    base = alt.Chart(cells)
    rect = base.mark_rect().encode(
        x=alt.X("x0:Q", title=title, scale=scale, axis=axis(-45 if several else 0)),
        x2="x1:Q",
        y=alt.Y("y0:Q", title=title, scale=scale, axis=axis(0)),
        y2="y1:Q",
        color=alt.Color(
            "value:Q",
            title=name,
            scale=alt.Scale(**color_range(colors.sequential, 0.0, 1.0)),
            legend=alt.Legend(gradientLength=160),
        ),
        tooltip=[
            alt.Tooltip("where:N", title="one"),
            alt.Tooltip("other:N", title="other"),
            alt.Tooltip("value:Q", title=name, format=".3f"),
        ],
    )
    parts: list[alt.Chart] = [rect]
    if side >= _SPOKEN:
        parts.append(
            base.mark_text(fontSize=12).encode(
                x=alt.X("x:Q", scale=scale, axis=axis(0)),
                y=alt.Y("y:Q", scale=scale, axis=axis(0)),
                text=alt.Text("value:Q", format=".2f"),
                color=alt.Color("ink:N", scale=None),
            )
        )
    edges = pd.DataFrame({"edge": (groups["min"].iloc[1:] - 0.5).tolist()})
    if several:
        rule = alt.Chart(edges)
        parts.append(
            rule.mark_rule(color=colors.paper, strokeWidth=2).encode(
                x=alt.X("edge:Q", title=title, scale=scale)
            )
        )
        parts.append(
            rule.mark_rule(color=colors.paper, strokeWidth=2).encode(
                y=alt.Y("edge:Q", title=title, scale=scale)
            )
        )
    chart = alt.layer(*parts).properties(width=side * n, height=side * n)
    return themed(chart, scheme)


def _finding(cells: pd.DataFrame, name: str) -> str:
    models = cells["model_x"].nunique()
    within = cells[
        (cells["model_x"] == cells["model_y"]) & (cells["layer_y"] == cells["layer_x"] + 1)
    ]
    text = f"{name} of {count(int(cells['x'].nunique()), 'layer')} of {count(models, 'model')}."
    if len(within):
        least = within.loc[within["value"].idxmin()]
        text += (
            f" Of neighbouring layers, {least['layer_x']} and {least['layer_y']}"
            f"{' of ' + least['model_x'] if models > 1 else ''} are least alike, with "
            f"{number(least['value'])}; the mean over neighbours is "
            f"{number(float(within['value'].mean()))}."
        )
    if models > 1:
        names = list(dict.fromkeys(cells["model_x"]))
        ends = cells[
            (cells["model_x"] == names[0])
            & (cells["model_y"] == names[-1])
            & (cells["layer_x"] == cells["layer_y"])
        ]
        if len(ends):
            text += (
                f" Equal layers of {names[0]} and {names[-1]} have "
                f"{number(float(ends['value'].mean()))} on average."
            )
    return text
