"""Attention patterns: every head as a small picture, and one head large.

A weight says from where a head reads, not what it makes of it; captions of these pictures should
not claim more (Jain and Wallace, "Attention is not Explanation", 2019).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from interp.errors import InputError
from interp.figures.figure import Figure, themed
from interp.figures.labels import columns, count, percent, shorten, visible
from interp.figures.lens import lookup
from interp.figures.patterns import dense, head_summary, require_weights
from interp.figures.png import heat_png, max_pool
from interp.figures.theme import MONO, PALETTES, Scheme, color_range

# Marks that one chart draws without becoming slow; a larger pattern becomes a picture, over which
# the strongest cells remain as marks with tooltips.
_MOST_RECTS = 5_000
_MOST_TIPS = 1_000

_THUMB = 96  # cells and pixels of a head's side in the grid
_SHARP = 2  # device pixels for each of those
_GAP = 16  # pixels between heads
_CAPTIONED = 58  # pixels of a head from which on its caption fits below it

# A head that gives half of its attention to one kind of place is named after it.
_TYPICAL = 0.5


def attention_grid(
    frame: pd.DataFrame,
    *,
    scheme: Scheme = "light",
    limit: float | None = None,
    hide_first: bool = False,
    width: int = 960,
) -> Figure:
    """Every head of a model as a small picture: layers upwards, heads to the right.

    In a picture the reading position (query) goes down and the position read (key) to the right.
    Below it stands where the head looks on average, if that is one kind of place. Pictures, not
    marks: 24 heads of 40 tokens would be 38,400 rectangles.

    A click selects: `selection_point(name="head", fields=["layer", "head"])`.

    Args:
        frame: a row for each cell, with `layer`, `head`, `query`, `key`, `weight`; cells without
            a row stay blank (see `attention_frame`).
        limit: the weight at the end of the colour scale; by default 1, or the largest weight that
            is shown where the first token is hidden.
        hide_first: leave the first token out of the pictures, where many heads rest what they do
            not use and outshine the others; what is said of a head still counts it.
        width: pixels that all heads of a layer should fit into; a head has 40 to 96 of them.

    Returns:
        A figure whose frame has a row for each head: the mean share of its attention that goes
        to the `first` token, the `previous`, `itself` and the `next`, and its mean `entropy`
        (nats).

    Raises:
        InputError: columns are missing, a weight is not in 0 to 1, or a cell comes twice.
    """
    require_weights(frame, limit)
    shown, end = _shown(frame, limit, hide_first)
    heads = frame[["layer", "head"]].drop_duplicates().sort_values(["layer", "head"])
    names = list(heads.itertuples(index=False, name=None))
    patterns = dense(frame, names)
    colors = PALETTES[scheme]
    summary = heads.reset_index(drop=True).join(pd.DataFrame([head_summary(p) for p in patterns]))
    drawn = dense(shown, names, patterns.shape[1:]) if hide_first else patterns
    pictures = summary.assign(
        picture=[
            heat_png(max_pool(p, _THUMB), colors.sequential, end, _THUMB * _SHARP) for p in drawn
        ],
        caption=[_caption(row) for _, row in summary.iterrows()],
    )
    pictures["heard"] = [
        f"layer {row.layer}, head {row.head}: {row.caption}" for row in pictures.itertuples()
    ]
    chart = _grid_layers(pictures, _legend(end, hide_first), end, scheme, width)
    return Figure(chart, _grid_finding(summary, patterns.shape[1]), summary)


def attention_head(
    frame: pd.DataFrame,
    tokens: Sequence[str],
    *,
    key_tokens: Sequence[str] | None = None,
    scheme: Scheme = "light",
    limit: float | None = None,
    hide_first: bool = False,
    width: int = 600,
) -> Figure:
    """One head large: the reading token on the left, the tokens it reads from below.

    Args:
        frame: as for `attention_grid`, of one layer and one head.
        tokens: text of each query position, and of each key position unless `key_tokens` is given.
        key_tokens: text of each key position, for cross-attention.
        limit, hide_first: as for `attention_grid`.
        width: pixels of the longer side of the pattern at most, without its labels.

    Returns:
        A figure whose frame has the cells with their tokens, the largest weight first.

    Raises:
        InputError: as `attention_grid`; several heads; or a position that has no token.
    """
    require_weights(frame, limit)
    names = frame[["layer", "head"]].drop_duplicates()
    if len(names) > 1:
        raise InputError(
            f"The frame holds {len(names)} heads; filter it to one layer and head, or use "
            "attention_grid."
        )
    sources = tokens if key_tokens is None else key_tokens
    for column, texts in (("query", tokens), ("key", sources)):
        top = int(frame[column].max())
        if top >= len(texts):
            raise InputError(f"There is no token for {column} {top}; only {len(texts)} are given.")
    seen = [visible(token) for token in tokens], [visible(token) for token in sources]
    named = frame.assign(
        query_token=[seen[0][i] for i in frame["query"]],
        key_token=[seen[1][i] for i in frame["key"]],
    )
    layer, head = names.iloc[0]
    size = len(tokens), len(sources)
    pattern = dense(frame, [(layer, head)], size)[0]
    shown, end = _shown(named, limit, hide_first)
    drawn = dense(shown, [(layer, head)], size)[0] if hide_first else pattern
    chart = _head_layers(shown, drawn, seen, _legend(end, hide_first), end, scheme, width)
    ranked = named.sort_values("weight", ascending=False, ignore_index=True)
    return Figure(chart, _head_finding(ranked, pattern), ranked)


def _kind(row: pd.Series) -> tuple[str, float]:
    """The kind of place that takes most of a head's attention, and how much."""
    shares = row[["first", "previous", "itself", "next"]].astype(float)
    return str(shares.idxmax()), float(shares.max())


