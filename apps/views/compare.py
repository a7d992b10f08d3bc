"""Compare: two texts, two checkpoints or two models, on one scale, and their difference."""

from __future__ import annotations

from functools import partial

import streamlit as st

from apps.catalog import names, other_text, places
from apps.drawing import chart, refuse, scheme, words_and_table
from apps.language import say
from apps.reading import Opened, Passage, encode, open_model, open_run, token_texts
from apps.results import goal
from apps.results_compare import Side, changes, differences, explained, require_same_outputs
from apps.state import State, current
from interp import InterpError
from interp.figures.change import change_chart
from interp.figures.labels import count, literal, number, quoted
from interp.figures.strip import color_limit, strip_finding, token_strip_html

_KINDS = {"text": "another text", "step": "another training step", "model": "another model"}
_WIDTH = 220  # pixels of the axis of probabilities
_DEFAULT = "compared_from"  # model and text that the second text was proposed for


def show(state: State) -> None:
    """The whole page."""
    st.text(literal(say("Question") + ": " + state.question()))
    run = open_run(places()[state.opened.name])
    steps = list(run.steps) if run is not None else []
    kinds = [kind for kind in _KINDS if kind != "step" or len(steps) > 1]
    kind = st.radio(
        say("Compare with"),
        kinds,
        horizontal=True,
        format_func=lambda kind: say(_KINDS[kind]),
        key="against",
        bind="query-params",
    )
    try:
        with st.spinner(say("Reading both")):
            one = Side(state.opened, state.passage, state.at, say("first"))
            other = _OTHER[kind](state, steps)
            require_same_outputs(one.opened.model, other.opened.model)
            frame = changes(one, other)
    except InterpError as error:
        refuse(say("These two cannot be compared."), error)
        return
    left, right = st.columns((5, 6), gap="large")
    with left:
        st.header(say("What each says"))
        st.text(say("Open dots: the first. Filled dots: the second."))
        chart(partial(change_chart, frame, scheme=scheme(), width=_WIDTH), "changes")
    with right:
        st.header(say("Why each says it"))
        _reasons(state, one, other)


def _another_text(state: State, steps: list[int]) -> Side:
    name, text = state.opened.name, st.session_state["text"]
    proposed = (name, text)
    if "other_text" not in st.session_state or st.session_state.get(_DEFAULT, proposed) != proposed:
        st.session_state["other_text"] = other_text(name, text)
    st.session_state[_DEFAULT] = proposed
    with st.form("compared", border=False):
        second = st.text_area(
            say("The second text"),
            max_chars=100_000,
            height=80,
            key="other_text",
            bind="query-params",
        )
        st.form_submit_button(say("Compare"))
    if second == text:
        st.info(say("Both are the same text. Change a word of the second."))
    opened, first = state.opened, state.passage
    found = encode(opened.model, opened.identity, second)
    if first.source:  # another source, and the same words written so far
        return Side(opened, Passage(first.ids, found.source), state.at, say("second"))
    if opened.model.cfg.shape == "encoder":
        at = state.at if len(found.ids) == len(first.ids) else _last(state, found)
        return Side(opened, found, at, say("second"))
    whole = state.reading.passage.ids
    at = state.at if len(found.ids) == len(whole) else len(found.ids) - 1
    return Side(opened, found.until(at), at, say("second"))


def _last(state: State, found: Passage) -> int:
    return len(found.ids) - 1 if state.reading.outputs == "token" else 0


def _another_step(state: State, steps: list[int]) -> Side:
    step = st.select_slider(
        say("The second training step"), steps, steps[0], key="other_step", bind="query-params"
    )
    name = state.opened.name
    return _again(state, open_model(name, places()[name], step))


def _another_model(state: State, steps: list[int]) -> Side:
    known = [name for name in names() if name != state.opened.name]
    name = st.selectbox(say("The second model"), known, key="other_model", bind="query-params")
    run = open_run(places()[name])
    return _again(state, open_model(name, places()[name], run.steps[-1] if run else None))


def _again(state: State, opened: Opened) -> Side:
    """Another model reads what the first one reads."""
    require_same_outputs(state.opened.model, opened.model)
    return Side(opened, state.passage, state.at, say("second"))


_OTHER = {"text": _another_text, "step": _another_step, "model": _another_model}


def _reasons(state: State, one: Side, other: Side) -> None:
    """The strips of both on one scale, and that of their difference."""
    try:
        with st.spinner(say("Explaining"), show_time=True):
            target, what = state.target(), goal(state)
            first, second = (explained(side, target, what, state.method) for side in (one, other))
    except InterpError as error:
        refuse(say("This prediction cannot be explained by this method."), error)
        return
    frame = differences(first, second)
    limit = color_limit([*first.scores, *second.scores])
    for side, found in ((one, first), (other, second)):
        after = quoted(token_texts(side.opened.model, side.passage.ids)[side.at])
        title = f"{side.name}: {found.target} = {number(found.value)}"
        _strip(found.tokens, found.scores, title, f"{say('after')} {after}", limit)
    if frame is None:
        st.info(
            say("The texts have different lengths, so there is no difference token by token.")
            + f" ({count(len(first.tokens), 'token')}, {count(len(second.tokens), 'token')})"
        )
        return
    tokens = [
        token if token == now else f"{token}→{now}"
        for token, now in zip(frame["token"], frame["other_token"], strict=True)
    ]
    scores = frame["difference"].tolist()
    change = number(second.value - first.value, signed=True)
    title = f"{say('second minus first')}: {change}"
    _strip(tokens, scores, title, say("on a scale of its own"), None)
    words_and_table(strip_finding(tokens, scores), frame, "differences_table")


def _strip(
    tokens: list[str] | tuple[str, ...],
    scores: list[float] | tuple[float, ...],
    title: str,
    caption: str,
    limit: float | None,
) -> None:
    st.html(
        token_strip_html(tokens, scores, title=title, caption=caption, limit=limit, scheme=scheme())
    )


show(current())
