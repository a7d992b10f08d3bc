"""One latent of a dictionary on a card: the texts in which it is strongest, and what it writes."""

from __future__ import annotations

import altair as alt
import pandas as pd

from interp.errors import InputError
from interp.figures.figure import Figure, finite, require_columns, themed
from interp.figures.labels import columns, count, number, quoted, shorten, visible
from interp.figures.lens import lookup
from interp.figures.theme import MONO, PALETTES, Scheme, color_range, sequential_color, text_color

_CHAR, _ROW = 7.3, 24  # pixels of a character of the strips, and of a row
_LEFT, _RIGHT = 42, 30  # characters that are shown before the strongest token, and from it on
_BARS = 200  # pixels of the axis of the tokens that are written


def latent_chart(contexts: pd.DataFrame, writes: pd.DataFrame, scheme: Scheme = "light") -> Figure:
    """A card: one context a line, the strongest token of each below the last one; beside it the
    tokens that the latent raises and lowers by itself.

    Args:
        contexts: a row a token: `latent`, `rank`, `place` (0 is the strongest), `token`, `value`.
        writes: rows of `side` (`promoted`, `suppressed`), `rank`, `token`, `value`; may be empty.

    Raises:
        InputError: columns are missing, or there is no context to draw.
    """
    require_columns(contexts, ("latent", "rank", "place", "token", "value"), "contexts")
    if contexts["latent"].nunique() > 1:
        raise InputError("A card is of one latent; the contexts are of several.")
    finite(contexts["value"], "values of the latent")
    strips = _strips(contexts, scheme)
    if not len(writes):
        return Figure(themed(strips, scheme), _finding(contexts, writes), contexts)
    require_columns(writes, ("side", "rank", "token", "value"), "tokens that are written")
    finite(writes["value"], "logits that the latent writes")
    chart = alt.hconcat(strips, written_bars(writes, scheme), spacing=28).resolve_scale(
        color="independent"
    )
    return Figure(themed(chart, scheme), _finding(contexts, writes), contexts)


def _placed(contexts: pd.DataFrame) -> pd.DataFrame:
    """Where each token stands, in characters: the strongest of a line begins at 0."""
    parts = []
    for _, line in contexts.sort_values(["rank", "place"]).groupby("rank", sort=True):
        line = line.assign(label=[shorten(visible(str(t)), _RIGHT - 2) for t in line["token"]])
        end = line["label"].map(columns).cumsum()
        start = end - line["label"].map(columns)
        origin = start[line["place"] == 0]
        if len(origin) != 1:
            raise InputError("Each context needs one token with place 0, the strongest.")
        parts.append(line.assign(start=start - origin.iloc[0], end=end - origin.iloc[0]))
    placed = pd.concat(parts, ignore_index=True)
    return placed[(placed["start"] >= -_LEFT) & (placed["end"] <= _RIGHT)]


