"""Neurons & features: which neurons are active now, what one of them writes, and what else it
responds to."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from apps.catalog import places
from apps.drawing import chart, refuse, scheme, words_and_table
from apps.features import show_features
from apps.language import say
from apps.results_neurons import responses, strongest, top_contexts, written
from apps.state import State, current
from interp import InterpError
from interp.figures.contexts import contexts_finding, contexts_html
from interp.figures.labels import count, literal, number, quoted, shorten, visible
from interp.figures.neuron import strongest_chart, writes_chart


def show(state: State) -> None:
    """The whole page."""
    at = _position(state)
    neurons, features = st.tabs(
        [say("Neurons"), say("Features")], key="units", on_change="rerun", bind="query-params"
    )
    if neurons.open:
        with neurons:
            _neurons(state, at)
    if features.open:
        with features:
            show_features(state, at, places()[state.opened.name])


def _neurons(state: State, at: int) -> None:
    opened, layer = state.opened, state.layer
    try:
        found = strongest(opened, opened.identity, state.passage, layer, at)
    except InterpError as error:
        refuse(say("There are no neurons to show."), error)
        return
    known = [int(neuron) for neuron in found["neuron"]]
    width = _width(state)
    one, two = st.columns([2, 3], vertical_alignment="bottom")
    neuron = one.selectbox(
        say("Neuron"),
        [*known, *(n for n in range(width) if n not in set(known))],
        key="neuron",
        bind="query-params",
    )
    two.text(
        literal(
            f"{say('Layer')} {layer}, {say('at token')} {at} {quoted(state.reading.tokens[at])}, "
            f"{count(width, 'neuron')}"
        )
    )

    def pick(point: Mapping[str, Any]) -> None:
        st.session_state["neuron"] = int(point["neuron"])

    left, right = st.columns(2, gap="large")
    with left:
        st.header(say("Which are strongest here"))
        figure = partial(strongest_chart, found, scheme=scheme(), chosen=neuron)
        chart(figure, "strongest", state.passage, layer, at, pick=("neuron", pick))
    with right:
        st.header(say("What it writes to the vocabulary"))
        _writes(state, neuron)
    st.header(say("What else it responds to"))
    _contexts(state, neuron)


def _position(state: State) -> int:
    """Where to look: that of the sidebar, or of a classifier, any token of the text."""
    if state.reading.outputs == "token":
        return state.at
    tokens = state.reading.tokens
    at: int = st.selectbox(
        say("At the token"),
        range(len(tokens)),
        format_func=lambda i: f"{i} {shorten(visible(tokens[i]), 40)}",
        key="neuron_at",
        bind="query-params",
    )
    return at


def _width(state: State) -> int:
    model = state.opened.model
    return len(model.stack(model.last_stack).blocks[state.layer].mlp.W_out)


def _writes(state: State, neuron: int) -> None:
    opened = state.opened
    try:
        found = written(opened, opened.identity, state.layer, neuron)
    except InterpError as error:
        refuse(say("What it writes cannot be read off the weights."), error)
        return
    chart(partial(writes_chart, found, scheme=scheme()), "writes")


def _contexts(state: State, neuron: int) -> None:
    opened, layer = state.opened, state.layer
    try:
        with st.spinner(say("Reading the built-in texts"), show_time=True):
            read = responses(opened, opened.identity, layer)
        lowest = read.neurons.lowest is not None and st.toggle(
            say("Where it is lowest"), key="lowest", bind="query-params"
        )
        with st.spinner(say("Reading the built-in texts"), show_time=True):
            found = top_contexts(opened, opened.identity, layer, neuron, lowest)
    except InterpError as error:
        refuse(say("The built-in texts cannot be read."), error)
        return
    share = float(read.neurons.density[neuron])
    st.text(
        literal(
            say(
                "Read: {what}, {tokens} tokens. This neuron is above zero on {share} of them, "
                "{mean} on average. A few texts are a first look: another data set may show "
                "another side.",
                what=read.what,
                tokens=f"{read.neurons.n:,}",
                share=f"{share:.0%}",
                mean=number(float(read.neurons.mean[neuron]), signed=True),
            )
        )
    )
    st.html(contexts_html(found, scheme=scheme()))
    frame = pd.DataFrame(
        {
            "text": [one.text for one in found],
            "token": [one.tokens[one.position] for one in found],
            "activation": [one.value for one in found],
            "context": ["".join(one.tokens) for one in found],
        }
    )
    words_and_table(contexts_finding(found), frame, "contexts_table")


show(current())
