"""The spectrum of a table of numbers: bars for one model, a map over a training."""

from __future__ import annotations

import altair as alt
import pandas as pd

from interp.figures.figure import Figure, finite, require_columns, themed
from interp.figures.labels import count, percent
from interp.figures.moments import model_labels
from interp.figures.theme import PALETTES, Scheme, color_range

_WIDTH, _HEIGHT = 560, 260


def fourier_chart(frame: pd.DataFrame, *, scheme: Scheme = "light") -> Figure:
    """How the power of embeddings is spread over frequencies.

    Args:
        frame: rows with `metric` `power` for each `frequency`, and one `sparsity`, of each
            checkpoint; columns `metric`, `value`, `frequency`, `chance`, and where there are
            several models `run` and `step`.

    Raises:
        InputError: columns are missing, or values are not finite.
    """
    require_columns(frame, ("metric", "value", "frequency", "chance"), "spectrum")
    finite(frame["value"], "column 'value' of the spectrum")
    frame = frame.assign(moment=model_labels(frame))
    several = frame["moment"].nunique() > 1
    power = frame[frame["metric"] == "power"].reset_index(drop=True)
    sparse = frame[frame["metric"] == "sparsity"].reset_index(drop=True)
    draw = _map if several else _bars
    return Figure(draw(power, scheme), _finding(sparse, several), frame)


def _bars(power: pd.DataFrame, scheme: Scheme) -> alt.TopLevelMixin:
    colors = PALETTES[scheme]
    n = power["frequency"].nunique()
    bars = (
        alt.Chart(power)
        .mark_bar(color=colors.sequential[6])
        .encode(
            x=alt.X(
                "frequency:Q",
                title="frequency: turns over all numbers",
                scale=alt.Scale(domain=[0, n + 1], nice=False),
            ),
            y=alt.Y(
                "value:Q",
                title="share of the power",
                axis=alt.Axis(format="%", grid=True, gridColor=colors.line),
            ),
            tooltip=["frequency:Q", alt.Tooltip("value:Q", title="share", format=".1%")],
        )
    )
    even = alt.Chart(
        pd.DataFrame({"even": [1 / n], "at": [n + 1], "text": ["spread evenly"]})
    ).encode(y=alt.Y("even:Q"))
    rule = even.mark_rule(color=colors.muted, strokeDash=[4, 4])
    words = even.mark_text(align="right", dy=-8, color=colors.muted, fontSize=12).encode(
        x=alt.X("at:Q"), text="text:N"
    )
    chart = alt.layer(bars, rule, words).properties(width=_WIDTH, height=_HEIGHT)
    return themed(chart, scheme)


def _map(power: pd.DataFrame, scheme: Scheme) -> alt.TopLevelMixin:
    colors = PALETTES[scheme]
    order = list(dict.fromkeys(power["moment"]))
    top = float(power["value"].max())
    n = int(power["frequency"].max())
    x = alt.X(
        "moment:N",
        title=None,
        sort=order,
        axis=alt.Axis(labelAngle=-45, labelOverlap="parity"),
    )
    cells = (
        alt.Chart(power)
        .mark_rect()
        .encode(
            x=x,
            y=alt.Y(
                "frequency:O",
                title="frequency: turns over all numbers",
                sort="descending",
                axis=alt.Axis(values=[1, *range(10, n + 1, 10)]),
            ),
            color=alt.Color(
                "value:Q",
                title="share of the power",
                scale=alt.Scale(**color_range(colors.sequential, 0.0, top)),
                legend=alt.Legend(format=".0%", gradientLength=160),
            ),
            tooltip=["moment:N", "frequency:O", alt.Tooltip("value:Q", format=".1%")],
        )
    )
    chart = alt.layer(cells).properties(width=_WIDTH, height=max(_HEIGHT, 6 * n))
    return themed(chart, scheme)


def _finding(sparse: pd.DataFrame, several: bool) -> str:
    last = sparse.iloc[-1]
    text = (
        f"The ten strongest frequencies hold {percent(last['value'])} of the power of the "
        f"embeddings{' at the end' if several else ''}; in embeddings drawn at random they would "
        f"hold {percent(last['chance'])}."
    )
    if several:
        first = sparse.iloc[0]
        text += (
            f" At the first of {count(len(sparse), 'checkpoint')} they held "
            f"{percent(first['value'])}."
        )
    return text
