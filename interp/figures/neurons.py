"""How often the neurons of each layer are active."""

from __future__ import annotations

import altair as alt
import pandas as pd

from interp.errors import InputError
from interp.figures.figure import Figure, finite, require_columns, themed
from interp.figures.labels import count, percent
from interp.figures.lens import lookup
from interp.figures.theme import PALETTES, Scheme

_WIDTH, _ROW = 520, 30  # pixels of the axis of shares, and of a row
_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)


def density_chart(frame: pd.DataFrame, scheme: Scheme = "light") -> Figure:
    """For each layer, between which shares of tokens its neurons are active: the middle half of
    them as a bar, nine in ten as a line, the median as a mark, and how many never are as a number.

    Checkpoints of a run stand below each other, the first on top.

    Args:
        frame: rows of `probes.neurons`: `layer`, `metric` (`density` is drawn), `value`, and `run`,
            `step` and `site` where there are several.

    Raises:
        InputError: columns or the metric are missing, or a share is not in 0 to 1.
    """
    require_columns(frame, ("layer", "metric", "value"), "neurons")
    shown = frame[frame["metric"] == "density"].copy()
    if not len(shown):
        raise InputError("The frame of the neurons has no metric 'density'.")
    values = finite(shown["value"], "densities")
    if values.min() < 0 or values.max() > 1:
        raise InputError("A density is the share of tokens; it is between 0 and 1.")
    for name in ("run", "site"):
        shown[name] = shown[name].fillna("") if name in shown else ""
    shown["step"] = shown["step"].fillna(-1).astype(int) if "step" in shown else -1
    rows = _quantiles(shown)
    return Figure(_layers(rows, scheme), _finding(rows), frame)


def _quantiles(shown: pd.DataFrame) -> pd.DataFrame:
    """A row for each layer of each model, in the order from top to bottom."""
    several = [name for name in ("run", "site") if shown[name].nunique() > 1]
    groups = shown.groupby(["run", "site", "layer", "step"], sort=False)["value"]
    rows = groups.quantile(list(_SHARES)).unstack()
    rows.columns = pd.Index(["low", "q1", "middle", "q3", "high"])
    rows["neurons"] = groups.size()
    rows["never"] = groups.apply(lambda values: int((values == 0).sum()))
    rows = rows.reset_index()
    # Layer 0 at the bottom, as in a stack; of a layer the first checkpoint on top.
    rows = rows.sort_values(
        ["run", "site", "layer", "step"], ascending=[True, True, False, True], ignore_index=True
    )
    rows["place"] = range(len(rows))
    rows["label"] = [
        ", ".join(
            [
                *(str(getattr(row, name)) for name in several),
                f"layer {row.layer}",
                *([f"step {row.step:,}"] if row.step >= 0 and shown["step"].nunique() > 1 else []),
            ]
        )
        for row in rows.itertuples()
    ]
    return rows


def _layers(rows: pd.DataFrame, scheme: Scheme) -> alt.TopLevelMixin:
    colors = PALETTES[scheme]
    rows = rows.assign(
        dead=[f"{n} never" if n else "" for n in rows["never"]],
        heard=[
            f"{row.label}: half of {count(row.neurons, 'neuron')} are active on {percent(row.q1)} "
            f"to {percent(row.q3)} of the tokens, {row.never} never"
            for row in rows.itertuples()
        ],
    )
    scale = alt.Scale(domain=[0, 1], nice=False)
    title = "share of tokens on which a neuron is active"
    y = alt.Y(
        "place:O",
        title=None,
        scale=alt.Scale(paddingInner=0.35, paddingOuter=0.15),
        axis=alt.Axis(labelExpr=lookup(rows["label"].tolist()), labelLimit=260),
    )

    def x(column: str) -> alt.X:
        axis = alt.Axis(format="%", grid=True, gridColor=colors.line, tickCount=5)
        return alt.X(f"{column}:Q", title=title, scale=scale, axis=axis)

    base = alt.Chart(rows).encode(
        y=y,
        tooltip=[
            alt.Tooltip("label:N", title="where"),
            alt.Tooltip("neurons:Q"),
            alt.Tooltip("middle:Q", title="median", format=".1%"),
            alt.Tooltip("q1:Q", title="a quarter below", format=".1%"),
            alt.Tooltip("q3:Q", title="a quarter above", format=".1%"),
            alt.Tooltip("never:Q", title="never active"),
        ],
    )
    most = base.mark_rule(color=colors.sequential[4], strokeWidth=2, aria=False).encode(
        x=x("low"), x2="high"
    )
    half = base.mark_bar(color=colors.sequential[6]).encode(
        x=x("q1"), x2="q3", description="heard:N"
    )
    middle = base.mark_tick(color=colors.paper, thickness=3, aria=False).encode(x=x("middle"))
    dead = base.mark_text(align="left", dx=6, color=colors.muted, aria=False).encode(
        x=alt.value(_WIDTH), text="dead:N"
    )
    chart = alt.layer(most, half, middle, dead).properties(width=_WIDTH, height=alt.Step(_ROW))
    return themed(chart, scheme)


def _finding(rows: pd.DataFrame) -> str:
    parts = [f"Activation density of {count(int(rows['neurons'].sum()), 'neuron')}."]
    sparse, dense = rows.loc[rows["middle"].idxmin()], rows.loc[rows["middle"].idxmax()]
    parts.append(f"The median neuron is active on {percent(float(sparse['middle']))} of the tokens")
    if len(rows) > 1:
        parts[-1] += f" in {sparse['label']}, the sparsest, and on "
        parts[-1] += f"{percent(float(dense['middle']))} in {dense['label']}"
    never = int(rows["never"].sum())
    parts[-1] += f"; {never} {'is' if never == 1 else 'are'} never active."
    return " ".join(parts)
