"""How many members an attack finds at which rate of false alarms: ROC curves on two log axes.

Both axes are logarithmic because the harm is at the left: an attack that is sure of one person in a
hundred is worse for that person than one that is slightly right about all.
"""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from interp.errors import InputError
from interp.figures.figure import Figure, finite, require_columns, themed
from interp.figures.labels import count, percent
from interp.figures.theme import PALETTES, Scheme

_SIDE = 190  # pixels of a panel
_POINTS = 80
_COLUMNS = 3


def roc_chart(
    frame: pd.DataFrame, *, blind: str, unsure_below: float, scheme: Scheme = "light"
) -> Figure:
    """A panel for each attack: its curve, that of the blind baseline, and chance.

    Args:
        frame: the points of all curves with `attack`, `fpr` and `value` (the true positive rate),
            each curve from (0, 0) to (1, 1).
        blind: the attack that never asks the model; it stands in all panels.
        unsure_below: false alarm rates below it rest on too few units, and are shaded.

    Raises:
        InputError: columns are missing, rates are no shares, or there is no blind baseline.
    """
    require_columns(frame, ("attack", "fpr", "value"), "ROC curves")
    for name in ("fpr", "value"):
        rates = finite(frame[name], f"column {name!r} of the ROC curves")
        if rates.min() < 0 or rates.max() > 1:
            raise InputError(f"The column {name!r} of the ROC curves is not between 0 and 1.")
    attacks = [name for name in dict.fromkeys(frame["attack"]) if name != blind]
    if not attacks or not (frame["attack"] == blind).any():
        raise InputError(f"ROC curves need an attack and the baseline {blind!r}.")
    curves = {name: part.sort_values(["fpr", "value"]) for name, part in frame.groupby("attack")}
    areas = {name: float(np.trapezoid(c["value"], c["fpr"])) for name, c in curves.items()}
    attacks.sort(key=lambda name: -areas[name])
    floor = min(unsure_below / 10, 0.1)
    table = pd.DataFrame({"attack": list(areas), "auroc": list(areas.values())})
    table = table.sort_values("auroc", ascending=False, ignore_index=True)
    chart = _panels(curves, areas, attacks, blind, floor, unsure_below, scheme)
    return Figure(chart, _finding(curves, areas, attacks, blind, unsure_below), table)


def _on_grid(curve: pd.DataFrame, grid: np.ndarray) -> np.ndarray:
    """The share of members found while false alarms stay at or below each rate."""
    place = np.searchsorted(curve["fpr"].to_numpy(), grid, "right") - 1
    found: np.ndarray = curve["value"].to_numpy()[place]
    return found


def _panels(
    curves: dict[str, pd.DataFrame],
    areas: dict[str, float],
    attacks: list[str],
    blind: str,
    floor: float,
    unsure_below: float,
    scheme: Scheme,
) -> alt.TopLevelMixin:
    colors = PALETTES[scheme]
    grid = np.geomspace(floor, 1, _POINTS)
    titles = {name: f"{name}: AUROC {areas[name]:.2f}" for name in attacks}
    parts = []
    for name in attacks:
        for kind, values in (
            ("attack", _on_grid(curves[name], grid)),
            ("blind", _on_grid(curves[blind], grid)),
            ("chance", grid),
        ):
            parts.append(
                pd.DataFrame({"fpr": grid, "tpr": np.maximum(values, floor)}).assign(
                    kind=kind, panel=titles[name]
                )
            )
    points = pd.concat(parts, ignore_index=True).assign(unsure=unsure_below, floor=floor)
    domain = alt.Scale(type="log", domain=[floor, 1], nice=False, clamp=True)
    ticks = [10.0**-k for k in range(int(np.floor(-np.log10(floor))), -1, -1)]
    axis = alt.Axis(values=ticks, format="~%", grid=True, gridColor=colors.line)
    x = alt.X("fpr:Q", title="non-members accused", scale=domain, axis=axis)
    y = alt.Y("tpr:Q", title="members found", scale=domain, axis=axis)
    base = alt.Chart(points).encode(x=x, y=y)

    def line(kind: str, color: str, width: float, dash: list[int]) -> alt.Chart:
        marks = base.mark_line(color=color, strokeWidth=width, strokeDash=dash)
        chosen: alt.Chart = marks.transform_filter(alt.datum.kind == kind)
        return chosen

    one = "datum.kind == 'attack' && datum.fpr == datum.floor"
    shade = (
        alt.Chart(points)
        .transform_filter(one)
        .mark_rect(color=colors.panel)
        .encode(x=alt.X("floor:Q", scale=domain), x2="unsure:Q")
    )
    chart = alt.layer(
        shade,
        line("chance", colors.muted, 1, [2, 3]),
        line("blind", colors.muted, 2, [6, 3]),
        line("attack", colors.sequential[7], 2.5, [1, 0]),
    ).properties(width=_SIDE, height=_SIDE)
    facet = alt.Facet(
        "panel:N",
        title=None,
        sort=list(titles.values()),
        header=alt.Header(labelColor=colors.ink, labelFontSize=12, labelFontWeight=600),
    )
    caption = (
        f"solid: the attack; dashed: words alone, AUROC {areas[blind]:.2f}; dotted: chance; "
        "shaded: too few false alarms to tell"
    )
    panels = chart.facet(facet, columns=min(_COLUMNS, len(attacks)))
    small = alt.TitleParams(caption, fontSize=12, fontWeight=400, color=colors.muted)
    return themed(panels.properties(title=small), scheme)


def _finding(
    curves: dict[str, pd.DataFrame],
    areas: dict[str, float],
    attacks: list[str],
    blind: str,
    unsure_below: float,
) -> str:
    best = attacks[0]
    rate = min(max(0.01, unsure_below), 1.0)
    (found,) = _on_grid(curves[best], np.array([rate]))
    return (
        f"ROC curves of {count(len(attacks), 'attack')} on membership: the best is {best} with an "
        f"area of {areas[best]:.2f} (chance is 0.5, words alone have {areas[blind]:.2f}); it finds "
        f"{percent(float(found))} of the members while {percent(rate)} of the non-members are "
        "accused."
    )
