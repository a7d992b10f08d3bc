"""Flow: how what the tokens bring travels through the layers to the prediction."""

from __future__ import annotations

from functools import partial

import streamlit as st

from apps.drawing import chart, refuse, scheme
from apps.language import say
from apps.results_flow import flow
from apps.state import State, current
from interp import InterpError
from interp.figures.flow import flow_chart
from interp.figures.labels import literal, number


def show(state: State) -> None:
    """The whole page."""
    st.text(literal(say("Question") + ": " + state.question()))
    st.markdown(
        say(
            "Norms, attention patterns and the slopes of activation functions are held as they are "
            "in this text; the model is then a sum. What leaves a dot adds up to what the dot "
            "holds, and so does what enters it, but for biases. Why a head looks where it looks is "
            "not in the picture."
        )
    )
    try:
        with st.spinner(say("Following the parts of the tokens"), show_time=True):
            found = flow(state)
    except InterpError as error:
        refuse(say("What the tokens bring cannot be followed in this model."), error)
        return
    nodes = found.nodes
    entered = float(nodes.loc[nodes["layer"] == 0, "value"].sum())
    biases = round(float(nodes["bias"].sum()) + found.bias, 3)  # beyond it, float32 rounds
    st.text(
        literal(
            f"{found.target} = {number(found.value)} = {number(entered)} "
            f"({say('from the tokens and their positions')}) "
            f"{'+' if biases >= 0 else '−'} {number(abs(biases))} ({say('from biases')})"
        )
    )
    st.text(
        say(
            "Orange raises, blue and dashed lowers; the slider below the picture hides small steps."
        )
    )
    chart(partial(flow_chart, nodes, found.edges, state.token, scheme=scheme()), "flow")


show(current())
