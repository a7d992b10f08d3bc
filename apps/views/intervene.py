"""Intervene: change a word and see which part of the model carries the difference, switch a head
off, or steer the model along a direction between two sets of texts."""

from __future__ import annotations

from functools import partial

import streamlit as st

from apps.drawing import chart, refuse, scheme
from apps.language import say
from apps.reading import Passage, encode, token_texts
from apps.results import goal, patched, without_head
from apps.results_steering import effect, written
from apps.state import State, current
from interp import InputError, InterpError
from interp.figures.change import change_chart
from interp.figures.labels import literal, number, shorten, visible
from interp.figures.patching import patch_chart
from interp.figures.steering import steering_chart

_KINDS = {
    "resid_pre": "the stream before each layer",
    "attn_out": "what attention adds",
    "mlp_out": "what the feed-forward layer adds",
    "z": "what each head writes",
}


def show(state: State) -> None:
    """The whole page."""
    change, off, steer = st.tabs(
        [say("Change a word"), say("Switch a head off"), say("Steer")],
        key="intervention",
        on_change="rerun",
        bind="query-params",
    )
    if change.open:
        with change:
            _change(state)
    if off.open:
        with off:
            _off(state)
    if steer.open:
        with steer:
            _steer(state)


def _change(state: State) -> None:
    st.markdown(
        say(
            "The model reads a second text, in which one token is another. Then each part of the "
            "first run is put into the second, alone: where the prediction comes back, there the "
            "model keeps what it needs of that token."
        )
    )
    passage = state.passage
    read = passage.source or passage.ids
    texts = token_texts(state.opened.model, read)
    one, two, three = st.columns([2, 2, 2], vertical_alignment="bottom")
    place = one.selectbox(
        say("Replace the token"),
        range(len(read)),
        index=max(0, len(read) // 2),
        format_func=lambda i: f"{i} {shorten(visible(texts[i]), 30)}",
        key="replace",
        bind="query-params",
    )
    other = two.text_input(
        say("by (one token, spaces count)"), key="by", max_chars=100, bind="query-params"
    )
    kind = three.selectbox(
        say("Put back"), _KINDS, format_func=lambda kind: say(_KINDS[kind]), key="put"
    )
    if not other:
        st.info(say("Write a token to put in its place."))
        return
    try:
        changed = _replaced(state, passage, read, place, other)
        with st.spinner(say("Patching"), show_time=True):
            opened = state.opened
            found = patched(opened, opened.identity, passage, changed, kind, goal(state))
    except InterpError as error:
        refuse(say("This change cannot be traced."), error)
        return
    st.text(
        literal(
            f"{found.metric}: {number(found.clean)} on the first text, "
            f"{number(found.corrupted)} on the second. {found.forwards} forwards."
        )
    )
    chart(partial(patch_chart, found.to_frame(), scheme=scheme()), "patches")


def _replaced(
    state: State, passage: Passage, read: tuple[int, ...], place: int, other: str
) -> Passage:
    """The passage with one token replaced by what the reader wrote."""
    model = state.opened.model
    if model.tokenizer is None:
        found = encode(model, state.opened.identity, other)
        (token, *more) = found.source or found.ids
        if more:
            raise InputError("Write the number of one token.")
    else:
        token = int(model.to_single_token(other))
    ids = (*read[:place], token, *read[place + 1 :])
    return Passage(passage.ids, ids) if passage.source else Passage(ids)


def _off(state: State) -> None:
    st.markdown(
        say(
            "The head that the sidebar names writes nothing, at any position. Filled dots are the "
            "probabilities without it, open ones with it."
        )
    )
    opened = state.opened
    with st.spinner(say("Running without the head")):
        found = without_head(
            opened, opened.identity, state.passage, state.layer, state.head, goal(state)
        )
    st.text(f"{say('Layer')} {state.layer}, {say('head')} {state.head}")
    chart(partial(change_chart, found, scheme=scheme()), "without_head")


def _steer(state: State) -> None:
    st.markdown(
        say(
            "The mean activation of some texts, minus that of others, is a direction. It is added "
            "after the layer that the sidebar names, at every position. A direction that does no "
            "more than random ones of its length disturbs the model; it does not steer it."
        )
    )
    one, two = st.columns(2)
    toward = one.text_area(
        say("Towards these texts, one on each line"),
        "I am very happy.\nWhat a lovely, joyful day!\nThey laughed and sang with delight.",
        key="toward",
        max_chars=5_000,
        bind="query-params",
    )
    away = two.text_area(
        say("Away from these"),
        "I am very sad.\nWhat a gloomy, dreadful day!\nThey wept and mourned in sorrow.",
        key="away",
        max_chars=5_000,
        bind="query-params",
    )
    sides = _lines(toward), _lines(away)
    if not all(sides):
        st.info(say("Write at least one text on each side."))
        return
    opened = state.opened
    try:
        with st.spinner(say("Steering"), show_time=True):
            found = effect(state, goal(state), sides)
    except InterpError as error:
        refuse(say("The model cannot be steered this way."), error)
        return
    chart(partial(steering_chart, found, scheme=scheme()), "steering")
    if not opened.model.cfg.has_vocabulary_head or opened.model.cfg.shape == "encoder":
        return
    strength = st.slider(say("How much"), -8.0, 8.0, 2.0, 0.5, key="strength", bind="query-params")
    try:
        with st.spinner(say("Writing"), show_time=True):
            text = written(opened, opened.identity, state.passage, sides, state.layer, strength)
    except InterpError as error:
        refuse(say("The model cannot be steered this way."), error)
        return
    one, two = st.columns(2)
    one.header(say("By itself"))
    one.code(literal(text.plain), language=None, wrap_lines=True)
    two.header(say("Steered"))
    two.code(literal(text.steered), language=None, wrap_lines=True)


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())


show(current())
