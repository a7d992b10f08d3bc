"""The explorer: `streamlit run apps/explorer.py` opens a real model, offline, in the browser.

This script draws what all pages share - which model reads which text, and what is looked at - and
lists the pages; each is a file in `views/`.
"""

from __future__ import annotations

import streamlit as st

from apps.drawing import draw_first, refuse
from apps.first import first
from apps.language import say
from apps.state import choose_rest, choose_text, is_fresh, open_chosen
from interp import InterpError

# No page icon: the browser would fetch one from elsewhere, and the explorer works offline.
st.set_page_config(page_title="interp explorer", layout="wide")

PAGES = {
    "start": "Start",
    "lens": "Predict & lens",
    "attribution": "Attribution",
    "attention": "Attention",
    "intervene": "Intervene",
    "training": "Training & probes",
    "compare": "Compare",
    "neurons": "Neurons & features",
    "flow": "Flow",
    "work": "At work",
    "data": "Data & slices",
    "audit": "Audit",
}
page = st.navigation(
    [
        st.Page(f"views/{name}.py", title=say(title), url_path=name, default=name == "start")
        for name, title in PAGES.items()
    ],
    position="top",
)
with st.sidebar:
    name, what, text = choose_text()
st.title(page.title)
waiting, body = st.empty(), st.container()
stored = first(what, text) if is_fresh() and page.url_path == "" else None
if stored is not None:
    with waiting.container():
        draw_first(stored)
# What follows imports torch, pandas and Altair. Python reads the imports here, when the browser
# has already drawn the above.
trouble = say("This model cannot be opened.")
try:
    with st.sidebar:
        opened = open_chosen(name, what)
        trouble = say("This text cannot be read.")
        choose_rest(opened, text)
except InterpError as error:
    with body:
        refuse(trouble, error)
    st.stop()
finally:
    waiting.empty()
with body:
    page.run()
