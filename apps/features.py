"""The features of a dictionary, as a part of the page of neurons."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from apps.drawing import chart, refuse, scheme, words_and_table
from apps.language import say
from apps.results_features import active, dictionaries, feature_card, open_dictionary
from apps.results_neurons import texts_of
from apps.state import State
from interp import InterpError
from interp.figures.contexts import contexts_finding, contexts_html
from interp.figures.labels import count, literal, quoted
from interp.figures.neuron import strongest_chart, writes_chart


def show_features(state: State, at: int, what: str) -> None:
    """The features that are active at a position, and one of them.

    Args:
        what: opens the model; dictionaries lie beside it.
    """
    found = dictionaries(what)
    if not found:
        st.info(
            say(
                "No dictionary lies beside this model. One is trained by `interp probe "
                "dictionary`, and found here in the folder `features` of the model."
            )
        )
        return
    folder: Path = st.selectbox(
        say("Dictionary"), found, format_func=lambda path: path.name, key="dictionary"
    )
    try:
        _show(state, at, str(folder))
    except InterpError as error:
        refuse(say("The features cannot be shown."), error)


def _show(state: State, at: int, folder: str) -> None:
    opened, recipe = state.opened, (state.opened.identity, folder)
    coder = open_dictionary(opened, *recipe)
    here = active(opened, *recipe, state.passage, at)
    first = [int(latent) for latent in here["neuron"]]
    known = set(first)
    one, two = st.columns([2, 3], vertical_alignment="bottom")
    latent = one.selectbox(
        say("Feature"),
        [*first, *(n for n in range(coder.latents) if n not in known)],
        key="feature",
        bind="query-params",
    )
    two.text(
        literal(
            f"{coder.site}, {say('at token')} {at} {quoted(state.reading.tokens[at])}, "
            f"{count(coder.latents, 'feature')}"
        )
    )

    def pick(point: Mapping[str, Any]) -> None:
        st.session_state["feature"] = int(point["neuron"])

    with st.spinner(say("Reading the built-in texts"), show_time=True):
        card = feature_card(opened, *recipe, latent)
    left, right = st.columns(2, gap="large")
    with left:
        st.header(say("Which are active here"))
        if first:
            figure = partial(strongest_chart, here, scheme=scheme(), chosen=latent, what="feature")
            chart(figure, "active", *recipe, state.passage, at, pick=("neuron", pick))
        else:
            st.text(say("None: the dictionary has nothing to say of this token."))
    with right:
        st.header(say("What it writes to the vocabulary"))
        if len(card.writes):
            chart(partial(writes_chart, card.writes, scheme=scheme()), "feature_writes")
        else:
            st.text(say("It does not write to the stream directly."))
    st.header(say("Where it is strongest"))
    _, texts = texts_of(opened, opened.identity)
    if not card.contexts:
        st.text(literal(say("It is active at no token of {what}.", what=texts)))
        return
    st.text(literal(say("Read: {what}. A few texts are a first look.", what=texts)))
    st.html(contexts_html(card.contexts, scheme=scheme()))
    frame = pd.DataFrame(
        {
            "text": [one.text for one in card.contexts],
            "token": [one.tokens[one.position] for one in card.contexts],
            "activation": [one.activations[one.position] for one in card.contexts],
            "context": ["".join(one.tokens) for one in card.contexts],
        }
    )
    words_and_table(contexts_finding(card.contexts), frame, "feature_contexts_table")
