"""The dimension of activations over the layers of a network: a curve for each model."""

from __future__ import annotations

import altair as alt
import pandas as pd

from interp.figures.figure import Figure, finite, require_columns, themed
from interp.figures.labels import count, number
from interp.figures.moments import model_labels
from interp.figures.theme import PALETTES, Scheme, blend

_WIDTH, _HEIGHT = 300, 260
_TITLES = {"two_nn": "intrinsic dimension (TwoNN)", "participation_ratio": "participation ratio"}


def dimension_chart(frame: pd.DataFrame, *, scheme: Scheme = "light") -> Figure:
    """Both dimensions of every layer, from all rows; later checkpoints are darker.

    Args:
        frame: rows with `metric` (`two_nn`, `participation_ratio`), `layer`, `share`, `value`,
            `ci_low`, `ci_high`, of several models with `run` and `step`.

    Raises:
        InputError: columns are missing, or values are not finite.
    """
    require_columns(frame, ("metric", "layer", "share", "value", "ci_low", "ci_high"), "dimension")
    frame = frame[frame["share"] == 1].reset_index(drop=True)
    require_columns(frame, (), "dimension of all rows")
    finite(frame["value"], "column 'value' of the dimension")
    frame = frame.assign(model=model_labels(frame))
    metrics = [metric for metric in _TITLES if metric in set(frame["metric"])]
    parts = [_curves(frame[frame["metric"] == m], _TITLES[m], scheme) for m in metrics]
    chart = alt.hconcat(*parts)
    return Figure(themed(chart, scheme), _finding(frame), frame)


def _curves(frame: pd.DataFrame, title: str, scheme: Scheme) -> alt.LayerChart | alt.FacetChart:
    colors = PALETTES[scheme]
    models = list(dict.fromkeys(frame["model"]))
    stops = colors.sequential[4:]
    shades = [
        blend(stops, i / max(1, len(models) - 1)) if len(models) > 1 else stops[3]
        for i in range(len(models))
    ]
    color = alt.Color(
        "model:N",
        title="model",
        sort=models,
        scale=alt.Scale(domain=models, range=shades),
        legend=alt.Legend(symbolOpacity=1) if len(models) > 1 else None,
    )
    x = alt.X(
        "layer:Q",
        title="blocks passed",
        axis=alt.Axis(tickMinStep=1, format="d"),
        scale=alt.Scale(nice=False, padding=8),
    )
    grid = alt.Axis(grid=True, gridColor=colors.line)
    base = alt.Chart(frame.reset_index(drop=True)).encode(x=x)
    band = base.mark_area(opacity=0.2).encode(
        y=alt.Y("ci_low:Q", title=title, axis=grid),
        y2="ci_high:Q",
        color=color,
    )
    y = alt.Y("value:Q", title=title, axis=grid, scale=alt.Scale(zero=True))
    line = base.mark_line(strokeWidth=2).encode(y=y, color=color)
    dots = base.mark_circle(size=46, opacity=1).encode(
        y=y,
        color=color,
        tooltip=[
            "model:N",
            "layer:Q",
            alt.Tooltip("value:Q", title=title, format=".3~g"),
            alt.Tooltip("ci_low:Q", title="95% interval from", format=".3~g"),
            alt.Tooltip("ci_high:Q", title="to", format=".3~g"),
        ],
    )
    return alt.layer(band, line, dots).properties(width=_WIDTH, height=_HEIGHT)


def _finding(frame: pd.DataFrame) -> str:
    two = frame[frame["metric"] == "two_nn"]
    models = list(dict.fromkeys(two["model"]))
    last = two[two["model"] == models[-1]].sort_values("layer").reset_index(drop=True)
    top = last.loc[last["value"].idxmax()]
    first, end = last.iloc[0], last.iloc[-1]
    of = "" if len(models) == 1 else f" of {models[-1]}, the last of {count(len(models), 'model')},"
    shape = (
        "it rises and falls again"
        if first["layer"] < top["layer"] < end["layer"]
        else "it does not rise and fall"
    )
    return (
        f"The intrinsic dimension{of} is {number(float(first['value']))} before the first layer, "
        f"at most {number(float(top['value']))} after layer {int(top['layer'])}, and "
        f"{number(float(end['value']))} after the last: {shape}."
    )
