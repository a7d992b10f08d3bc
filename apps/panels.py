"""The panels of a reading: what comes next, why, layer by layer, head by head.

Every clickable mark has a widget that does the same, for the keyboard and for permalinks: a click
only sets that widget. Token text reaches the page as chart text, plain text or escaped HTML, never
as Markdown.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pandas as pd
import streamlit as st

from apps.reading import Opened, Reading, attribute
from interp import InterpError
from interp.figures.attention import attention_grid, attention_head
from interp.figures.labels import count, literal, number, percent, quoted, shorten, visible
from interp.figures.lens import lens_chart, prediction_chart
from interp.figures.patterns import attention_frame
from interp.figures.strip import strip_finding, token_strip_html
from interp.figures.theme import Scheme

METHOD = "integrated_gradients"

_SPLIT = (5, 6)  # widths of what comes next and of why
_PER_LINE = 14  # positions of the lens side by side
_GRID = 470  # pixels of the grid of heads and of the one large head, without labels
_HEAD = 400


def show_reading(opened: Opened, reading: Reading) -> None:
    """Draw all panels of a reading, below one another."""
    cfg = opened.model.cfg
    st.caption(
        f"Model: {cfg.model_name}, {count(cfg.n_layers, 'layer')} of {count(cfg.n_heads, 'head')}, "
        f"weights {opened.weights[:12]}. {count(len(reading.ids), 'token')} of at most "
        f"{cfg.n_ctx}. All is computed on this machine."
    )
    at, place = _choose(reading)
    guesses = reading.predictions[reading.predictions["position"] == at].reset_index(drop=True)
    left, right = st.columns(_SPLIT, gap="large")
    with left:
        _next_token(reading, guesses, at, place)
    why = right.container(key="why")
    _lens(reading, at)
    _attention(reading)
    # Last, since it takes the longest: meanwhile the rest of the page can be read.
    with why:
        _why(opened, reading, guesses.iloc[place], at)


def refuse(what: str, error: InterpError) -> None:
    """Say what cannot be done, and why; the reason may quote the text, so it is no Markdown."""
    st.error(what, icon=":material/error:")
    st.text(literal(str(error)))


def scheme() -> Scheme:
    """The colour scheme that the reader sees."""
    return "dark" if st.context.theme.type == "dark" else "light"


def _choose(reading: Reading) -> tuple[int, int]:
    """The position and the prediction that the page explains, as the reader chose them."""
    last = len(reading.tokens) - 1
    if st.session_state.pop("new_text", False):
        _move_to(last)
    where, what = st.columns(_SPLIT, gap="large")
    with where:
        at = st.selectbox(
            "After the token",
            range(last, -1, -1),  # the last one, at which most people look, is the default
            format_func=lambda i: f"{i} {shorten(visible(reading.tokens[i]), 40)}",
            key="at",
            bind="query-params",
            on_change=lambda: _move_to(st.session_state["at"]),
        )
    guesses = reading.predictions[reading.predictions["position"] == at]
    names = [shorten(visible(token), 40) for token in guesses["token"]]
    with what:
        place = st.selectbox(
            "Explain the prediction",
            range(len(names)),
            format_func=lambda i: f"{i + 1} {names[i]}",
            key="token",
            bind="query-params",
        )
    return at, place


def _move_to(position: int) -> None:
    """Explain a position, beginning with the model's own prediction there.

    Both values are set, not dropped: the browser would go on showing a value that was dropped.
    """
    st.session_state["at"] = position
    st.session_state["token"] = 0


def _key(name: str, *parts: Any) -> str:
    """A widget key that changes with what the widget shows, so that no selection outlives it."""
    return f"{name}-{sha256(repr(parts).encode()).hexdigest()[:12]}"


def _next_token(reading: Reading, guesses: pd.DataFrame, at: int, place: int) -> None:
    st.subheader("What comes next")
    figure = prediction_chart(
        guesses[["token", "probability", "logit"]], scheme=scheme(), chosen=place
    )
    key = _key("prediction", reading.ids, at)

    def pick() -> None:
        for point in st.session_state[key].selection["prediction"]:
            st.session_state["token"] = int(point["place"])

    with st.container(key="predictions"):
        st.altair_chart(
            figure.chart, theme=None, width="stretch", alt=figure.alt, key=key, on_select=pick
        )
    _words_and_table(figure.alt, figure.frame, "predictions_table")


def _why(opened: Opened, reading: Reading, guess: pd.Series, at: int) -> None:
    st.subheader("Why this token")
    try:
        with st.spinner("Computing integrated gradients", show_time=True):
            found = attribute(
                opened.model, opened.weights, reading.ids[: at + 1], int(guess["token_id"]), METHOD
            )
    except InterpError as error:
        refuse("This prediction cannot be explained.", error)
        return
    cost = found.cost
    st.html(
        token_strip_html(
            found.tokens,
            found.scores,
            title=f"Integrated gradients of the logit of {quoted(guess['token'])}",
            caption=f"The logit is {number(found.value)}; with {found.baseline}, it is "
            f"{number(found.baseline_value)}. The scores share out the difference of "
            f"{number(found.difference, signed=True)}. Completeness error: "
            f"{_error(found.completeness_error)}. Cost: {cost.forwards} forwards, "
            f"{cost.backwards} backwards, {cost.seconds:.2f} s.",
            scheme=scheme(),
        )
    )
    if not found.converged:
        st.warning(
            "The scores miss their sum by more than the method tolerates. Do not rely on them."
        )
    _words_and_table(strip_finding(found.tokens, found.scores), found.to_frame(), "why_table")


def _error(share: float | None) -> str:
    return "not claimed" if share is None else percent(share)


def _lens(reading: Reading, at: int) -> None:
    st.subheader("What each layer would have said")
    st.markdown(
        "The logit lens: the residual stream after each layer, read as if it were the last. A "
        "click on a cell moves the whole page to its position."
    )
    figure = lens_chart(reading.lens, scheme=scheme(), per_line=_PER_LINE, chosen=at)
    key = _key("lens", reading.ids)

    def pick() -> None:
        for point in st.session_state[key].selection["cell"]:
            _move_to(int(point["position"]))

    with st.container(key="lens"):
        st.altair_chart(
            figure.chart, theme=None, width="content", alt=figure.alt, key=key, on_select=pick
        )
    _words_and_table(figure.alt, figure.frame, "lens_table")


@st.fragment(key="attention_panel")
def _attention(reading: Reading) -> None:
    st.subheader("Where each head reads from")
    st.markdown(
        "Attention weights say from where a head reads, not what it does with what it finds. A "
        "click on a head shows it large."
    )
    layers, heads = reading.patterns.shape[:2]
    one, two, three = st.columns([1, 1, 2], vertical_alignment="bottom")
    layer = one.selectbox("Layer", range(layers), key="layer", bind="query-params")
    head = two.selectbox("Head", range(heads), key="head", bind="query-params")
    hide = three.toggle(
        "Hide the first token, on which many heads rest", key="hide_first", bind="query-params"
    )
    frame = attention_frame(reading.patterns, causal=True)
    key = _key("heads", reading.ids)

    def pick() -> None:
        for point in st.session_state[key].selection["head"]:
            st.session_state["layer"] = int(point["layer"])
            st.session_state["head"] = int(point["head"])

    # Side by side where the window is wide enough, one below the other where it is not.
    with st.container(horizontal=True, gap="medium"):
        with st.container(key="heads", width=_GRID + 70):
            grid = attention_grid(frame, scheme=scheme(), hide_first=hide, width=_GRID)
            st.altair_chart(
                grid.chart, theme=None, width="content", alt=grid.alt, key=key, on_select=pick
            )
            _words_and_table(grid.alt, grid.frame, "heads_table")
        with st.container(key="one_head", width=_HEAD + 140):
            chosen = frame[(frame["layer"] == layer) & (frame["head"] == head)]
            large = attention_head(
                chosen, reading.tokens, scheme=scheme(), hide_first=hide, width=_HEAD
            )
            st.altair_chart(large.chart, theme=None, width="content", alt=large.alt)
            _words_and_table(large.alt, large.frame, "one_head_table")


def _words_and_table(finding: str, frame: pd.DataFrame, key: str) -> None:
    """The sentence that a picture states, and the table that it was drawn from, once opened."""
    st.text(literal(finding))
    table = st.expander("As a table", key=key, on_change="rerun")
    if table.open:
        texts = [name for name in frame.columns if frame[name].dtype.kind not in "iuf"]
        shown = frame.assign(**{name: frame[name].map(visible) for name in texts})
        table.dataframe(shown, hide_index=True)
