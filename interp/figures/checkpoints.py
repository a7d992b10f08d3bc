"""The way of a training through its weights, and where a checkpoint is not what it should be."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from interp.figures.figure import Figure, require_columns, themed
from interp.figures.labels import count, literal, number, shorten
from interp.figures.lens import lookup
from interp.figures.theme import PALETTES, Scheme

_WIDTH, _HEIGHT = 560, 180  # pixels of the strip of one run
_MOST = 28  # pixels from one checkpoint to the next at most


def trajectory_chart(frame: pd.DataFrame, scheme: Scheme = "light") -> Figure:
    """How far the weights moved from one checkpoint to the next, a strip for each run.

    A checkpoint with a finding is an orange cross with its step in words below; one that cannot be
    compared with the one before it stands on the zero line.

    Args:
        frame: rows of `probes.checkpoints`: `run`, `step`, `metric` (`rel_l2_prev` is drawn),
            `value` and `finding`.

    Raises:
        InputError: columns are missing.
    """
    require_columns(frame, ("run", "step", "metric", "value", "finding"), "checkpoints")
    shown = frame[frame["metric"] == "rel_l2_prev"].copy()
    require_columns(shown, ("run",), "distances between checkpoints")
    shown["known"] = np.isfinite(shown["value"].astype(float))
    shown["value"] = shown["value"].astype(float).where(shown["known"], 0.0)
    runs = [part for _, part in shown.groupby("run", sort=False)]
    strips = [_strip(part, len(runs) > 1, scheme) for part in runs]
    return Figure(themed(alt.vconcat(*strips, spacing=24), scheme), _finding(shown), frame)


def _strip(part: pd.DataFrame, named: bool, scheme: Scheme) -> alt.LayerChart | alt.FacetChart:
    colors = PALETTES[scheme]
    part = part.sort_values("step", ignore_index=True)
    steps = [f"{step:,}" for step in part["step"]]
    said = [literal(text).replace("\n", " ") for text in part["finding"]]
    data = pd.DataFrame(
        {
            "place": range(len(part)),
            "value": part["value"],
            "when": steps,
            "finding": [text or "nothing wrong" for text in said],
            "wrong": [bool(text) for text in said],
            "label": [shorten(text.split(":")[0], 24) for text in said],
        }
    )
    data["heard"] = [
        f"step {row.when}: moved by {number(float(row.value))} of its norm; {row.finding}"
        for row in data.itertuples()
    ]
    gap = min(_MOST, _WIDTH / len(part))
    every = max(1, -(-14 // int(max(gap, 1))))
    x = alt.X(
        "place:O",
        title="step",
        scale=alt.Scale(domain=list(range(len(part)))),
        axis=alt.Axis(
            values=list(range(0, len(part), every)), labelExpr=lookup(steps), labelAngle=-90
        ),
    )
    y = alt.Y(
        "value:Q",
        title="moved, as a share of the norm",
        scale=alt.Scale(type="sqrt", domain=[0, float(data["value"].max()) or 1.0]),
        axis=alt.Axis(grid=True, gridColor=colors.line, tickCount=5),
    )
    base = alt.Chart(data).encode(
        x=x,
        tooltip=[
            alt.Tooltip("when:N", title="step"),
            alt.Tooltip("value:Q", title="moved", format=".4f"),
            alt.Tooltip("finding:N"),
        ],
    )
    stems = base.mark_rule(color=colors.sequential[4], strokeWidth=2, aria=False).encode(y=y)
    good = base.transform_filter("!datum.wrong").mark_circle(
        size=70, opacity=1, color=colors.sequential[7]
    )
    bad = base.transform_filter("datum.wrong").mark_point(
        shape="cross", size=110, filled=True, opacity=1, angle=45, color=colors.accent
    )
    words = base.transform_filter("datum.wrong").mark_text(
        align="left", angle=270, dx=12, fontSize=11, color=colors.accent_text, aria=False
    )
    layers = [
        stems,
        good.encode(y=y, description="heard:N"),
        bad.encode(y=y, description="heard:N"),
        words.encode(y=y, text="label:N"),
    ]
    title = str(part["run"].iloc[0]) if named else ""
    return alt.layer(*layers).properties(
        width=alt.Step(gap), height=_HEIGHT, title=alt.TitleParams(title, fontSize=13)
    )


def _finding(shown: pd.DataFrame) -> str:
    parts = []
    for run, part in shown.groupby("run", sort=False):
        wrong = part[part["finding"] != ""]
        known = part[part["known"]]
        told = f"{run}: {count(len(part), 'checkpoint')}, "
        told += "nothing wrong" if not len(wrong) else f"{len(wrong)} with a finding"
        if len(wrong):
            told += (
                " ("
                + ", ".join(
                    f"step {row.step:,} {literal(row.finding.split(':')[0])}"
                    for row in wrong.head(5).itertuples()
                )
                + ")"
            )
        if len(known):
            most = known.loc[known["value"].idxmax()]
            told += (
                f"; the weights moved most before step {most['step']:,}, by "
                f"{number(float(most['value']))} of their norm"
            )
        parts.append(told + ".")
    return " ".join(parts)
