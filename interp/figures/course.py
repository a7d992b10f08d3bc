"""Values with their intervals over the steps of a training, a line a thing."""

from __future__ import annotations

import altair as alt
import pandas as pd

from interp.figures.figure import themed
from interp.figures.intervals import Values, chart_title, group_colors, reference_rule
from interp.figures.theme import PALETTES, Scheme

_ALONE, _PANEL = (460, 300), (230, 170)  # pixels
_COLUMNS = 3
_DASHES = ([1, 0], [7, 3], [2, 2], [8, 3, 2, 3], [12, 4])
MOST = len(_DASHES)
"""Lines that can be told from each other."""


def course_chart(
    frame: pd.DataFrame,
    values: Values,
    scheme: Scheme,
    *,
    faint: pd.DataFrame | None = None,
    note: str = "",
) -> alt.TopLevelMixin:
    """A line for each group, with a band for its interval, in a panel for each part.

    Args:
        frame: `step`, `group` (at most five), `value`, `ci_low`, `ci_high` (NaN for none); `part`
            if there are several.
        faint: the same columns, for thin lines behind, one for each of their groups.
        note: what a reader must know.
    """
    colors = PALETTES[scheme]
    groups = list(dict.fromkeys(frame["group"]))
    data = frame.assign(
        front=True,
        heard=[f"step {int(r.step):,}, {r.group}: {values.sure(r)}" for r in frame.itertuples()],
    )
    if faint is not None:
        data = pd.concat([data, faint.assign(front=False, heard=faint["group"])])
    data = data.assign(part=data.get("part", ""))
    data = data.assign(first=~data.duplicated("part"))
    scale, axis = values.scale(data), values.axis(scheme)
    steps = sorted({int(step) for step in frame["step"]})
    x = alt.X(
        "step:Q",
        title="step of training",
        # The first checkpoints double their steps, and one may be step 0.
        scale=alt.Scale(type="symlog", constant=4, nice=False),
        axis=alt.Axis(values=steps, format=",d", labelOverlap="greedy", labelFlush=False),
    )
    parts = list(dict.fromkeys(data["part"]))
    # Of several panels the title of the whole says what the values are.
    side = values.title if len(parts) == 1 else None
    y = alt.Y("value:Q", title=side, scale=scale, axis=axis)
    legend = alt.Legend(
        title=None, orient="top", symbolType="stroke", symbolSize=400, symbolOpacity=1
    )
    shown = legend if len(groups) > 1 else None
    paint = group_colors(len(groups), scheme)
    dashes = [list(dash) for dash in _DASHES[: len(groups)]]
    color = alt.Color("group:N", scale=alt.Scale(domain=groups, range=paint), legend=shown)
    dash = alt.StrokeDash("group:N", scale=alt.Scale(domain=groups, range=dashes), legend=shown)
    heard = [alt.Tooltip("heard:N", title="reads")]
    lines = alt.Chart().transform_filter("datum.front").encode(x=x, color=color)
    layers = [
        alt.Chart()
        .transform_filter("!datum.front")
        .mark_line(color=colors.muted, opacity=0.35, strokeWidth=1, aria=False)
        .encode(x=x, y=y, detail="group:N", tooltip=heard),
        lines.mark_area(opacity=0.16, aria=False).encode(
            y=alt.Y("ci_low:Q", title=side, scale=scale, axis=axis), y2="ci_high:Q"
        ),
        lines.mark_line(strokeWidth=2.5, aria=False).encode(y=y, strokeDash=dash),
        lines.mark_point(filled=True, opacity=1, size=34).encode(
            y=y, description="heard:N", tooltip=heard
        ),
    ]
    if values.reference is not None:
        layers.insert(1, reference_rule(alt.YDatum(values.reference, scale=scale), scheme))
    width, height = _ALONE if len(parts) == 1 else _PANEL
    chart = alt.layer(*layers, data=data).properties(width=width, height=height)
    if len(parts) == 1:
        return themed(chart.properties(title=chart_title(note, scheme)), scheme)
    heading = alt.Header(
        title=None, labelAnchor="start", labelFontSize=13, labelFontWeight=600,
        labelColor=colors.ink,
    )  # fmt: skip
    panels = chart.facet(
        alt.Facet("part:N", sort=parts, header=heading), columns=_COLUMNS, spacing=26
    )
    title = chart_title(f"{values.title[:1].upper()}{values.title[1:]}. {note}", scheme)
    return themed(panels.properties(title=title), scheme)
