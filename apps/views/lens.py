"""Predict & lens: what each layer would have said, had it been the last."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import streamlit as st

from apps.drawing import chart, scheme
from apps.language import say
from apps.state import State, current, move_to
from interp.figures.lens import lens_chart

_PER_LINE = 10  # positions side by side: what a window of 1,200 pixels has room for


def show(state: State) -> None:
    """The whole page."""
    lens = state.reading.lens
    if lens is None:
        st.info(say("The lens reads a stream as tokens; this model predicts classes."))
        return
    st.markdown(
        say(
            "The logit lens: the residual stream after each layer, read as if it were the last. A "
            "click on a cell moves the whole page to its position."
        )
    )

    def pick(point: Mapping[str, Any]) -> None:
        move_to(int(point["position"]))

    figure = partial(lens_chart, lens, scheme=scheme(), per_line=_PER_LINE, chosen=state.at)
    chart(figure, "lens", state.reading.passage, pick=("cell", pick))


show(current())
