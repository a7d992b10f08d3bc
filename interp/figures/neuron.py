"""The neurons that are strongest at a position, and what one of them writes."""

from __future__ import annotations

import altair as alt
import pandas as pd

from interp.figures.figure import Figure, finite, require_columns, themed
from interp.figures.labels import count, number, quoted
from interp.figures.latent import written_bars
from interp.figures.lens import lookup
from interp.figures.theme import PALETTES, Scheme

_ROW = 18  # pixels of a bar with its gap


def strongest_chart(
    frame: pd.DataFrame,
    *,
    scheme: Scheme = "light",
    chosen: int | None = None,
    width: int = 320,
    what: str = "neuron",
) -> Figure:
    """A bar for each neuron, in the order of the rows: how active it is.

    A click selects: `selection_point(name="neuron", fields=["neuron"])`.

    Args:
        frame: rows of `neuron`, `value` (its activation).
        chosen: a neuron whose label is marked, for a page that shows more about it.
        width: pixels of the axis of activations.
        what: a neuron is called.

    Raises:
        InputError: columns are missing, no rows, or a value that is not finite.
    """
    require_columns(frame, ("neuron", "value"), f"{what}s")
    values = finite(frame["value"], "activations")
    colors = PALETTES[scheme]
    rows = pd.DataFrame(
        {
            "place": range(len(frame)),
            "neuron": frame["neuron"].astype(int).to_numpy(),
            "value": values,
            "heard": [
                f"{what} {neuron}: {number(value, signed=True)}"
                for neuron, value in zip(frame["neuron"], values.tolist(), strict=True)
            ],
        }
    )
    labels = [f"[{n}]" if n == chosen else str(n) for n in rows["neuron"]]
    bars = (
        alt.Chart(rows)
        .mark_bar(cursor="pointer")
        .encode(
            x=alt.X(
                "value:Q",
                title="activation",
                scale=alt.Scale(domain=[min(0.0, values.min()), max(0.0, values.max())]),
                axis=alt.Axis(grid=True, gridColor=colors.line, tickCount=4),
            ),
            y=alt.Y(
                "place:O",
                title=what,
                axis=alt.Axis(labelExpr=lookup(labels), labelColor=colors.ink),
            ),
            color=alt.condition(
                "datum.value > 0", alt.value(colors.diverging[-2]), alt.value(colors.diverging[1])
            ),
            tooltip=[alt.Tooltip("heard:N", title=" ")],
            description="heard:N",
        )
        .add_params(alt.selection_point(name="neuron", fields=["neuron"]))
    )
    zero = alt.Chart(rows[:1]).mark_rule(color=colors.muted, aria=False).encode(x=alt.datum(0))
    chart = alt.layer(bars, zero).properties(width=width, height=alt.Step(_ROW))
    first = rows["heard"][int(abs(rows["value"]).idxmax())]
    finding = f"Of the {count(len(rows), what)} shown, the strongest is {first}."
    return Figure(themed(chart, scheme), finding, frame)


def writes_chart(writes: pd.DataFrame, *, scheme: Scheme = "light") -> Figure:
    """The tokens that a neuron raises and lowers by itself, per unit of its activation.

    Args:
        writes: rows of `side` (`promoted`, `suppressed`), `rank`, `token`, `value`.

    Raises:
        InputError: columns are missing, no rows, or a value that is not finite.
    """
    require_columns(writes, ("side", "rank", "token", "value"), "tokens that are written")
    finite(writes["value"], "logits that are written")
    parts = []
    for side, verb in (("promoted", "raises"), ("suppressed", "lowers")):
        tokens = writes[writes["side"] == side].sort_values("rank")["token"][:3]
        if len(tokens):
            parts.append(f"{verb} {', '.join(quoted(str(token)) for token in tokens)} most")
    chart = alt.layer(written_bars(writes, scheme))
    return Figure(themed(chart, scheme), f"By itself it {' and '.join(parts)}.", writes)
