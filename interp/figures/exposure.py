"""What a model remembers of canaries: the exposure of each secret against its repeats."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from interp.errors import InputError
from interp.figures.figure import Figure, finite, require_columns, themed
from interp.figures.labels import count
from interp.figures.theme import PALETTES, Scheme

_WIDTH, _HEIGHT = 420, 280  # pixels
_SPREAD = 0.6  # share of a band over which the canaries of one number of repeats lie


def exposure_chart(
    frame: pd.DataFrame, *, chance: float, highest: float, scheme: Scheme = "light"
) -> Figure:
    """A dot for each canary, and the mean of each number of repeats.

    Args:
        frame: a row for each canary with `duplicates` (its repeats) and `value` (bits).
        chance: mean exposure of what was never seen, in bits.
        highest: exposure of the most probable secret, in bits.

    Raises:
        InputError: columns are missing, or an exposure is not in 0 to `highest`.
    """
    require_columns(frame, ("duplicates", "value"), "exposures")
    values = finite(frame["value"], "exposures")
    if values.min() < 0 or values.max() > highest + 1e-9:
        raise InputError(f"An exposure is not between 0 and {highest:.1f} bits.")
    frame = frame.sort_values(["duplicates", "value"], ignore_index=True)
    return Figure(_layers(frame, chance, highest, scheme), _finding(frame, chance), frame)


def _layers(
    frame: pd.DataFrame, chance: float, highest: float, scheme: Scheme
) -> alt.TopLevelMixin:
    colors = PALETTES[scheme]
    repeats = sorted(frame["duplicates"].unique())
    group = frame.groupby("duplicates")
    place = frame["duplicates"].map({n: i for i, n in enumerate(repeats)})
    size = group["value"].transform("size")
    offset = (group.cumcount() + 0.5) / size - 0.5
    dots = frame.assign(
        place=place + _SPREAD * offset,
        heard=[
            f"a canary repeated {count(int(n), 'time')}: {bits:.1f} bits"
            for n, bits in zip(frame["duplicates"], frame["value"], strict=True)
        ],
    )
    means = group["value"].mean().reset_index()
    means = means.assign(
        low=np.arange(len(means)) - _SPREAD / 2,
        high=np.arange(len(means)) + _SPREAD / 2,
        label=[f"{bits:.1f}" for bits in means["value"]],
    )
    lines = pd.DataFrame(
        {
            "value": [chance, highest],
            "label": [f"never seen: {chance:.2f}", f"first of all: {highest:.1f}"],
            "start": [-0.5, -0.5],
            "stop": [len(repeats) - 0.5] * 2,
        }
    )
    names = "[" + ",".join(f"'{int(n)}'" for n in repeats) + "]"
    places = alt.Scale(domain=[-0.5, len(repeats) - 0.5], nice=False)
    x = alt.X(
        "place:Q",
        title="how often a canary stands in the training data",
        scale=places,
        axis=alt.Axis(values=list(range(len(repeats))), labelExpr=f"{names}[datum.value]"),
    )
    scale = alt.Scale(domain=[0, highest * 1.08], nice=False)
    y = alt.Y(
        "value:Q",
        title="exposure (bits)",
        scale=scale,
        axis=alt.Axis(grid=True, gridColor=colors.line, tickCount=5),
    )
    rules = alt.Chart(lines).encode(y=y)
    layers = [
        rules.mark_rule(color=colors.muted, strokeDash=[4, 4]).encode(
            x=alt.X("start:Q", scale=places), x2="stop:Q"
        ),
        rules.mark_text(color=colors.muted, align="left", dx=6, fontSize=11).encode(
            x=alt.X("stop:Q", scale=places), text="label:N"
        ),
        alt.Chart(dots)
        .mark_circle(color=colors.sequential[6], size=34, opacity=0.75)
        .encode(x=x, y=y, description="heard:N", tooltip=[alt.Tooltip("heard:N", title="canary")]),
        alt.Chart(means)
        .mark_rule(color=colors.accent, strokeWidth=3)
        .encode(x=alt.X("low:Q", scale=places), x2="high:Q", y=y),
        alt.Chart(means)
        .mark_text(color=colors.accent_text, align="left", dx=4, fontSize=12, fontWeight=600)
        .encode(x=alt.X("high:Q", scale=places), y=y, text="label:N"),
    ]
    chart = alt.layer(*layers).properties(width=_WIDTH, height=_HEIGHT)
    return themed(chart, scheme)


def _finding(frame: pd.DataFrame, chance: float) -> str:
    means = frame.groupby("duplicates")["value"].mean()
    listed = ", ".join(
        f"{bits:.1f} for {count(int(n), 'repeat')}" for n, bits in means.items() if n > 0
    )
    text = f"Exposure of {len(frame)} canaries in bits, mean"
    if listed:
        text += f" {listed}"
    if 0 in means.index:
        text += f"{';' if listed else ''} {means[0]:.1f} for those that were never in the data"
    return f"{text}. What was not seen has {chance:.2f} on average."
