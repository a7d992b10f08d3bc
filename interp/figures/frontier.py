"""What a budget of training buys: loss against budget, and loss against the cost of use."""

from __future__ import annotations

import math
from typing import Literal

import altair as alt
import numpy as np
import pandas as pd

from interp.errors import InputError
from interp.figures.amounts import budget_text, short
from interp.figures.figure import Figure, finite, require_columns, themed
from interp.figures.theme import PALETTES, Palette, Scheme

BudgetUnit = Literal["seconds", "FLOPs"]

_SIZE = (640, 300)
_FAR = 10.0  # times outside of the range of a law, from where on it is a guess
_WORSE = 1.15  # times the least loss, up to which a shape is worth drawing

# A Vega expression for the labels of an axis of seconds, in the words of `duration`.
_DURATION = (
    "datum.value < 120 ? format(datum.value, '.3~g') + ' s' : "
    "datum.value < 3570 ? format(datum.value / 60, '.3~g') + ' min' : "
    "datum.value < 172800 ? format(datum.value / 3600, '.3~g') + ' h' : "
    "format(datum.value / 86400, '.3~g') + ' days'"
)


def frontier_chart(
    frame: pd.DataFrame,
    *,
    unit: BudgetUnit,
    loss_unit: str = "nats per token",
    scheme: Scheme = "light",
) -> Figure:
    """The least loss that each budget buys; the budget at hand (factor 1) stands out.

    Hollow points lie more than ten times outside of the compute that the law was fitted to.

    Args:
        frame: a row for each budget: `factor`, `budget`, `d_model`, `n_layers`, `loss`, `ci_low`,
            `ci_high` (NaN where there is no interval) and `beyond`, the times outside.
        unit: of `budget`.
        loss_unit: of `loss`.

    Raises:
        InputError: columns are missing, values are not finite, or no row has factor 1.
    """
    names = ("factor", "budget", "d_model", "n_layers", "loss", "ci_low", "ci_high", "beyond")
    require_columns(frame, names, "budgets")
    for name in ("factor", "budget", "loss", "beyond"):
        _positive(frame, name)
    frame = frame.sort_values("budget", ignore_index=True)
    if not (frame["factor"] == 1).any():
        raise InputError("No row of the budgets has factor 1; there is no budget to compare with.")
    points = frame.assign(
        chosen=frame["factor"] == 1,
        guess=frame["beyond"] > _FAR,
        label=_shapes(frame),
        amount=[budget_text(value, unit) for value in frame["budget"]],
    )
    x = alt.X(
        "budget:Q",
        title="training time" if unit == "seconds" else "operations of training (FLOPs)",
        scale=alt.Scale(type="log", nice=False, padding=24),
        axis=alt.Axis(
            values=frame["budget"].tolist(),
            labelOverlap="parity",
            labelExpr=_DURATION if unit == "seconds" else "format(datum.value, '.1e')",
        ),
    )
    chart = _curve(points, x, loss_unit, scheme, band=True)
    return Figure(chart, _frontier_finding(points, loss_unit), frame)


def use_chart(
    frame: pd.DataFrame, *, loss_unit: str = "nats per token", scheme: Scheme = "light"
) -> Figure:
    """Quality against the cost of use, for the shapes that one training budget affords.

    The shape of least loss stands out. Shapes more than 15 per cent worse are left out.

    Args:
        frame: a row for each shape: `inference_flops` (a token), `d_model`, `n_layers`, `loss`.
        loss_unit: of `loss`.

    Raises:
        InputError: columns are missing or values are not positive numbers.
    """
    names = ("inference_flops", "d_model", "n_layers", "loss")
    require_columns(frame, names, "shapes")
    for name in ("inference_flops", "loss"):
        _positive(frame, name)
    frame = frame.sort_values("inference_flops", ignore_index=True)
    frame = frame[frame["loss"] <= _WORSE * frame["loss"].min()].reset_index(drop=True)
    points = frame.assign(
        chosen=frame.index == frame["loss"].idxmin(),
        guess=False,
        label=_shapes(frame),
        amount=[f"{short(value)} FLOPs a token" for value in frame["inference_flops"]],
    )
    costs = frame["inference_flops"]
    x = alt.X(
        "inference_flops:Q",
        title="operations of use (FLOPs a token)",
        scale=alt.Scale(type="log", nice=False, padding=24),
        axis=alt.Axis(
            format="~s",
            values=_round_values(costs.min(), costs.max()),
            labelOverlap="parity",
        ),
    )
    chart = _curve(points, x, loss_unit, scheme, band=False)
    return Figure(chart, _use_finding(points, loss_unit), frame)


def _positive(frame: pd.DataFrame, name: str) -> None:
    values = finite(frame[name], f"values of {name}")
    if (values <= 0).any():
        raise InputError(
            f"The values of {name} hold {values.min():g}; they must be positive for a logarithmic "
            "axis."
        )


