"""Start: what the model says, which words made it say so, and what to look at next."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import streamlit as st

from apps.drawing import chart, refuse, scheme, words_and_table
from apps.language import say
from apps.results import attribution
from apps.state import State, current
from interp import InterpError
from interp.figures.labels import count, literal, number, percent
from interp.figures.lens import prediction_chart
from interp.figures.strip import strip_finding, token_strip_html


def show(state: State) -> None:
    """The whole page."""
    _model(state)
    left, right = st.columns((5, 6), gap="large")
    with left:
        _prediction(state)
    with right:
        _why(state)


def _model(state: State) -> None:
    cfg, (layers, heads) = state.opened.model.cfg, state.opened.heads
    st.text(
        f"{state.opened.name}: {count(layers, 'layer')} of {count(heads, 'head')}, weights "
        f"{state.opened.weights[:12]}. {count(len(state.reading.tokens), 'token')} of at most "
        f"{cfg.n_ctx}. " + say("All is computed on this machine.")
    )
    if state.reading.source_tokens:
        st.header(say("What it writes"))
        model = state.opened.model
        st.code(literal(model.to_string(list(state.reading.passage.ids))), language=None)


def _prediction(state: State) -> None:
    if state.reading.outputs == "class":
        st.header(say("What it says"))
    else:
        st.header(say("What comes next"))
    guesses = state.guesses
    figure = partial(
        prediction_chart,
        guesses[["token", "probability", "logit"]],
        scheme=scheme(),
        chosen=state.place,
        what="class" if state.reading.outputs == "class" else "next token",
    )

    def pick(point: Mapping[str, Any]) -> None:
        st.session_state["token"] = int(point["place"])

    chart(
        figure,
        "predictions",
        state.reading.passage,
        state.at,
        width="stretch",
        pick=("prediction", pick),
    )


def _why(state: State) -> None:
    st.header(say("Why"))
    try:
        with st.spinner(say("Explaining"), show_time=True):
            found, fresh = attribution(state, state.method)
    except InterpError as error:
        refuse(say("This prediction cannot be explained by this method."), error)
        return
    cost = found.cost
    missed = found.completeness_error
    st.html(
        token_strip_html(
            found.tokens,
            found.scores,
            title=f"{state.method.replace('_', ' ')}: {state.question()}",
            caption=f"{found.target}: {number(found.value)}; with {found.baseline}, it is "
            f"{number(found.baseline_value)}. Completeness error: "
            f"{'not claimed' if missed is None else percent(missed)}. Cost: {cost.forwards} "
            f"forwards, {cost.backwards} backwards, {cost.seconds:.2f} s, "
            f"{'computed now' if fresh else 'computed before'}.",
            scheme=scheme(),
        )
    )
    if not found.converged:
        st.warning(
            say("The scores miss their sum by more than the method tolerates. Do not rely on them.")
        )
    words_and_table(strip_finding(found.tokens, found.scores), found.to_frame(), "why_table")
    st.header(say("What to look at next"))
    st.page_link(
        "views/attribution.py", label=say("Can I trust that? Other methods, and checks of each")
    )
    st.page_link("views/lens.py", label=say("Where in the model is it decided? Layer by layer"))
    st.page_link("views/attention.py", label=say("Which head reads that word?"))
    st.page_link("views/intervene.py", label=say("What if? Change a word, or switch a head off"))
    st.page_link("views/flow.py", label=say("By which way does it get there?"))
    st.page_link("views/audit.py", label=say("What must I know before I use this model?"))


show(current())
