"""What a model predicts: its next-token distribution, and what each layer would have said.

Sources: the logit lens is nostalgebraist, "interpreting GPT: the logit lens" (2020).
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import altair as alt
import numpy as np
import pandas as pd

from interp.errors import InputError
from interp.figures.figure import Figure, finite, require_columns, themed
from interp.figures.labels import count, percent, quoted, shorten, visible
from interp.figures.theme import (
    MONO,
    PALETTES,
    Scheme,
    color_range,
    sequential_color,
    text_color,
)

_CELL = (70, 24)  # pixels of a cell of the lens, width and height
_LABEL = 9  # columns of token text that fit into a cell
_BAR = 24  # pixels of a bar with its gap
_BARS = 520  # pixels of the chart of bars, labels included


def lens_chart(
    frame: pd.DataFrame,
    *,
    scheme: Scheme = "light",
    per_line: int = 12,
    chosen: int | None = None,
) -> Figure:
    """The logit lens as a map of layers and positions, the top token written into each cell.

    Layer 0 is at the bottom, above it the layers in order, below it the input token. A text
    longer than `per_line` tokens continues in a further band below, as a text does. Colour is the
    probability of the top token; bold where it is already what the last layer predicts.

    A click selects: `selection_point(name="cell", fields=["layer", "position"])`.

    Args:
        frame: a row for each layer and position with `layer`, `position`, `token` (of the input),
            `top_token`, `probability` (of the top token); `rank` (of the final prediction, 1 is
            first) and `entropy` (nats) appear in the tooltip where they are given.
        chosen: a position whose input token is marked with brackets, for a page that shows more
            about it.

    Raises:
        InputError: columns are missing, a probability is not in 0 to 1, or a cell comes twice.
    """
    require_columns(frame, ("layer", "position", "token", "top_token", "probability"), "logit lens")
    if per_line < 1:
        raise InputError(f"per_line is {per_line}; a line holds at least one position.")
    _require_probabilities(frame, "logit lens")
    if frame.duplicated(["layer", "position"]).any():
        twice = frame[frame.duplicated(["layer", "position"])].iloc[0]
        raise InputError(
            f"The frame of the logit lens has layer {twice['layer']}, position "
            f"{twice['position']} more than once; give one row for each cell, of one text."
        )
    frame = frame.sort_values(["layer", "position"], ignore_index=True)
    layers = sorted(frame["layer"].unique().tolist())
    cells, words = _placed(frame, layers, per_line, scheme, chosen)
    chart = _lens_layers(cells, words, _row_labels(layers, int(words["band"].max()) + 1), scheme)
    return Figure(chart, _lens_finding(frame, layers), frame)


def _placed(
    frame: pd.DataFrame, layers: list[int], per_line: int, scheme: Scheme, chosen: int | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The cells, and the input tokens below them, each with its row and column in the picture."""
    order = {layer: i for i, layer in enumerate(layers)}
    height = len(layers) + 2  # the layers, the input token, and a gap before the next band
    first = int(frame["position"].min())
    place = frame["position"] - first
    final = frame.groupby("position")["top_token"].transform("last")
    cells = frame.assign(
        column=place % per_line,
        row=place // per_line * height + len(layers) - 1 - frame["layer"].map(order),
        settled=frame["top_token"] == final,
        label=[shorten(visible(token), _LABEL) for token in frame["top_token"]],
        says=[visible(token) for token in frame["top_token"]],
        reads=[visible(token) for token in frame["token"]],
        ink=[text_color(sequential_color(p, 1.0, scheme)) for p in frame["probability"]],
        heard=[
            f"layer {cell.layer}, position {cell.position}, after {quoted(cell.token)}: "
            f"{quoted(cell.top_token)} {percent(cell.probability)}"
            for cell in frame.itertuples()
        ],
    ).drop(columns=["token", "top_token"])
    words = frame.drop_duplicates("position")[["position", "token"]]
    place = words["position"] - first
    words = words.assign(
        column=place % per_line,
        band=place // per_line,
        row=place // per_line * height + len(layers),
        label=[
            f"[{shorten(visible(token), _LABEL - 2)}]"
            if position == chosen
            else shorten(visible(token), _LABEL)
            for position, token in zip(words["position"], words["token"], strict=True)
        ],
        chosen=words["position"] == chosen,
        reads=[visible(token) for token in words["token"]],
    ).drop(columns="token")
    return cells, words


