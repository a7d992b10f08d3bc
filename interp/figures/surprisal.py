"""How surprising each word of a text is: bars in the order of reading."""

from __future__ import annotations

import altair as alt
import pandas as pd

from interp.figures.figure import Figure, require_columns, themed
from interp.figures.intervals import chart_title, model_names
from interp.figures.labels import number, quoted, shorten, visible
from interp.figures.lens import lookup
from interp.figures.theme import PALETTES, Scheme

_BAR = 34  # pixels of a unit
_HEIGHT = 150
_MOST = 48  # units of a text that are drawn


def surprisal_chart(frame: pd.DataFrame, scheme: Scheme = "light") -> Figure:
    """The surprisal of the units of the first text, one panel for each model; the first 48 units.

    Args:
        frame: as `probes.surprisal` makes it, with the keys of its models: `run`, `step`, `text`,
            `position`, `token`, `value` (bits, NaN where nothing predicts).

    Raises:
        InputError: columns are missing.
    """
    require_columns(frame, ("run", "step", "text", "position", "token", "value"), "surprisals")
    text = frame["text"].iloc[0]
    cells = frame[(frame["text"] == text) & (frame["position"] < _MOST)]
    labels = [shorten(visible(token), 14) for token in _first_model(cells)["token"]]
    colors = PALETTES[scheme]
    data = pd.DataFrame(
        {
            "position": cells["position"].astype(int),
            "bits": cells["value"].astype(float),
            "model": model_names(cells),
            "heard": [
                f"{quoted(row.token)}: "
                + ("nothing predicts it" if pd.isna(row.value) else f"{number(row.value)} bits")
                for row in cells.itertuples()
            ],
        }
    )
    order = list(dict.fromkeys(data["model"]))
    bars = alt.Chart(data).encode(
        x=alt.X(
            "position:O",
            title=None,
            scale=alt.Scale(domain=list(range(len(labels)))),
            axis=alt.Axis(labelExpr=lookup(labels), labelAngle=-40, labelOverlap=False),
        ),
        y=alt.Y(
            "bits:Q",
            title="surprisal, bits",
            axis=alt.Axis(grid=True, gridColor=colors.line, tickCount=4),
        ),
        tooltip=[alt.Tooltip("heard:N", title="reads")],
        description="heard:N",
    )
    layer = alt.layer(bars.mark_bar(color=colors.sequential[6])).properties(
        width=alt.Step(_BAR), height=_HEIGHT
    )
    note = "" if len(labels) < _MOST else f"The first {_MOST} units."
    if len(order) == 1:
        chart = themed(layer.properties(title=chart_title(note, scheme)), scheme)
    else:
        heading = alt.Header(
            title=None, labelOrient="top", labelAnchor="start", labelColor=colors.ink
        )
        rows = layer.facet(row=alt.Row("model:N", sort=order, header=heading), spacing=6)
        chart = themed(rows.properties(title=chart_title(note, scheme)), scheme)
    return Figure(chart, _finding(data, cells, order), cells)


def _first_model(cells: pd.DataFrame) -> pd.DataFrame:
    return cells.drop_duplicates("position").sort_values("position")


def _finding(data: pd.DataFrame, cells: pd.DataFrame, order: list[str]) -> str:
    parts = []
    for model in order:
        mine = data[(data["model"] == model) & data["bits"].notna()]
        if len(mine):
            top = mine["bits"].idxmax()
            parts.append(
                f"{model}: {number(float(mine['bits'].sum()))} bits in {len(mine)} units, most at "
                f"{quoted(str(cells['token'].loc[top]))} ({number(float(mine['bits'].loc[top]))})."
            )
    return "Surprisal in the order of reading. " + " ".join(parts)