def _strips(contexts: pd.DataFrame, scheme: Scheme) -> alt.LayerChart | alt.FacetChart:
    colors = PALETTES[scheme]
    placed = _placed(contexts)
    limit = float(placed["value"].max()) or 1.0
    faces = [sequential_color(max(0.0, value), limit, scheme) for value in placed["value"]]
    placed = placed.assign(
        ink=[
            text_color(face) if value > 0 else colors.muted
            for face, value in zip(faces, placed["value"], strict=True)
        ],
        middle=(placed["start"] + placed["end"]) / 2,
        heard=[
            f"context {row.rank}, {row.label}: {number(float(row.value))}"
            for row in placed.itertuples()
        ],
    )
    scale = alt.Scale(domain=[-_LEFT, _RIGHT], nice=False)
    y = alt.Y("rank:O", title=None, axis=None, scale=alt.Scale(paddingInner=0.15, paddingOuter=0))
    tooltip = [
        alt.Tooltip("label:N", title="token"),
        alt.Tooltip("value:Q", title="value of the latent", format=".3~g"),
    ]
    cells = (
        alt.Chart(placed[placed["value"] > 0])
        .mark_rect(cornerRadius=2)
        .encode(
            x=alt.X("start:Q", scale=scale, axis=None),
            x2="end:Q",
            y=y,
            color=alt.Color(
                "value:Q",
                scale=alt.Scale(**color_range(colors.sequential, 0.0, limit)),
                legend=alt.Legend(
                    title="value of the latent", orient="bottom", gradientLength=160, format=".2~g"
                ),
            ),
            tooltip=tooltip,
            description="heard:N",
        )
    )
    words = (
        alt.Chart(placed)
        .mark_text(font=MONO, fontSize=12, aria=False)
        .encode(
            x=alt.X("middle:Q", scale=scale, axis=None),
            y=y,
            text="label:N",
            color=alt.Color("ink:N", scale=None),
            tooltip=tooltip,
        )
    )
    layers = alt.layer(cells, words).properties(
        width=round(_CHAR * (_LEFT + _RIGHT)),
        height=alt.Step(_ROW),
        title=alt.Title(f"latent {contexts['latent'].iloc[0]}", subtitle="where it is strongest"),
    )
    resolved: alt.LayerChart | alt.FacetChart = layers.resolve_scale(color="independent")
    return resolved


def written_bars(writes: pd.DataFrame, scheme: Scheme) -> alt.LayerChart | alt.FacetChart:
    """The tokens that a direction raises and lowers: `side`, `token`, `value`."""
    colors = PALETTES[scheme]
    rows = writes.sort_values("value", ascending=False, ignore_index=True)
    rows = rows.assign(
        label=[shorten(visible(str(token)), 16) for token in rows["token"]],
        place=range(len(rows)),
        heard=[
            f"{side}: {visible(str(token))} {number(float(value), signed=True)}"
            for side, token, value in zip(rows["side"], rows["token"], rows["value"], strict=True)
        ],
    )
    limit = float(rows["value"].abs().max()) or 1.0
    y = alt.Y(
        "place:O",
        title=None,
        axis=alt.Axis(labelExpr=lookup(rows["label"].tolist()), labelFont=MONO, labelLimit=150),
    )
    x = alt.X(
        "value:Q",
        title="what it adds to the logit",
        scale=alt.Scale(domain=[-limit, limit], nice=False),
        axis=alt.Axis(grid=True, gridColor=colors.line, tickCount=3, format="+.2~g"),
    )
    bars = (
        alt.Chart(rows)
        .mark_bar()
        .encode(
            x=x,
            y=y,
            color=alt.condition(
                "datum.value > 0", alt.value(colors.diverging[-2]), alt.value(colors.diverging[1])
            ),
            tooltip=[
                alt.Tooltip("label:N", title="token"),
                alt.Tooltip("value:Q", title="logit", format="+.3~g"),
            ],
            description="heard:N",
        )
    )
    zero = alt.Chart(rows[:1]).mark_rule(color=colors.muted, aria=False).encode(x=alt.datum(0))
    return alt.layer(bars, zero).properties(
        width=_BARS,
        height=alt.Step(16),
        title=alt.Title("what it writes", subtitle="tokens it raises and lowers by itself"),
    )


def _finding(contexts: pd.DataFrame, writes: pd.DataFrame) -> str:
    latent, n = contexts["latent"].iloc[0], contexts["rank"].nunique()
    peaks = contexts[contexts["place"] == 0].sort_values("rank")
    common = peaks["token"].value_counts()
    text = (
        f"Latent {latent} is strongest, {number(float(peaks['value'].iloc[0]))}, on "
        f"{quoted(str(peaks['token'].iloc[0]))}"
    )
    if n > 1:
        text += (
            f"; in {count(n, 'context')} the strongest token is {quoted(str(common.index[0]))} "
            f"{count(int(common.iloc[0]), 'time')}"
        )
    raised = (
        writes[writes["side"] == "promoted"].sort_values("rank")["token"] if len(writes) else []
    )
    if len(raised):
        text += f". By itself it raises {', '.join(quoted(str(t)) for t in raised[:3])} most"
    return f"{text}."
