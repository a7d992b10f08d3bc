"""Attribution: several methods side by side, how far they agree, and how each fares in checks."""

from __future__ import annotations

import streamlit as st

from apps.drawing import refuse, scheme, words_and_table
from apps.language import say
from apps.results import report
from apps.state import METHODS, State, current
from interp import InterpError
from interp.figures.labels import literal, number
from interp.figures.scorecard import scorecard_table_html
from interp.figures.strip import strip_finding, token_strip_html

_FIRST = ("integrated_gradients", "leave_one_out", "attention_rollout")


def show(state: State) -> None:
    """The whole page."""
    st.text(literal(say("Question") + ": " + state.question()))
    methods = st.pills(
        say("Methods side by side"),
        METHODS,
        selection_mode="multi",
        default=_FIRST,
        key="methods",
        bind="query-params",
        format_func=lambda method: method.replace("_", " "),
    )
    if not methods:
        st.info(say("Choose a method."))
        return
    try:
        with st.spinner(say("Explaining, and checking the explanations"), show_time=True):
            found, fresh = report(state, tuple(methods))
    except InterpError as error:
        refuse(say("This prediction cannot be explained by these methods."), error)
        return
    explained = found.texts[0]
    limit = None
    for one in explained.attributions:
        st.html(
            token_strip_html(
                one.tokens,
                one.scores,
                title=one.method.replace("_", " "),
                caption="; ".join(f"{name}: {value}" for name, value in one.facts().items()),
                limit=limit,
                scheme=scheme(),
            )
        )
        st.text(literal(strip_finding(one.tokens, one.scores)))
    agreement = found.agreement()
    if len(agreement):
        st.header(say("Do they agree?"))
        for row in agreement.itertuples():
            names = f"{row.method} / {row.other}".replace("_", " ")
            st.text(f"{names}: {say('rank correlation')} {number(float(row.value))}")
    st.header(say("Can they be trusted?"))
    st.markdown(
        say(
            "Each check asks another question. Controls that know nothing of the text stand beside "
            "the methods: a method that is no better than they are has told nothing about it."
        )
    )
    st.html(scorecard_table_html(explained.card.frame))
    st.text(say("Computed now.") if fresh else say("Computed before."))
    words_and_table(say("All scores."), found.to_frame(), "scores_table")
    st.download_button(
        say("Download this report"),
        found.to_html(),
        file_name="attribution-report.html",
        mime="text/html",
        on_click="ignore",
    )


show(current())
