"""What erasing a concept costs: what a probe still finds against what the model loses."""

from __future__ import annotations

import altair as alt
import pandas as pd

from interp.figures.figure import Figure, finite, require_columns, themed
from interp.figures.labels import count, number, percent
from interp.figures.theme import PALETTES, Scheme

_SIDE, _COLUMNS = 190, 4
_METHODS = {"none": "nothing", "leace": "LEACE", "inlp": "INLP", "random": "random subspaces"}
_SHAPES = {"none": "cross", "leace": "diamond", "inlp": "square", "random": "circle"}


def erasure_chart(frame: pd.DataFrame, *, scheme: Scheme = "light") -> Figure:
    """Accuracy of a probe against growth of the loss, a picture for each layer.

    An eraser is good when its mark is low and left; a concept is used when it lies right of the
    random subspaces of as many dimensions, which are larger marks.

    Args:
        frame: rows of the metrics `accuracy` and `delta_loss` for each `layer`, `method`, `rank`
            and `draw`, of one model; `chance` with the accuracies.

    Raises:
        InputError: columns are missing, values are not finite, or there is no loss.
    """
    needed = ("metric", "value", "layer", "method", "rank", "draw", "chance")
    require_columns(frame, needed, "erasure")
    keys = ["layer", "method", "rank", "draw"]
    if "step" in frame and frame["step"].notna().any():  # of a training, its end
        frame = frame[frame["step"] == frame["step"].max()]
    wide = frame.pivot_table(index=keys, columns="metric", values="value").reset_index()
    require_columns(wide, ("accuracy", "delta_loss"), "erasure with a loss")
    for name in ("accuracy", "delta_loss"):
        finite(wide[name], f"{name} of the erasure")
    chance = float(frame["chance"].max())
    # The draws of a random subspace as one mark, at their mean.
    points = wide.groupby(["layer", "method", "rank"], as_index=False, sort=False).mean()
    return Figure(_facets(points, chance, scheme), _finding(points, chance), points)


def _facets(points: pd.DataFrame, chance: float, scheme: Scheme) -> alt.TopLevelMixin:
    colors = PALETTES[scheme]
    present = [method for method in _METHODS if method in set(points["method"])]
    faces = {
        "none": colors.muted,
        "leace": colors.accent,
        "inlp": colors.sequential[6],
        "random": colors.muted,
    }
    points = points.assign(
        name=[_METHODS[m] for m in points["method"]],
        where=[f"after {count(int(n), 'block')}" for n in points["layer"]],
        floor=chance,
    )
    names = [_METHODS[m] for m in present]
    grid = alt.Axis(grid=True, gridColor=colors.line, tickCount=4)
    base = alt.Chart(points)
    x = alt.X("delta_loss:Q", title="growth of the loss, nats a token", axis=grid)
    y = alt.Y(
        "accuracy:Q",
        title="accuracy of the probe",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format="%", grid=True, gridColor=colors.line, tickCount=4),
    )
    color = alt.Color(
        "name:N",
        title="erased by",
        scale=alt.Scale(domain=names, range=[faces[m] for m in present]),
    )
    shape = alt.Shape(
        "name:N",
        title="erased by",
        scale=alt.Scale(domain=names, range=[_SHAPES[m] for m in present]),
    )
    path = base.mark_line(strokeWidth=1.5, opacity=0.7).encode(
        x=x, y=y, color=color, order="rank:Q"
    )
    dots = base.mark_point(filled=True, opacity=1, size=60).encode(
        x=x,
        y=y,
        color=color,
        shape=shape,
        tooltip=[
            alt.Tooltip("name:N", title="erased by"),
            alt.Tooltip("rank:Q", title="dimensions lost"),
            alt.Tooltip("accuracy:Q", format=".1%"),
            alt.Tooltip("delta_loss:Q", title="growth of the loss", format=".3f"),
        ],
    )
    floor = base.mark_rule(color=colors.muted, strokeDash=[4, 4]).encode(y="mean(floor):Q")
    panel = alt.layer(floor, path, dots).properties(width=_SIDE, height=_SIDE)
    order = list(dict.fromkeys(points.sort_values("layer")["where"]))
    header = alt.Header(
        title=None, labelColor=colors.ink, labelFontSize=12, labelAnchor="start", labelPadding=4
    )
    facets = panel.facet(
        facet=alt.Facet("where:N", sort=order, header=header), columns=min(_COLUMNS, len(order))
    )
    return themed(facets, scheme)


def _finding(points: pd.DataFrame, chance: float) -> str:
    def mean(method: str, column: str, rank: int | None = None) -> float:
        mine = points[points["method"] == method]
        mine = mine if rank is None else mine[mine["rank"] == rank]
        return float(mine[column].mean())

    n = points["layer"].nunique()
    rank = int(points.loc[points["method"] == "leace", "rank"].max())
    text = (
        f"Over {count(n, 'layer')}, a probe finds {percent(mean('none', 'accuracy'))} before and "
        f"{percent(mean('leace', 'accuracy'))} after LEACE, where the commonest label is "
        f"{percent(chance)}; the loss grows by {number(mean('leace', 'delta_loss'))} nats a token, "
        f"and by {number(mean('random', 'delta_loss', rank))} without a random subspace of as many "
        "dimensions."
    )
    if "inlp" in set(points["method"]):
        inlp = points[points["method"] == "inlp"]
        last = inlp.loc[inlp.groupby("layer")["rank"].idxmax()]
        text += (
            f" INLP, with {int(last['rank'].max())} dimensions, leaves "
            f"{percent(float(last['accuracy'].mean()))} and costs "
            f"{number(float(last['delta_loss'].mean()))}."
        )
    return text
