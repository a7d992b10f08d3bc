"""How pages draw: a chart with its sentence and its table, and refusals in plain words.

Every clickable mark has a widget that does the same, for the keyboard and for permalinks: a click
only sets that widget. Token text reaches a page as chart text, plain text or escaped HTML, never as
Markdown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

import streamlit as st

from apps.drawn import drawn
from apps.language import say
from interp.figures.labels import literal, percent, quoted, visible
from interp.figures.strip import strip_finding, token_strip_html

if TYPE_CHECKING:
    import pandas as pd

    from apps.first import First
    from interp import InterpError
    from interp.figures.figure import Figure
    from interp.figures.theme import Scheme


def scheme() -> Scheme:
    """The colour scheme that the reader sees."""
    return "dark" if st.context.theme.type == "dark" else "light"


def refuse(what: str, error: InterpError) -> None:
    """Say what cannot be done, and why; the reason may quote the text, so it is no Markdown."""
    st.error(what, icon=":material/error:")
    st.text(literal(str(error)))


def draw_first(stored: First) -> None:
    """The stored explanation of a first text, where the start page will draw its own."""
    st.text(say("Stored result. The model is being opened, to compute it anew."))
    left, right = st.columns((5, 6), gap="large")
    with left:
        word = stored.outputs == "token"
        st.header(say("What comes next") if word else say("What it says"))
        for name, share in stored.next:
            st.text(f"{percent(share)}  {quoted(name)}")
    with right:
        st.header(say("Why"))
        st.html(
            token_strip_html(
                stored.tokens,
                stored.scores,
                title=f"{stored.method.replace('_', ' ')}: {stored.target}",
                caption=say("Weights {weights}, stored.", weights=stored.weights[:12]),
                scheme=scheme(),
            )
        )
        st.text(literal(strip_finding(stored.tokens, stored.scores)))


def chart(
    figure: partial[Figure],
    name: str,
    *recipe: object,
    width: Literal["content", "stretch"] = "content",
    pick: tuple[str, Callable[[Mapping[str, Any]], None]] | None = None,
) -> None:
    """A chart, the sentence that it states, and its table, once opened.

    Args:
        figure: a function of `interp.figures` with its arguments.
        name: of the chart on its page.
        recipe: what it is about; a selection does not outlive it.
        pick: name of the chart's selection, and what a click on a mark does.
    """
    made = drawn(figure)
    key = f"{name}-{sha256(repr(recipe).encode()).hexdigest()[:12]}"
    picking: dict[str, Any] = {}
    if pick is not None:
        selection, act = pick

        def on_select() -> None:
            for point in st.session_state[key].selection[selection]:
                act(point)

        picking = {"on_select": on_select}
    with st.container(key=name):
        st.vega_lite_chart(
            made.vega_lite(), theme=None, width=width, alt=made.alt, key=key, **picking
        )
    words_and_table(made.alt, made.frame, f"{name}_table")


def words_and_table(finding: str, frame: pd.DataFrame, key: str) -> None:
    """The sentence that a picture states, and the table that it was drawn from, once opened."""
    st.text(literal(finding))
    table = st.expander(say("As a table"), key=key, on_change="rerun")
    if table.open:
        texts = [name for name in frame.columns if frame[name].dtype.kind not in "iuf"]
        shown = frame.assign(**{name: frame[name].astype(str).map(visible) for name in texts})
        table.dataframe(shown, hide_index=True)
