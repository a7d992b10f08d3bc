"""From any page to Start, with a text and a position to explain."""

from __future__ import annotations

import streamlit as st

from apps.language import say
from apps.state import move_to

_SENT = "just_sent"


def send(text: str, at: int | None = None, place: int = 0) -> None:
    """Have the explorer read a text, as Start will show it; called when a widget is touched.

    Args:
        at: the position that is explained; by default where a new text begins.
        place: of the prediction among those of the position.
    """
    st.session_state["text"] = text
    st.session_state["new_text"] = at is None
    if at is not None:
        move_to(at)
        st.session_state["token"] = place
    st.session_state[_SENT] = True


def sent() -> bool:
    """Whether something was just sent; the page then shows the way to Start instead of itself.

    Streamlit switches no page while parameters of the address belong to widgets; a link does.
    """
    if not st.session_state.pop(_SENT, False):
        return False
    st.success(say("Start reads this now."), icon=":material/check:")
    st.page_link("views/start.py", label=say("Open Start"))
    return True
