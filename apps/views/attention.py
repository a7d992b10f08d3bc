"""Attention: a grid of all heads, and one of them large."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import streamlit as st

from apps.drawing import chart, scheme
from apps.language import say
from apps.state import State, current
from interp.figures.attention import attention_grid, attention_head
from interp.figures.patterns import attention_frame

_GRID, _HEAD = 470, 400  # pixels of the grid and of the large head, without labels


def show(state: State) -> None:
    """The whole page."""
    st.markdown(
        say(
            "Attention weights say from where a head reads, not what it does with what it finds. A "
            "click on a head shows it large."
        )
    )
    known = list(state.reading.patterns)
    one, two = st.columns([1, 2], vertical_alignment="bottom")
    hide = two.toggle(
        say("Hide the first token, on which many heads rest"), key="hide_first", bind="query-params"
    )
    kind = known[0]
    if len(known) > 1:
        kind = one.selectbox(say("Which attention"), known, key="kind", bind="query-params")
    queries, keys = _sides(state, kind)
    shape = state.opened.model.cfg.shape
    causal = shape == "decoder" or kind == "decoder"
    frame = attention_frame(state.reading.patterns[kind], causal=causal)

    def pick(point: Mapping[str, Any]) -> None:
        st.session_state["layer"] = int(point["layer"])
        st.session_state["head"] = int(point["head"])

    # Side by side where the window is wide enough, one below the other where it is not.
    with st.container(horizontal=True, gap="medium"):
        with st.container(width=_GRID + 70):
            grid = partial(attention_grid, frame, scheme=scheme(), hide_first=hide, width=_GRID)
            chart(grid, "heads", state.reading.passage, kind, pick=("head", pick))
        with st.container(width=_HEAD + 140):
            chosen = frame[(frame["layer"] == state.layer) & (frame["head"] == state.head)]
            large = partial(
                attention_head,
                chosen,
                queries,
                key_tokens=keys,
                scheme=scheme(),
                hide_first=hide,
                width=_HEAD,
            )
            chart(large, "one_head")


def _sides(state: State, kind: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tokens that read, and those that are read."""
    reading = state.reading
    written, source = reading.tokens, reading.source_tokens
    if kind == "decoder to source":
        return written, source
    return (source, source) if kind == "encoder" else (written, written)


show(current())
