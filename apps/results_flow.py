"""What travels from the tokens to the prediction; see `apps.reading`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from apps.reading import Passage
from apps.results import Goal, goal
from apps.state import State

if TYPE_CHECKING:
    from interp.explain.inside import Contributions


def flow(state: State) -> Contributions:
    """The steps by which every token's part reaches what is explained.

    Raises:
        InterpError: a part of the model has no rule for it.
    """
    return _flow(state, state.opened.identity, state.passage, goal(state))


@st.cache_resource(max_entries=32, show_spinner=False)
def _flow(_state: State, identity: str, passage: Passage, what: Goal) -> Contributions:
    from interp.explain.inside import contributions

    inputs = passage.inputs
    tokens = inputs.pop("tokens")
    return contributions(_state.opened.model, tokens, _state.target(), inputs=inputs)