def _caption(row: pd.Series) -> str:
    kind, share = _kind(row)
    return f"{kind} {percent(share)}" if share >= _TYPICAL else "mixed"


def _shown(
    frame: pd.DataFrame, limit: float | None, hide_first: bool
) -> tuple[pd.DataFrame, float]:
    """The cells to draw, and the end of their colour scale."""
    if not hide_first:
        return frame, 1.0 if limit is None else limit
    # A text of one token has nothing else to show.
    shown = frame[frame["key"] > 0] if (frame["key"] > 0).any() else frame
    return shown, limit or float(shown["weight"].max()) or 1.0


def _legend(limit: float, hide_first: bool) -> alt.Legend:
    blank = "masked, and the first token" if hide_first else "masked"
    return alt.Legend(
        title=f"attention weight (blank: {blank})",
        orient="bottom",
        direction="horizontal",
        gradientLength=240,
        gradientThickness=9,
        titleLimit=600,
        values=[0, limit / 4, limit / 2, 3 * limit / 4, limit],
        format=".2~f" if limit == 1 else ".3~f",
    )


def _grid_layers(
    pictures: pd.DataFrame, legend: alt.Legend, limit: float, scheme: Scheme, width: int
) -> alt.TopLevelMixin:
    colors = PALETTES[scheme]
    heads = pictures["head"].nunique()
    side = int(min(_THUMB, max(40, width / heads - _GAP)))
    picked = alt.selection_point(name="head", fields=["layer", "head"], empty=False)
    base = alt.Chart(pictures).encode(
        x=alt.X(
            "head:O",
            title=None,
            axis=alt.Axis(orient="top", labelAngle=0, labelExpr="'head ' + datum.label"),
        ),
        y=alt.Y(
            "layer:O",
            title=None,
            sort="descending",
            axis=alt.Axis(labelExpr="'layer ' + datum.label"),
        ),
        tooltip=[
            alt.Tooltip("layer:O"),
            alt.Tooltip("head:O"),
            *(
                alt.Tooltip(f"{kind}:Q", title=f"share to {words}", format=".1%")
                for kind, words in (
                    ("first", "the first token"),
                    ("previous", "the previous token"),
                    ("itself", "the token itself"),
                    ("next", "the next token"),
                )
            ),
            alt.Tooltip("entropy:Q", title="entropy (nats)", format=".2f"),
        ],
    )
    # The frame of a picture; its fill is never seen and gives the scale a legend.
    frames = (
        base.mark_rect(
            width=side + 4,
            height=side + 4,
            yOffset=-8,
            fillOpacity=0,
            cornerRadius=2,
            aria=False,
        )
        .encode(
            fill=alt.Fill(
                "first:Q",
                scale=alt.Scale(**color_range(colors.sequential, 0.0, limit)),
                legend=legend,
            ),
            stroke=alt.condition(picked, alt.value(colors.accent), alt.value(colors.line)),
            strokeWidth=alt.condition(picked, alt.value(3), alt.value(1)),
        )
        .add_params(picked)
    )
    images = base.mark_image(width=side, height=side, yOffset=-8).encode(
        url="picture:N", description="heard:N"
    )
    captions = base.mark_text(
        fontSize=11, color=colors.muted, dy=side // 2 + 4, baseline="middle", aria=False
    ).encode(text="caption:N")
    drawn = [frames, images, captions] if side >= _CAPTIONED else [frames, images]
    chart = alt.layer(*drawn).properties(
        width=alt.Step(side + _GAP), height=alt.Step(side + 2 * _GAP)
    )
    return themed(chart, scheme)


