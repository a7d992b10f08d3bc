"""At work: the model continues, translates or labels, and each token it writes can be explained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from apps.catalog import examples
from apps.drawing import refuse, words_and_table
from apps.language import say
from apps.reading import TOP, Passage, encode
from apps.results_data import probabilities
from apps.results_work import Writing, explained, judged, text_of, write
from apps.sending import send, sent
from apps.state import State, current
from interp import InterpError
from interp.figures.answer import answer_table_html
from interp.figures.labels import literal, percent, shorten, visible

if TYPE_CHECKING:
    import pandas as pd

_METHODS = ("integrated_gradients", "gradient_x_input", "leave_one_out")


def show(state: State) -> None:
    """The whole page."""
    if sent():
        return
    if state.reading.outputs == "class":
        _label(state)
    elif state.opened.model.cfg.shape == "encoder":
        st.info(say("This model writes no text. Start shows what it would put at each position."))
    else:
        _write(state)


# -- writing -------------------------------------------------------------------------------------


def _write(state: State) -> None:
    pair = bool(state.reading.source_tokens)
    writing = _settings(pair)
    opened, read = state.opened, state.reading.passage
    try:
        with st.spinner(say("Writing"), show_time=True):
            whole = write(opened, opened.identity, read, writing)
    except InterpError as error:
        refuse(say("The model cannot write on from here."), error)
        return
    start = 1 if pair else len(read.ids)
    if len(whole.ids) == start:
        st.info(say("The model writes nothing: the text is as long as it can read, or complete."))
        return
    st.header(say("What it writes"))
    st.code(literal(text_of(opened.model, whole.ids[start:])), language=None, wrap_lines=True)
    found = judged(opened, opened.identity, whole, start)
    _tokens(state, whole, found)
    _matrix(state, whole, start)


def _settings(pair: bool) -> Writing:
    columns = st.columns(4)
    length = columns[0].slider(say("Tokens at most"), 1, 80, 32, key="length", bind="query-params")
    if pair:
        beams = columns[1].slider(
            say("Beams (1 takes the likeliest token each time)"), 1, 8, 1, key="beams",
            bind="query-params",
        )  # fmt: skip
        return Writing(length, beams=beams)
    return Writing(
        length,
        columns[1].slider(
            say("Temperature (0 takes the likeliest)"), 0.0, 2.0, 0.8, 0.1, key="temperature",
            bind="query-params",
        ),
        columns[2].slider("top-p", 0.05, 1.0, 0.95, 0.05, key="top_p", bind="query-params"),
        # A number with a fraction: of a whole one, infinity in the address ends the page.
        int(columns[3].number_input(
            say("Seed"), 0.0, 2.0**31 - 1, 0.0, 1.0, "%.0f", key="seed", bind="query-params",
        )),
    )  # fmt: skip


def _tokens(state: State, whole: Passage, found: pd.DataFrame) -> None:
    """The tokens that were written, of which one is chosen and sent."""
    st.header(say("Ask why"))
    st.markdown(say("Choose a token, by a click on its row or in the list, and send it to Start."))
    rows = range(len(found))
    if st.session_state.get("written", 0) not in rows:  # of a longer text before
        st.session_state["written"] = 0
    table = f"written-{hash((whole, state.opened.identity))}"

    def pick() -> None:
        for row in st.session_state[table].selection.rows:
            st.session_state["written"] = row

    left, right = st.columns([3, 2], gap="large")
    left.dataframe(
        found.assign(token=found["token"].map(visible)),
        hide_index=True,
        height=280,
        key=table,
        on_select=pick,
        selection_mode="single-row",
        column_config={
            "probability": st.column_config.ProgressColumn(
                "probability", min_value=0.0, max_value=1.0, format="%.3f"
            )
        },
    )
    with right:
        row = st.selectbox(
            say("Token"),
            rows,
            key="written",
            format_func=lambda i: (
                f"{found['position'][i]} {shorten(visible(found['token'][i]), 40)}"
            ),
        )
        chosen = found.loc[row]
        st.text(f"{percent(float(chosen['probability']))}, {say('place')} {chosen['rank']}")
        _send(state, whole, int(chosen["position"]), int(chosen["rank"]))


def _send(state: State, whole: Passage, position: int, rank: int) -> None:
    """The button that has Start explain a token; it reads the same tokens, or is not there."""
    if whole.source:
        # Start reads the source anew, and takes the likeliest tokens.
        same = state.reading.passage.ids[:position] == whole.ids[:position]
        text = st.session_state["text"]
    else:
        text = text_of(state.opened.model, whole.ids)
        same = _reads(state, text, whole.ids)
        if not same:
            text = text_of(state.opened.model, whole.ids[:position])
            same = _reads(state, text, whole.ids[:position])
    if not same:
        st.info(say("Start would read other tokens than these, so it cannot explain this one."))
        return
    st.button(
        say("Why this token? Send it to Start"),
        key="send_token",
        on_click=send,
        args=(text, position - 1, rank - 1 if rank <= TOP else 0),
    )
    if rank > TOP:
        st.text(say("It is not among the likeliest; Start begins with the first of those."))


def _reads(state: State, text: str, ids: tuple[int, ...]) -> bool:
    """Whether a text is read as these tokens; another may not even fit."""
    try:
        return encode(state.opened.model, state.opened.identity, text).ids == ids
    except InterpError:
        return False


def _matrix(state: State, whole: Passage, start: int) -> None:
    st.header(say("Where does the whole answer come from?"))
    one, two = st.columns([2, 3], vertical_alignment="bottom")
    method = one.selectbox(
        say("Method"),
        _METHODS,
        key="answer_method",
        bind="query-params",
        format_func=lambda method: method.replace("_", " "),
    )
    asked = two.button(say("Explain every token of it"), key="explain_answer")
    recipe = (whole, start, method, state.opened.identity)
    if not asked and st.session_state.get("explained_answer") != recipe:
        return
    st.session_state["explained_answer"] = recipe
    try:
        with st.spinner(say("Explaining"), show_time=True):
            opened = state.opened
            found = explained(opened, opened.identity, whole, start, method)
    except InterpError as error:
        refuse(say("This answer cannot be explained by this method."), error)
        return
    st.html(answer_table_html(found.answer, found.tokens, found.scores))
    if not found.converged:
        st.warning(
            say("The scores miss their sum by more than the method tolerates. Do not rely on them.")
        )
    facts = "; ".join(f"{name}: {value}" for name, value in found.facts().items())
    words_and_table(facts, found.to_frame(), "answer_table")


# -- labelling -----------------------------------------------------------------------------------


def _label(state: State) -> None:
    given = "\n".join(example.text for example in examples(state.opened.name))
    with st.form("lines", border=False):
        written = st.text_area(
            say("A text on each line"), given, max_chars=20_000, height=160, key="lines_text"
        )
        st.form_submit_button(say("Label them"))
    lines = tuple(line for line in written.splitlines() if line.strip())
    if not lines:
        st.info(say("Write a line to label."))
        return
    try:
        with st.spinner(say("Reading")):
            table = probabilities(state.opened, state.opened.identity, lines)
    except InterpError as error:
        refuse(say("These lines cannot be labelled."), error)
        return
    names = state.opened.model.cfg.class_names or [f"class {i}" for i in range(table.shape[1])]
    best = table.argmax(1)

    def pick() -> None:
        for row in st.session_state["labelled"].selection.rows:
            st.session_state["line"] = row

    st.dataframe(
        {
            "text": [visible(line).replace("·", " ") for line in lines],
            "class": [names[i] for i in best],
            "probability": table.max(1),
        },
        hide_index=True,
        key="labelled",
        on_select=pick,
        selection_mode="single-row",
    )
    if st.session_state.get("line", 0) not in range(len(lines)):
        st.session_state["line"] = 0
    row = st.selectbox(
        say("Line"),
        range(len(lines)),
        key="line",
        format_func=lambda i: shorten(literal(lines[i]), 60),
    )
    st.button(
        say("Why this label? Send it to Start"), key="send_line", on_click=send, args=(lines[row],)
    )


show(current())
