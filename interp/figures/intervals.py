"""Values with their intervals, a row a thing."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from interp.figures.figure import themed
from interp.figures.labels import number, percent, shorten
from interp.figures.theme import PALETTES, Scheme

_WIDTH = 420  # pixels of the axis of values
_ROW = 19  # pixels of a row
_SHAPES = ("circle", "diamond", "triangle-up", "square", "cross")


@dataclass(frozen=True)
class Values:
    """What the values of a chart are, and the axis that they are drawn along.

    Attributes:
        title: of the axis.
        reference: a value to compare with, drawn as a dashed line; None for none.
        share: values are shares, shown in per cent.
        domain: the ends of the axis; by default those of the intervals and the reference.
    """

    title: str
    reference: float | None = None
    share: bool = True
    domain: tuple[float, float] | None = None

    def text(self, value: float) -> str:
        """A value in words."""
        return percent(value) if self.share else number(float(value))

    def sure(self, row: Any) -> str:
        """The value of a row with its interval, in words."""
        if math.isnan(row.ci_low):
            return self.text(row.value)
        return f"{self.text(row.value)} ({self.text(row.ci_low)} to {self.text(row.ci_high)})"

    def scale(self, frame: pd.DataFrame) -> alt.Scale:
        if self.domain is not None:
            return alt.Scale(domain=list(self.domain), nice=False)
        ends = frame[["value", "ci_low", "ci_high"]].to_numpy(float).ravel()
        ends = np.append(ends, math.nan if self.reference is None else self.reference)
        low, high = float(np.nanmin(ends)), float(np.nanmax(ends))
        edge = 0.04 * (high - low) or 0.1
        if self.share:  # which does not go beyond its ends
            return alt.Scale(domain=[max(low - edge, 0.0), min(high + edge, 1.0)], nice=False)
        return alt.Scale(domain=[low - edge, high + edge], nice=False)

    def axis(self, scheme: Scheme) -> alt.Axis:
        line = PALETTES[scheme].line
        form = "%" if self.share else "~g"
        return alt.Axis(format=form, tickCount=6, grid=True, gridColor=line)


def model_names(frame: pd.DataFrame) -> list[str]:
    """What to call the model of each row, from `run` and `step`."""
    return [
        str(run) if pd.isna(step) else f"{run} at step {int(step):,}"
        for run, step in zip(frame["run"], frame["step"], strict=True)
    ]


def group_colors(n: int, scheme: Scheme) -> list[str]:
    """Colours of n groups, at most five, which never differ by colour alone."""
    colors = PALETTES[scheme]
    return [colors.sequential[7], colors.accent, colors.ink, colors.muted, colors.sequential[4]][:n]


def chart_title(lines: str, scheme: Scheme) -> alt.TitleParams:
    """What a reader must know, above a chart."""
    wrapped = textwrap.wrap(lines, 84)
    color = PALETTES[scheme].muted
    return alt.TitleParams(wrapped, fontSize=12, fontWeight=400, color=color)


def rows_chart(
    frame: pd.DataFrame,
    values: Values,
    scheme: Scheme,
    *,
    groups: Sequence[str] = ("",),
    note: str = "",
) -> alt.TopLevelMixin:
    """A row for each label, in the order of the frame, with a mark for each group in it.

    Args:
        frame: `label`, `value`, `ci_low`, `ci_high` (NaN for none) and `n`; `group` if there are
            several; with `part`, rows stand in parts with a heading each.
        groups: in their order.
        note: what a reader must know.
    """
    data = frame if "group" in frame else frame.assign(group=groups[0])
    data = data.assign(
        shown=[shorten(str(label), 46) for label in data["label"]],
        heard=[_heard(row, values) for row in data.itertuples()],
        part=data.get("part", ""),
    )
    # One rule of reference for each part, not one for each of its rows.
    data["first"] = ~data.duplicated("part")
    scale, axis = values.scale(data), values.axis(scheme)
    several = len(groups) > 1
    legend = alt.Legend(title=None, orient="top", symbolSize=80, labelLimit=300)
    color = alt.Color(
        "group:N",
        scale=alt.Scale(domain=list(groups), range=group_colors(len(groups), scheme)),
        legend=legend if several else None,
    )
    shape = alt.Shape(
        "group:N",
        scale=alt.Scale(domain=list(groups), range=list(_SHAPES[: len(groups)])),
        legend=legend if several else None,
    )
    y: dict[str, Any] = {
        "y": alt.Y(
            "shown:N", sort=list(dict.fromkeys(data["shown"])), title=None,
            axis=alt.Axis(labelLimit=340),
        )
    }  # fmt: skip
    if several:
        y["yOffset"] = alt.YOffset("group:N", sort=list(groups))
    base = alt.Chart().encode(color=color, tooltip=[alt.Tooltip("heard:N", title="reads")], **y)
    layers = [
        base.mark_rule(strokeWidth=2, aria=False).encode(
            x=alt.X("ci_low:Q", title=values.title, scale=scale, axis=axis), x2="ci_high:Q"
        ),
        base.mark_point(filled=True, opacity=1, size=58).encode(
            x=alt.X("value:Q", title=values.title, scale=scale, axis=axis),
            shape=shape,
            description="heard:N",
        ),
    ]
    if values.reference is not None:
        layers.insert(0, reference_rule(alt.XDatum(values.reference, scale=scale), scheme))
    row = _ROW * max(1.0, 0.5 + 0.35 * len(groups))
    chart = alt.layer(*layers, data=data).properties(
        width=_WIDTH, height=alt.Step(row, **{"for": "position"})
    )
    if data["part"].nunique() > 1:
        heading = alt.Header(
            title=None, labelOrient="top", labelAnchor="start", labelFontSize=13,
            labelFontWeight=600, labelColor=PALETTES[scheme].ink, labelPadding=4,
        )  # fmt: skip
        order = list(dict.fromkeys(data["part"]))
        faceted = chart.facet(row=alt.Row("part:N", sort=order, header=heading), spacing=8)
        faceted = faceted.resolve_scale(y="independent", yOffset="independent")
        return themed(faceted.properties(title=chart_title(note, scheme)), scheme)
    return themed(chart.properties(title=chart_title(note, scheme)), scheme)


def reference_rule(at: alt.XDatum | alt.YDatum, scheme: Scheme) -> alt.Chart:
    """A dashed line across the chart, from the rows that are the `first` of their part."""
    rule = (
        alt.Chart()
        .transform_filter("datum.first")
        .mark_rule(color=PALETTES[scheme].muted, strokeDash=[4, 4], aria=False)
    )
    placed: alt.Chart = rule.encode(at)
    return placed


def _heard(row: Any, values: Values) -> str:
    """A row of the frame in words."""
    group = f", {row.group}" if row.group else ""
    n = "" if pd.isna(row.n) else f", n = {int(row.n):,}"
    return f"{row.label}{group}: {values.sure(row)}{n}"