def _row_labels(layers: list[int], bands: int) -> list[str]:
    band = [*(f"layer {layer}" for layer in reversed(layers)), "input", ""]
    return (band * bands)[:-1]


def _lens_layers(
    cells: pd.DataFrame, words: pd.DataFrame, rows: list[str], scheme: Scheme
) -> alt.TopLevelMixin:
    colors = PALETTES[scheme]
    picked = alt.selection_point(name="cell", fields=["layer", "position"], empty=False)
    x = alt.X("column:O", axis=None, scale=alt.Scale(paddingInner=0.04, paddingOuter=0))
    y = alt.Y(
        "row:O",
        title=None,
        scale=alt.Scale(domain=list(range(len(rows))), paddingInner=0.08, paddingOuter=0),
        axis=alt.Axis(labelExpr=lookup(rows), labelLimit=120),
    )
    tips = [
        alt.Tooltip("layer:O"),
        alt.Tooltip("position:O"),
        alt.Tooltip("reads:N", title="input token"),
        alt.Tooltip("says:N", title="top token"),
        alt.Tooltip("probability:Q", format=".4f"),
    ]
    if "rank" in cells:
        tips.append(alt.Tooltip("rank:Q", title="rank of the final prediction"))
    if "entropy" in cells:
        tips.append(alt.Tooltip("entropy:Q", title="entropy (nats)", format=".3f"))
    base = alt.Chart(cells).encode(x=x, y=y, tooltip=tips)
    faces = (
        base.mark_rect(cornerRadius=2)
        .encode(
            color=alt.Color(
                "probability:Q",
                scale=alt.Scale(**color_range(colors.sequential, 0.0, 1.0)),
                legend=alt.Legend(
                    title="probability of the top token (bold: already the final prediction)",
                    orient="bottom",
                    direction="horizontal",
                    gradientLength=240,
                    gradientThickness=9,
                    titleLimit=600,
                    format="%",
                    values=[0, 0.25, 0.5, 0.75, 1],
                ),
            ),
            stroke=alt.condition(picked, alt.value(colors.accent), alt.value(None)),
            strokeWidth=alt.condition(picked, alt.value(3), alt.value(0)),
            description="heard:N",
        )
        .add_params(picked)
    )
    texts = [
        base.transform_filter("datum.settled" if bold else "!datum.settled")
        .mark_text(font=MONO, fontSize=11, fontWeight="bold" if bold else "normal", aria=False)
        .encode(text="label:N", color=alt.Color("ink:N", scale=None))
        for bold in (False, True)
    ]
    below = (
        alt.Chart(words)
        .mark_text(font=MONO, fontSize=11, aria=False)
        .encode(
            x=x,
            y=y,
            text="label:N",
            color=alt.condition(
                alt.datum.chosen, alt.value(colors.accent_text), alt.value(colors.muted)
            ),
            tooltip=[alt.Tooltip("position:O"), alt.Tooltip("reads:N", title="input token")],
        )
    )
    chart = (
        alt.layer(faces, *texts, below)
        .resolve_scale(color="independent")  # text colours are given, face colours are scaled
        .properties(width=alt.Step(_CELL[0]), height=alt.Step(_CELL[1]))
    )
    return themed(chart, scheme)


def _lens_finding(frame: pd.DataFrame, layers: list[int]) -> str:
    positions = frame["position"].nunique()
    best = frame.loc[frame["probability"].idxmax()]
    parts = [
        f"Logit lens of {count(positions, 'token')} at {count(len(layers), 'layer')}; "
        f"most certain is {quoted(best['top_token'])} with {percent(best['probability'])} "
        f"at layer {best['layer']}, position {best['position']}, "
        f"after {quoted(best['token'])}."
    ]
    last = frame[frame["position"] == frame["position"].max()]
    end = last.iloc[-1]
    other = np.flatnonzero((last["top_token"] != end["top_token"]).to_numpy())
    since = last["layer"].iloc[other[-1] + 1 if len(other) else 0]  # from there on all agree
    parts.append(
        f"The prediction after the last token is {quoted(end['top_token'])} "
        f"({percent(end['probability'])}), on top from layer {since} on."
    )
    return " ".join(parts)


