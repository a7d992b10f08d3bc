"""How a prediction forms over the layers: the divergence of each layer's lens from the last."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from interp.errors import InputError
from interp.figures.figure import Figure, finite, require_columns, themed
from interp.figures.labels import count, number
from interp.figures.theme import PALETTES, Scheme, blend

_SIZE = (420, 280)
_TITLES = {
    "kl": "KL from the final prediction (nats)",
    "entropy": "entropy (nats)",
    "rank": "rank of the right token (geometric mean)",
    "loss": "loss (nats)",
    "agreement": "same first token as the final prediction",
}


def lens_curve(frame: pd.DataFrame, scheme: Scheme = "light", *, metric: str = "kl") -> Figure:
    """A curve over the layers for each model: solid the logit lens, dashed the tuned lens.

    The checkpoints of a run go from pale to strong blue; bands are 95% intervals. Several runs have
    a panel each.

    Args:
        frame: rows of `probes.lens`: `layer`, `metric`, `value`, and `lens`, `run`, `step`,
            `ci_low`, `ci_high` where there are any.

    Raises:
        InputError: columns or the metric are missing, or a value is not finite.
    """
    require_columns(frame, ("layer", "metric", "value"), "lens")
    shown = frame[frame["metric"] == metric].copy()
    if not len(shown):
        raise InputError(f"The frame of the lens has no metric {metric!r}.")
    finite(shown["value"], f"column 'value' of {metric}")
    for name, none in (("lens", "logit"), ("run", "")):
        shown[name] = shown[name].fillna(none) if name in shown else none
    for name in ("ci_low", "ci_high"):
        shown[name] = shown[name].fillna(shown["value"]) if name in shown else shown["value"]
    shown["step"] = shown["step"].fillna(-1).astype(int) if "step" in shown else -1
    shown["when"] = [f"{step:,}" if step >= 0 else "" for step in shown["step"]]
    shown["layer"] = shown["layer"].astype(int)
    return Figure(_layers(shown, metric, scheme), _finding(shown, metric), frame)


def _layers(shown: pd.DataFrame, metric: str, scheme: Scheme) -> alt.TopLevelMixin:
    colors = PALETTES[scheme]
    shown = shown.sort_values(["step", "lens", "layer"], ignore_index=True)
    steps = sorted(shown["step"].unique().tolist())
    whens = [f"{step:,}" if step >= 0 else "" for step in steps]
    # The palest stops are too near to the paper for a line.
    shades = [blend(colors.sequential[3:], x) for x in np.linspace(0, 1, len(steps))]
    shown["heard"] = [
        f"{row.lens} lens, layer {row.layer}{row.when and f', step {row.when}'}: "
        f"{number(float(row.value))}"
        for row in shown.itertuples()
    ]
    color = alt.Color(
        "when:N",
        scale=alt.Scale(domain=whens, range=shades if len(steps) > 1 else [colors.sequential[6]]),
        legend=alt.Legend(title="step", symbolOpacity=1) if len(steps) > 1 else None,
    )
    lenses = shown["lens"].unique().tolist()
    dash = alt.StrokeDash(
        "lens:N",
        scale=alt.Scale(domain=["logit", "tuned"], range=[[1, 0], [5, 3]]),
        legend=alt.Legend(title="lens") if len(lenses) > 1 else None,
    )
    top = float(shown["ci_high"].max())
    y = alt.Y(
        "value:Q",
        title=_TITLES.get(metric, metric),
        scale=alt.Scale(type="log") if metric == "rank" else alt.Scale(domain=[0, top or 1]),
        axis=alt.Axis(grid=True, gridColor=colors.line, tickCount=3 if metric == "rank" else 5),
    )
    axis = alt.Axis(values=sorted(shown["layer"].unique().tolist()), format="d")
    base = alt.Chart(shown).encode(
        x=alt.X("layer:Q", title="layer", axis=axis, scale=alt.Scale(nice=False)),
        color=color,
        detail=["lens:N", "when:N"],
    )
    band = base.mark_area(opacity=0.15, aria=False).encode(
        y=alt.Y("ci_low:Q", title=_TITLES.get(metric, metric)), y2="ci_high:Q"
    )
    line = base.mark_line(strokeWidth=2, aria=False).encode(y=y, strokeDash=dash)
    dots = base.mark_circle(size=36, opacity=1).encode(
        y=y,
        description="heard:N",
        tooltip=[
            alt.Tooltip("lens:N"),
            alt.Tooltip("layer:O"),
            *([alt.Tooltip("when:N", title="step")] if len(steps) > 1 else []),
            alt.Tooltip("value:Q", title=metric, format=".4f"),
            alt.Tooltip("ci_low:Q", title="95% interval from", format=".4f"),
            alt.Tooltip("ci_high:Q", title="to", format=".4f"),
        ],
    )
    chart = alt.layer(band, line, dots).properties(width=_SIZE[0], height=_SIZE[1])
    if shown["run"].nunique() > 1:
        return themed(chart.facet(column=alt.Column("run:N", title=None)), scheme)
    return themed(chart, scheme)


def _finding(shown: pd.DataFrame, metric: str) -> str:
    parts = [f"{_TITLES.get(metric, metric)} over {count(shown['layer'].nunique(), 'layer')}."]
    for run, of_run in shown.groupby("run", sort=False):
        steps = sorted(of_run["step"].unique().tolist())
        for step in dict.fromkeys((steps[0], steps[-1])):
            who = " ".join(
                part for part in (str(run), f"at step {step:,}" if step >= 0 else "") if part
            )
            for name, curve in of_run[of_run["step"] == step].groupby("lens", sort=False):
                values = curve.sort_values("layer")["value"].to_list()
                middle = len(values) // 2
                parts.append(
                    f"{who + ', ' if who else ''}{name} lens: {number(float(values[0]))} at layer "
                    f"0, {number(float(values[middle]))} at layer {middle}, "
                    f"{number(float(values[-1]))} at the last."
                )
    return " ".join(parts)
