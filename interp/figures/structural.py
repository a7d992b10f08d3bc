"""How much of the syntax trees lies in the geometry of each layer."""

from __future__ import annotations

import altair as alt
import pandas as pd

from interp.errors import InputError
from interp.figures.figure import Figure, require_columns, themed
from interp.figures.intervals import Values, chart_title, group_colors, model_names
from interp.figures.labels import percent
from interp.figures.theme import PALETTES, Scheme

_SIZE = (360, 240)
_SERIES = {"uuas": "the model", "twin_uuas": "random weights"}


def structural_chart(frame: pd.DataFrame, *, scheme: Scheme = "light") -> Figure:
    """The share of edges found by layer, of the model and of its random twin, and of a chain; a
    panel for each model, of runs the last step.

    Args:
        frame: of `probes.structural`.

    Raises:
        InputError: columns are missing, or no layer has a share of edges.
    """
    require_columns(
        frame, ("run", "step", "layer", "metric", "value", "ci_low", "ci_high"), "trees"
    )
    last = frame.groupby("run")["step"].transform("max")
    frame = frame[frame["step"].isna() | (frame["step"] == last)]
    data = frame[frame["metric"].isin(_SERIES)].assign(model=model_names)
    if not len(data):
        raise InputError("The frame of the trees has no `uuas` of a layer; there is no curve.")
    data = data.assign(
        series=data["metric"].map(_SERIES),
        heard=[
            f"after {int(r.layer)} blocks: {Values('edges').sure(r)}" for r in data.itertuples()
        ],
    ).astype({"layer": int})
    chain = frame[frame["metric"] == "chain"].assign(model=model_names)
    colors = PALETTES[scheme]
    present = list(dict.fromkeys(data["series"]))
    legend = alt.Legend(
        title=None, orient="top", symbolType="stroke", symbolSize=400, symbolOpacity=1
    )
    paint = group_colors(len(present), scheme)
    color = alt.Color("series:N", scale=alt.Scale(domain=present, range=paint), legend=legend)
    dash = alt.StrokeDash(
        "series:N", scale=alt.Scale(domain=present, range=[[1, 0], [7, 3]][: len(present)]),
        legend=legend,
    )  # fmt: skip
    axis = alt.Axis(format="%", grid=True, gridColor=colors.line, tickCount=6)
    y = alt.Y("value:Q", title="share of edges found", axis=axis, scale=alt.Scale(zero=False))
    depths = sorted(set(data["layer"]))
    x = alt.X(
        "layer:Q", title="blocks passed (0: the embedding)",
        axis=alt.Axis(values=depths, format="d"), scale=alt.Scale(nice=False, padding=12),
    )  # fmt: skip
    panels = []
    for model, rows in data.groupby("model", sort=False):
        base = alt.Chart(rows.drop(columns="step")).encode(x=x, color=color)
        here = chain[chain["model"] == model][["value"]].assign(name="each word on the one before")
        rule = alt.Chart(here)
        panels.append(
            alt.layer(
                rule.mark_rule(color=colors.muted, strokeDash=[4, 4]).encode(y=y),
                rule.mark_text(align="left", dx=4, dy=-7, fontSize=11, color=colors.muted).encode(
                    y=y, x=alt.value(0), text="name:N"
                ),
                base.mark_area(opacity=0.16).encode(y=alt.Y("ci_low:Q"), y2="ci_high:Q"),
                base.mark_line(strokeWidth=2.5).encode(y=y, strokeDash=dash),
                base.mark_point(filled=True, opacity=1, size=34).encode(
                    y=y, description="heard:N", tooltip=[alt.Tooltip("heard:N", title="reads")]
                ),
                width=_SIZE[0],
                height=_SIZE[1],
                title=chart_title(str(model), scheme),
            )
        )
    best = data[data["metric"] == "uuas"].sort_values("value").iloc[-1]
    text = (
        f"A structural probe finds {percent(best['value'])} of the edges of syntax trees in "
        f"{best['model']} after {int(best['layer'])} blocks"
    )
    if len(chain):
        text += f"; a chain of words has {percent(chain['value'].iloc[0])}"
    return Figure(themed(alt.vconcat(*panels), scheme), text + ".", data.reset_index(drop=True))