def _shapes(frame: pd.DataFrame) -> list[str]:
    pairs = zip(frame["d_model"], frame["n_layers"], strict=True)
    return [f"{width} × {layers}" for width, layers in pairs]


def _curve(
    points: pd.DataFrame, x: alt.X, loss_unit: str, scheme: Scheme, *, band: bool
) -> alt.TopLevelMixin:
    colors = PALETTES[scheme]
    blue = colors.sequential[6]
    scale = alt.Scale(zero=False, nice=True)
    y = alt.Y("loss:Q", title=f"expected loss ({loss_unit})", scale=scale)
    rim = np.where(points["chosen"], colors.accent, blue)
    points = points.assign(
        place=range(len(points)),
        least=points["loss"] == points["loss"].min(),
        rim=rim,
        face=np.where(points["guess"], colors.paper, rim),  # hollow
        heard=[
            f"{row.amount}: width {row.d_model}, {row.n_layers} layers, loss {row.loss:.2f}"
            for row in points.itertuples()
        ],
    )
    base = alt.Chart(points).encode(x=x, y=y)
    layers: list[alt.Chart] = []
    if band and points[["ci_low", "ci_high"]].notna().all(axis=None):
        area = base.mark_area(color=blue, opacity=0.18, aria=False)
        layers.append(area.encode(y=alt.Y("ci_low:Q", scale=scale), y2="ci_high:Q"))
    layers.append(base.mark_line(color=blue, strokeWidth=2, aria=False))
    layers.append(
        base.mark_point(filled=True, size=70, opacity=1, strokeWidth=2).encode(
            fill=alt.Fill("face:N", scale=None),
            stroke=alt.Stroke("rim:N", scale=None),
            description="heard:N",
            tooltip=[
                alt.Tooltip("amount:N", title="budget" if band else "use"),
                alt.Tooltip("label:N", title="width × layers"),
                alt.Tooltip("loss:Q", format=".3f"),
            ],
        )
    )
    layers += [_labels(base, points, colors, rising=rising) for rising in (False, True)]
    chart = alt.layer(*layers)
    return themed(chart.properties(width=_SIZE[0], height=_SIZE[1]), scheme, autosize="fit-x")


def _labels(base: alt.Chart, points: pd.DataFrame, colors: Palette, *, rising: bool) -> alt.Chart:
    """The shapes beside their points, above the curve: right of it where it falls, left where it
    rises. Neighbours on a dense ladder would write over one another, so some have no label."""
    at, least = (int(points[name].to_numpy().argmax()) for name in ("chosen", "least"))
    every = max(1, round(len(points) / 9))
    side = f"datum.place > {least + every}" if rising else f"datum.place <= {least}"
    texts = base.mark_text(
        align="right" if rising else "left", dx=-7 if rising else 7, dy=-10, aria=False, fontSize=12
    )
    labels: alt.Chart = texts.encode(
        text="label:N",
        color=alt.condition(
            alt.datum.chosen, alt.value(colors.accent_text), alt.value(colors.muted)
        ),
    ).transform_filter(f"{side} && datum.place % {every} == {at % every}")
    return labels


def _round_values(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten from `low` to `high`."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    return [value for value in values if low <= value <= high]


def _frontier_finding(points: pd.DataFrame, loss_unit: str) -> str:
    (own,) = points[points["chosen"]].head(1).itertuples()
    first, last = points.iloc[0], points.iloc[-1]
    text = (
        f"Expected loss against training budget: {own.loss:.2f} {loss_unit} for {own.amount}, "
        f"with width × layers of {own.label}"
    )
    if len(points) > 1:
        text += (
            f"; from {first['loss']:.2f} for {first['amount']} down to {last['loss']:.2f} for "
            f"{last['amount']}"
        )
    guesses = int(np.count_nonzero(points["guess"]))
    if guesses:
        far = "All" if guesses == len(points) else f"{guesses} of {len(points)}"
        text += f". {far} lie more than ten times outside of what the law was fitted to"
    return f"{text}."


def _use_finding(points: pd.DataFrame, loss_unit: str) -> str:
    (best,) = points[points["chosen"]].itertuples()
    text = (
        f"Expected loss against the cost of use: least, {best.loss:.2f} {loss_unit}, at "
        f"{best.amount} (width × layers of {best.label})"
    )
    cheap = points[points["inference_flops"] <= best.inference_flops / 2]
    if len(cheap):
        other = cheap.loc[cheap["loss"].idxmin()]
        times = best.inference_flops / other["inference_flops"]
        text += (
            f"; {other['label']} costs {times:.1f} times less to use and reaches "
            f"{other['loss']:.2f}"
        )
    return f"{text}."
