"""How well each relation between two words is read out of each layer."""

from __future__ import annotations

import altair as alt
import pandas as pd

from interp.errors import InputError
from interp.figures.atlas import layer_lines, layer_name
from interp.figures.figure import Figure, finite, require_columns, themed
from interp.figures.intervals import Values, chart_title
from interp.figures.labels import percent, shorten
from interp.figures.theme import PALETTES, Scheme, blend, color_range, text_color

_CELL = (40, 20)  # pixels
_MOST = 24


def edges_chart(frame: pd.DataFrame, *, scheme: Scheme = "light") -> Figure:
    """For each model, of runs the last step: accuracy by layer beside its controls, and F1 of each
    label by layer, the most frequent above.

    Args:
        frame: of `probes.edges`.

    Raises:
        InputError: columns are missing, or there is no F1 of a label.
    """
    about = ("run", "step", "layer", "split", "draw", "label")
    require_columns(frame, (*about, "metric", "value", "ci_low", "ci_high", "n"), "edges")
    last = frame.groupby("run")["step"].transform("max")
    frame = frame[frame["step"].isna() | (frame["step"] == last)]
    data = frame[frame["metric"] == "f1"].astype({"layer": int})
    if not len(data):
        raise InputError("The frame of the edges has no `f1` of a label; there is no map.")
    finite(data["value"], "F1 of the labels")
    rows, findings = [], []
    for run, mine in data.groupby("run", sort=False):
        whole = frame[frame["run"] == run]
        lines = layer_lines(str(run), whole, scheme)
        counts = mine.groupby("label")["n"].first().sort_values(ascending=False, kind="stable")
        mine = mine[mine["label"].isin(counts.index[:_MOST])]
        both = alt.vconcat(lines, _map(mine, counts, scheme), spacing=20)
        # The legend of the lines stands beside all, since their rules have names at their ends.
        rows.append(both.resolve_scale(fill="independent"))
        findings.append(_finding(str(run), whole, mine))
    chart = alt.vconcat(*rows, spacing=28)
    return Figure(themed(chart, scheme), " ".join(findings), data.reset_index(drop=True))


def _map(data: pd.DataFrame, counts: pd.Series, scheme: Scheme) -> alt.LayerChart | alt.FacetChart:
    colors = PALETTES[scheme]
    shown = counts.index[:_MOST]
    sure = Values("F1")
    cells = pd.DataFrame(
        {
            "layer": data["layer"].to_numpy(),
            "label": [shorten(str(label), 24) for label in data["label"]],
            "value": data["value"].to_numpy(),
            "text": [f"{100 * value:.0f}" for value in data["value"]],
            "ink": [text_color(blend(colors.sequential, value)) for value in data["value"]],
            "heard": [
                f"{r.label} at {layer_name(r.layer)}: {sure.sure(r)}, n = {int(r.n):,}"
                for r in data.itertuples()
            ],
        }
    )
    base = alt.Chart(cells).encode(
        x=alt.X("layer:O", title="blocks passed", axis=alt.Axis(labelAngle=0)),
        y=alt.Y(
            "label:N", sort=[shorten(str(label), 24) for label in shown], title=None,
            axis=alt.Axis(labelLimit=160),
        ),
        tooltip=[alt.Tooltip("heard:N", title="reads")],
    )  # fmt: skip
    boxes = base.mark_rect(stroke=colors.paper, strokeWidth=1).encode(
        fill=alt.Fill(
            "value:Q",
            scale=alt.Scale(**color_range(colors.sequential, 0.0, 1.0)),
            legend=alt.Legend(title="F1", format=".0%", tickCount=4),
        ),
        description="heard:N",
    )
    numbers = base.mark_text(fontSize=11, aria=False).encode(
        text="text:N", color=alt.Color("ink:N", scale=None)
    )
    left = len(counts) - len(shown)
    title = "F1 of each label in per cent, the most frequent above" + (
        f"; {left} rarer ones are not shown" if left else ""
    )
    size = {"width": alt.Step(_CELL[0]), "height": alt.Step(_CELL[1])}
    return alt.layer(boxes, numbers, title=chart_title(title, scheme), **size)


def _finding(run: str, frame: pd.DataFrame, data: pd.DataFrame) -> str:
    every = frame[frame["metric"] == "micro_f1"]
    best = every.loc[every["value"].idxmax()]
    text = (
        f"{run}: edges are read best at {layer_name(best['layer'])}, "
        f"micro-F1 {percent(best['value'])}"
    )
    first = every.loc[every["layer"] == 0, "value"]
    if len(first) and best["layer"] > 0:
        text += f", against {percent(first.iloc[0])} from the words alone"
    here = data[data["layer"] == best["layer"]]
    low, high = here.loc[here["value"].idxmin()], here.loc[here["value"].idxmax()]
    return (
        f"{text}. There {high['label']} is read with an F1 of {percent(high['value'])}, "
        f"{low['label']} with {percent(low['value'])}."
    )
