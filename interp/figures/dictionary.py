"""Sparse dictionaries: what they keep against how many latents they use; what a latent is."""

from __future__ import annotations

import altair as alt
import pandas as pd

from interp.errors import InputError
from interp.figures.figure import Figure, finite, require_columns, themed
from interp.figures.labels import number, percent
from interp.figures.theme import PALETTES, Scheme

_SIZE = (300, 260)
_PANELS = {
    "fvu": "fraction of variance unexplained",
    "loss_recovered_mean": "loss recovered (mean-ablated is 0)",
}
_KINDS = {"topk": "circle", "jumprelu": "square", "gated": "triangle-up"}


def frontier_chart(frame: pd.DataFrame, scheme: Scheme = "light") -> Figure:
    """Active latents against the variance that they leave, and against the loss that they recover.

    Args:
        frame: rows of `probes.dictionary`: `kind`, `latents`, `wanted_l0`, `metric` (`l0`, `fvu`
            and, of a language model, `loss_recovered_mean`), `value`, `ci_low`, `ci_high`; with
            `run`, `step` and `site` where there are several.

    Raises:
        InputError: columns are missing, or there is no value to draw.
    """
    needed = ("kind", "latents", "wanted_l0", "metric", "value", "ci_low", "ci_high")
    require_columns(frame, needed, "dictionaries")
    points = _points(frame)
    panels = [name for name in _PANELS if name in set(points["metric"])]
    if not panels:
        raise InputError("The frame of the dictionaries has no FVU; there is nothing to draw.")
    several = points["series"].nunique() > 1
    drawn = [_panel(points[points["metric"] == name], name, several, scheme) for name in panels]
    chart = alt.hconcat(*drawn, spacing=36).resolve_scale(color="shared", shape="shared")
    return Figure(themed(chart, scheme), _finding(points), frame)


def _points(frame: pd.DataFrame) -> pd.DataFrame:
    """A row for each dictionary and panel, with the measured number of active latents beside."""
    owner = [name for name in ("run", "step", "site") if name in frame.columns]
    keys = [*owner, "kind", "latents", "wanted_l0"]
    l0 = frame[frame["metric"] == "l0"][[*keys, "value"]].rename(columns={"value": "active"})
    points = frame[frame["metric"].isin([*_PANELS])].merge(l0, on=keys, how="inner")
    if not len(points):
        raise InputError("The frame of the dictionaries has no L0; there is nothing to draw.")
    finite(points["value"], "values of the dictionaries")
    told = [name for name in [*owner, "kind", "latents"] if points[name].nunique() > 1] or ["kind"]
    names = [" ".join(str(row[name]) for name in told) for row in points.to_dict("records")]
    return points.assign(series=names).sort_values(["series", "active"], ignore_index=True)


def _panel(
    points: pd.DataFrame, metric: str, several: bool, scheme: Scheme
) -> alt.LayerChart | alt.FacetChart:
    colors = PALETTES[scheme]
    heard = [
        f"{row.series}: {number(row.active)} active latents, {_PANELS[metric]} {percent(row.value)}"
        for row in points.itertuples()
    ]
    series = sorted(points["series"].unique())
    shades = [colors.sequential[7], colors.accent, colors.muted, colors.sequential[4], colors.ink]
    scale = alt.Scale(domain=series, range=[shades[i % len(shades)] for i in range(len(series))])
    shapes = list(_KINDS.values())
    shape = alt.Scale(domain=series, range=[shapes[i % len(shapes)] for i in range(len(series))])
    legend = alt.Legend(title=None, orient="top", symbolStrokeWidth=0, symbolOpacity=1)
    title = _PANELS[metric]
    base = alt.Chart(points.assign(heard=heard)).encode(
        x=alt.X(
            "active:Q",
            title="active latents at a token (L0)",
            scale=alt.Scale(type="log", base=2, nice=False, padding=16),
            axis=alt.Axis(values=_ticks(points["active"]), format="~s"),
        ),
        color=alt.Color("series:N", scale=scale, legend=legend if several else None),
    )
    y = alt.Y(
        "value:Q",
        title=title,
        scale=alt.Scale(zero=False, padding=16),
        axis=alt.Axis(format="%", grid=True, gridColor=colors.line, tickCount=5),
    )
    line = base.mark_line(strokeWidth=1.5).encode(y=y)
    interval = base.mark_rule(strokeWidth=2).encode(
        y=alt.Y("ci_low:Q", title=title), y2="ci_high:Q"
    )
    dots = base.mark_point(filled=True, size=70, opacity=1).encode(
        y=y,
        shape=alt.Shape("series:N", scale=shape, legend=legend if several else None),
        description="heard:N",
        tooltip=[
            alt.Tooltip("series:N", title="dictionary"),
            alt.Tooltip("active:Q", title="active latents", format=".3~g"),
            alt.Tooltip("value:Q", title=title, format=".2%"),
            alt.Tooltip("ci_low:Q", title="95% interval from", format=".2%"),
            alt.Tooltip("ci_high:Q", title="to", format=".2%"),
        ],
    )
    return alt.layer(line, interval, dots).properties(width=_SIZE[0], height=_SIZE[1])


def _ticks(active: pd.Series) -> list[float]:
    """The powers of two around the values."""
    powers = [2.0**i for i in range(21)]
    low, high = active.min(), active.max()
    return [power for power in powers if low / 2 <= power <= 2 * high]


def _finding(points: pd.DataFrame) -> str:
    def said(row: pd.Series) -> str:
        return f"{percent(row['value'])} with {number(float(row['active']))} active latents"

    fvu = points[points["metric"] == "fvu"].sort_values("active")
    few, many = fvu.iloc[0], fvu.iloc[-1]
    text = f"Variance that sparse dictionaries leave unexplained: {said(few)} ({few['series']})"
    if len(fvu) > 1:
        text += f", {said(many)} ({many['series']})"
    recovered = points[points["metric"] == "loss_recovered_mean"]
    if len(recovered):
        best = recovered.loc[recovered["value"].idxmax()]
        text += f". The most of the loss is recovered by {best['series']}: {said(best)}"
    return f"{text}."