def prediction_chart(
    frame: pd.DataFrame,
    *,
    scheme: Scheme = "light",
    chosen: int | None = None,
    what: str = "next token",
) -> Figure:
    """Bars of probabilities of the next token (or of classes), the most probable on top.

    A click selects: `selection_point(name="prediction", fields=["place"])`, where `place` is the
    row's rank in this frame from 0.

    Args:
        frame: a row for each token with `token` and `probability`; further columns stay in the
            table twin.
        chosen: the place whose bar is marked as the one being explained.
        what: is predicted, for the sentence that states the finding.

    Raises:
        InputError: columns are missing, a probability is not in 0 to 1, or there is no such place.
    """
    require_columns(frame, ("token", "probability"), "predictions")
    _require_probabilities(frame, "predictions")
    if chosen is not None and not 0 <= chosen < len(frame):
        raise InputError(f"There is no place {chosen} among {count(len(frame), 'prediction')}.")
    frame = frame.sort_values("probability", ascending=False, kind="stable", ignore_index=True)
    labels = [visible(token) for token in frame["token"]]
    bars = pd.DataFrame(
        {
            "place": range(len(frame)),
            "label": labels,
            "probability": frame["probability"],
            "chosen": [place == chosen for place in range(len(frame))],
            "heard": [
                f"place {place + 1}: {quoted(token)} {percent(p)}"
                for place, (token, p) in enumerate(
                    zip(frame["token"], frame["probability"], strict=True)
                )
            ],
            "value": [
                percent(p) + (", explained" if place == chosen else "")
                for place, p in enumerate(frame["probability"])
            ],
        }
    )
    chart = _bars(bars, [shorten(label, 24) for label in labels], scheme)
    first = f"{quoted(frame['token'][0])} with {percent(frame['probability'][0])}"
    finding = f"The most probable {what} is {first}"
    if len(frame) > 1:
        finding += f", then {quoted(frame['token'][1])} with {percent(frame['probability'][1])}"
        share = percent(min(float(frame["probability"].sum()), 1.0))
        finding += f"; these {len(frame)} hold {share} of the probability"
    return Figure(chart, finding + ".", frame)


def _bars(bars: pd.DataFrame, labels: list[str], scheme: Scheme) -> alt.TopLevelMixin:
    colors = PALETTES[scheme]
    picked = alt.selection_point(name="prediction", fields=["place"], empty=False)
    # Room to the right of the longest bar for its number.
    top = max(float(bars["probability"].max()), 1e-9) * 1.45
    y = alt.Y(
        "place:O",
        title=None,
        scale=alt.Scale(paddingInner=0.25, paddingOuter=0.1),
        axis=alt.Axis(
            labelExpr=lookup(labels),
            labelFont=MONO,
            labelColor=colors.ink,
            labelLimit=260,
            labelOverlap=False,
        ),
    )
    base = alt.Chart(bars).encode(
        y=y,
        x=alt.X("probability:Q", axis=None, scale=alt.Scale(domain=[0, top], nice=False)),
        tooltip=[
            alt.Tooltip("label:N", title="token"),
            alt.Tooltip("probability:Q", format=".5f"),
        ],
    )
    drawn = (
        base.mark_bar(cornerRadiusEnd=2)
        .encode(
            color=alt.condition(
                alt.datum.chosen, alt.value(colors.accent), alt.value(colors.sequential[6])
            ),
            stroke=alt.condition(picked, alt.value(colors.ink), alt.value(None)),
            description="heard:N",
        )
        .add_params(picked)
    )
    values = base.mark_text(align="left", dx=6, fontSize=12, color=colors.ink, aria=False).encode(
        text="value:N"
    )
    chart = alt.layer(drawn, values).properties(width=_BARS, height=_BAR * len(bars))
    return themed(chart, scheme, autosize="fit-x")


def lookup(labels: Sequence[str]) -> str:
    """A Vega expression that turns an axis value, a place from 0, into its label.

    Labels reach the expression as JSON in ASCII, so that no character of a token is read as code.
    """
    return f"{json.dumps(list(labels), ensure_ascii=True)}[datum.value]"


def _require_probabilities(frame: pd.DataFrame, what: str) -> None:
    values = finite(frame["probability"], f"probabilities of the {what}")
    outside = np.flatnonzero((values < 0) | (values > 1 + 1e-6))
    if len(outside):
        raise InputError(
            f"Row {outside[0]} of the {what} has probability {values[outside[0]]}; it must be "
            "between 0 and 1. Give probabilities, not logits."
        )
