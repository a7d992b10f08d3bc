"""What the labels cost from each layer, block by block."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from interp.errors import InputError
from interp.figures.figure import Figure, require_columns, themed
from interp.figures.intervals import chart_title, model_names
from interp.figures.theme import PALETTES, Scheme, color_range

_STEP, _HEIGHT = 44, 220  # pixels
_KINDS = {"task": "the task", "control": "control task"}


def mdl_chart(frame: pd.DataFrame, *, scheme: Scheme = "light") -> Figure:
    """The code of each layer as a stack of its blocks, the task beside the control task, with the
    price of guessing; a row for each model, of runs the last step.

    Args:
        frame: of `probes.mdl`.

    Raises:
        InputError: columns are missing, or there is no code.
    """
    require_columns(
        frame, ("run", "step", "layer", "labels", "fraction", "metric", "value"), "codes"
    )
    last = frame.groupby("run")["step"].transform("max")
    frame = frame[frame["step"].isna() | (frame["step"] == last)].assign(model=model_names)
    data = frame[frame["metric"] == "codelength"].astype({"layer": int})
    found = frame[(frame["metric"] == "compression") & (frame["labels"] == "task")]
    if not len(data) or not len(found):
        raise InputError("The frame has no `codelength` and `compression` of a task: no bars.")
    colors = PALETTES[scheme]
    data = data.assign(
        power=np.log10(data["fraction"]),
        heard=[
            f"after {r.layer} blocks, words up to {r.fraction:.1%}: {r.value:.2f} bits a word"
            for r in data.itertuples()
        ],
    )
    uniform = frame[frame["metric"] == "uniform"]
    top = max(data.groupby(["model", "labels", "layer"])["value"].sum().max(), *uniform["value"])
    y = alt.Y(
        "value:Q",
        title="bits a word",
        scale=alt.Scale(domain=[0, 1.08 * top], nice=False),
        axis=alt.Axis(grid=True, gridColor=colors.line, tickCount=5),
    )
    # Blocks double, so that shades are even in the logarithm.
    fill = alt.Color(
        "power:Q",
        scale=alt.Scale(**color_range(colors.sequential, data["power"].min() - 0.5, 0)),
        legend=alt.Legend(
            title=["words sent", "when it ends"],
            values=[-2, -1, 0],
            labelExpr="format(pow(10, datum.value), '.0%')",
        ),
    )
    rows_of: dict[str, list[alt.LayerChart | alt.FacetChart]] = {}
    for (model, kind), rows in data.groupby(["model", "labels"], sort=False):
        bars = alt.Chart(rows.drop(columns="step")).mark_bar(stroke=colors.paper, strokeWidth=1)
        price = uniform[(uniform["model"] == model) & (uniform["labels"] == kind)][["value"]]
        rule = alt.Chart(price.head(1).assign(name="guessing evenly"))
        rows_of.setdefault(str(model), []).append(
            alt.layer(
                bars.encode(
                    x=alt.X("layer:O", title="blocks passed", axis=alt.Axis(labelAngle=0)),
                    y=y,
                    color=fill,
                    order="power:Q",
                    description="heard:N",
                    tooltip=[alt.Tooltip("heard:N", title="costs")],
                ),
                rule.mark_rule(color=colors.muted, strokeDash=[4, 4]).encode(y=y),
                rule.mark_text(align="left", dx=4, dy=-7, fontSize=11, color=colors.muted).encode(
                    y=y, x=alt.value(0), text="name:N"
                ),
                title=chart_title(f"{model}: {_KINDS[str(kind)]}", scheme),
                width=alt.Step(_STEP),
                height=_HEIGHT,
            )
        )
    chart = alt.vconcat(*(alt.hconcat(*panels) for panels in rows_of.values()))
    best = found.sort_values("value").iloc[-1]
    text = (
        f"The labels are shortest from {best['model']} after {int(best['layer'])} blocks, "
        f"{best['value']:.1f} times shorter than guessing evenly."
    )
    return Figure(themed(chart, scheme), text, data.reset_index(drop=True))