def _grid_finding(summary: pd.DataFrame, queries: int) -> str:
    layers = summary["layer"].nunique()
    resting = int((summary["first"] >= _TYPICAL).sum())
    others = summary.set_index(["layer", "head"])[["previous", "itself", "next"]].stack()
    layer, head, kind = others.idxmax()
    place = "the token itself" if kind == "itself" else f"the {kind} token"
    return (
        f"Attention of {count(len(summary), 'head')} in {count(layers, 'layer')} over "
        f"{count(queries, 'token')}. {resting} of them "
        f"give{'s' if resting == 1 else ''} at least half to the first token. The largest mean "
        f"share elsewhere is {percent(float(others.max()))} to {place}, in layer {layer}, head "
        f"{head}."
    )


def _head_layers(
    named: pd.DataFrame,
    pattern: NDArray[np.float64],
    seen: tuple[list[str], list[str]],
    legend: alt.Legend,
    limit: float,
    scheme: Scheme,
    width: int,
) -> alt.TopLevelMixin:
    colors = PALETTES[scheme]
    queries, keys = pattern.shape
    step = min(28.0, width / max(queries, keys))
    wide, high = step * keys, step * queries
    picture = len(named) > _MOST_RECTS
    cells = named.nlargest(_MOST_TIPS, "weight") if picture else named
    # Positions are numbers and cells reach half a step around them, so that the picture and the
    # marks share one scale.
    cells = cells.assign(
        x=cells["key"] - 0.5,
        x2=cells["key"] + 0.5,
        y=cells["query"] - 0.5,
        y2=cells["query"] + 0.5,
        heard=[
            f"{_at(cell, 'query')} reads {cell['weight']:.2f} from {_at(cell, 'key')}"
            for cell in cells.to_dict("records")
        ],
    )
    marks = (
        alt.Chart(cells)
        .mark_rect(opacity=0 if picture else 1)
        .encode(
            x=_axis("x", "key: read from", seen[1], step),
            x2="x2",
            y=_axis("y", "query: reads", seen[0], step),
            y2="y2",
            fill=alt.Fill(
                "weight:Q",
                scale=alt.Scale(**color_range(colors.sequential, 0.0, limit)),
                legend=legend,
            ),
            tooltip=[
                alt.Tooltip("query:O"),
                alt.Tooltip("query_token:N", title="reads"),
                alt.Tooltip("key:O"),
                alt.Tooltip("key_token:N", title="reads from"),
                alt.Tooltip("weight:Q", format=".4f"),
            ],
            description="heard:N",
        )
    )
    drawn: list[alt.Chart] = [marks]
    if picture:
        address = heat_png(pattern, colors.sequential, limit, width * _SHARP)
        whole = (
            alt.Chart(pd.DataFrame({"picture": [address]}))
            .mark_image(width=wide, height=high, align="left", baseline="top")
            .encode(x=alt.value(0), y=alt.value(0), url="picture:N")
        )
        drawn = [whole, marks]
    chart = alt.layer(*drawn).properties(width=wide, height=high)
    return themed(chart, scheme, view={"stroke": colors.line})


def _axis(channel: str, title: str, labels: list[str], step: float) -> alt.X | alt.Y:
    """An axis with a token at each position, or at every n-th where they would overlap."""
    every = max(1, -(-13 // max(int(step), 1)))
    shown = [shorten(label, 14) for label in labels]
    axis = alt.Axis(
        title=title,
        values=list(range(0, len(labels), every)),
        labelExpr=lookup(shown),
        labelFont=MONO,
        labelFontSize=11,
        labelOverlap=False,
        labelLimit=140,
        labelAngle=-90 if channel == "x" and max(map(columns, shown)) > 2 else 0,
        labelBaseline="middle",
    )
    ends = [-0.5, len(labels) - 0.5]
    if channel == "x":
        return alt.X("x:Q", axis=axis, scale=alt.Scale(domain=ends, nice=False))
    return alt.Y("y:Q", axis=axis, scale=alt.Scale(domain=ends, nice=False, reverse=True))


def _head_finding(ranked: pd.DataFrame, pattern: NDArray[np.float64]) -> str:
    # A causal head's first token can read only itself; that weight of 1 says nothing.
    later = ranked[ranked["query"] > 0] if (ranked["query"] > 0).any() else ranked
    best = later.iloc[0].to_dict()
    kinds = head_summary(pattern)
    return (
        f"Layer {best['layer']}, head {best['head']} over {count(pattern.shape[0], 'token')}: the "
        f"largest weight is {best['weight']:.2f}, where {_at(best, 'query')} reads from "
        f"{_at(best, 'key')}. On average {percent(kinds['first'])} goes to the first token, "
        f"{percent(kinds['previous'])} to the previous one and {percent(kinds['itself'])} to the "
        "token itself."
    )


def _at(cell: Mapping[str, Any], which: str) -> str:
    return f"“{shorten(cell[f'{which}_token'], 30)}” (position {cell[which]})"
