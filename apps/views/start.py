"""The first page: a text goes in, and everything the explorer can say of it comes out."""

from __future__ import annotations

import streamlit as st

from interp import InterpError

MODEL = "stories"
TEXT = "Once upon a time there was a little girl who lived in a house near the forest. One day the"


def start_over() -> None:
    """A new text starts at its last token, which is known once the text is encoded."""
    st.session_state["new_text"] = True


st.title("Look inside a language model")
with st.form("prompt", border=False):
    text = st.text_area(
        "Text for the model to continue",
        TEXT,
        max_chars=2_000,
        height=90,
        key="text",
        bind="query-params",
    )
    st.form_submit_button("Read it", type="primary", on_click=start_over)

# What follows imports torch, pandas and Altair. Python reads the import here, when the browser
# has already drawn the form.
panels = st.container()
with panels, st.spinner("Opening the model"):
    from apps.panels import refuse, show_reading
    from apps.reading import encode, open_model, read

    try:
        opened = open_model(MODEL)
        ids = encode(opened.model, text)
        reading = read(opened.model, opened.weights, ids)
    except InterpError as error:
        refuse("This text cannot be read.", error)
        st.stop()
with panels:
    show_reading(opened, reading)
