"""Data & slices: the model on a whole table of examples, where it fails, and how sure it is."""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from apps.catalog import examples
from apps.drawing import chart, refuse, scheme
from apps.language import say
from apps.results_data import (
    MOST,
    SUFFIXES,
    probabilities,
    sliced,
    surprises,
    uploaded,
)
from apps.sending import send, sent
from apps.state import State, current
from interp import InputError, InterpError
from interp.figures.labels import literal, number, percent, shorten
from interp.figures.reliability import reliability_chart
from interp.figures.slices import slices_chart
from probes.slices import by_length

_WIDTH = 480  # pixels of a picture with its labels

# Written for this page, so that it opens with something to see; a measurement needs more.
_BUILT_IN = (
    ("a tender and funny film with a wonderful cast .", "pos"),
    ("dull , slow and far too long .", "neg"),
    ("the story is old , but it is told with real love .", "pos"),
    ("it is not a bad film .", "pos"),
    ("not even the music can save this mess .", "neg"),
    ("i laughed , i cried , and i would see it again tomorrow .", "pos"),
    ("the actors try hard ; the script does not .", "neg"),
    ("a waste of a good idea .", "neg"),
)


def show(state: State) -> None:
    """The whole page."""
    if sent():
        return
    model = state.opened.model
    if model.tokenizer is None or (
        state.reading.outputs == "token" and model.cfg.shape != "decoder"
    ):
        st.info(say("Tables are read by classifiers, and by models that continue a text."))
        return
    try:
        table = _table(state)
        if table is None:
            return
        with st.spinner(say("Reading the table"), show_time=True):
            scored, share = _scored(state, table)
    except InterpError as error:
        refuse(say("This table cannot be read."), error)
        return
    _rows(scored, _title(scored, share))
    # Side by side where the window is wide enough, one below the other where it is not.
    with st.container(horizontal=True, gap="large"):
        with st.container(width=_WIDTH):
            _slices(scored, share)
        if share:
            with st.container(width=_WIDTH):
                _calibration(state, scored)


def _table(state: State) -> pd.DataFrame | None:
    """The examples: `text`, `label` where it is known, and the column of the slices."""
    with st.expander(say("Read a table of yours"), expanded=False):
        file = st.file_uploader(
            say("CSV, TSV or JSON lines; the first {n} examples are read", n=MOST),
            type=[suffix[1:] for suffix in SUFFIXES],
            max_upload_size=5,
        )
        one, two, three = st.columns(3)
        text = one.text_input(say("Column of the text"), "text", max_chars=100)
        label = two.text_input(say("Column of the right label, if any"), max_chars=100)
        by = three.text_input(say("Column to slice by, if any"), max_chars=100)
    if file is None:
        if state.reading.outputs == "class" and {"neg", "pos"} <= set(
            state.opened.model.cfg.class_names
        ):
            return pd.DataFrame(_BUILT_IN, columns=["text", "label"])
        return pd.DataFrame({"text": [example.text for example in examples(state.opened.name)]})
    content = file.getvalue()
    suffix = Path(file.name).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"A table ends in {', '.join(SUFFIXES)}.")
    names = tuple(dict.fromkeys(name for name in (text, label, by) if name))
    if not text:
        raise InputError("Name the column that holds the text.")
    found = uploaded(sha256(content).hexdigest(), content, suffix, names)
    out = found[["text"]].copy()
    if label:
        out["label"] = found["text" if label == text else f"kept {label}"]
    if by:
        out["slice"] = found["text" if by == text else f"kept {by}"]
    return out


def _scored(state: State, table: pd.DataFrame) -> tuple[pd.DataFrame, bool]:
    """The table with what the model says; and whether the column `score` is right or wrong."""
    opened, texts = state.opened, tuple(table["text"])
    if state.reading.outputs == "token":
        return table.assign(score=surprises(opened, opened.identity, texts)), False
    found = probabilities(opened, opened.identity, texts)
    classes = np.array(opened.model.cfg.class_names)
    table = table.assign(predicted=classes[found.argmax(1)], confidence=found.max(1))
    if "label" not in table:
        return table.assign(score=found.max(1)), False
    unknown = sorted(set(table["label"]) - set(classes))
    if unknown:
        raise InputError(f"The label {unknown[0]!r} is none of the model's: {', '.join(classes)}.")
    return table.assign(score=(table["predicted"] == table["label"]).astype(float)), True


def _title(scored: pd.DataFrame, share: bool) -> str:
    if share:
        return "accuracy"
    return "confidence" if "predicted" in scored else "nats for a token"


def _rows(scored: pd.DataFrame, title: str) -> None:
    """The examples, of which one is chosen and sent."""
    shown = scored
    if "label" in scored and st.toggle(say("Errors only"), key="errors_only", bind="query-params"):
        shown = scored[scored["score"] == 0]
        if not len(shown):
            st.info(say("There is no error in this table."))
            return
    shown = shown.reset_index(drop=True)
    if st.session_state.get("example", 0) not in range(len(shown)):
        st.session_state["example"] = 0

    def pick() -> None:
        for row in st.session_state["examples_table"].selection.rows:
            st.session_state["example"] = row

    texts = [name for name in shown.columns if shown[name].dtype.kind not in "iuf"]
    st.dataframe(
        shown.assign(**{name: shown[name].map(literal) for name in texts}),
        column_config={"score": "right" if "label" in scored else title},
        hide_index=True,
        height=280,
        key="examples_table",
        on_select=pick,
        selection_mode="single-row",
    )
    one, two = st.columns([3, 1], vertical_alignment="bottom")
    row = one.selectbox(
        say("Example"),
        range(len(shown)),
        key="example",
        format_func=lambda i: f"{i + 1} {shorten(literal(shown['text'][i]), 80)}",
    )
    two.button(
        say("Send it to Start"), key="send_example", on_click=send, args=(shown["text"][row],)
    )


def _slices(scored: pd.DataFrame, share: bool) -> None:
    st.header(say("Slices"))
    known = scored[scored["score"].notna()]
    if not len(known):
        st.info(say("There is nothing to measure."))
        return
    if "slice" not in known:  # short texts first
        known = known.sort_values("text", key=lambda texts: texts.str.split().str.len())
    names = list(known["slice"]) if "slice" in known else by_length(list(known["text"]))
    found = sliced(known["score"].to_numpy(float), names, share)
    whole, title = float(known["score"].mean()), _title(scored, share)
    figure = partial(
        slices_chart, found, scheme(), title=title, whole=whole, share="predicted" in scored
    )
    chart(figure, "slices", title, whole)


def _calibration(state: State, scored: pd.DataFrame) -> None:
    from interp.train.metrics import calibration, reliability

    st.header(say("Is it right as often as it says?"))
    classes = list(state.opened.model.cfg.class_names)
    opened = state.opened
    found = probabilities(opened, opened.identity, tuple(scored["text"]))
    true = np.array([classes.index(label) for label in scored["label"]])
    bins = max(1, min(10, len(true) // 10))  # one for the sentence and the chart
    error, brier = calibration(found, true, bins=bins)
    gap, loss, n = percent(error.value), number(brier.value), error.n
    st.text(
        say(
            "Its confidence misses its share of right answers by {gap} on average over {n} "
            "examples (expected calibration error). Brier score: {loss}; 0 is best, 2 worst.",
            gap=gap,
            n=n,
            loss=loss,
        )
    )
    table = reliability(found, true, bins=bins)
    chart(partial(reliability_chart, table, scheme=scheme()), "reliability")


show(current())
