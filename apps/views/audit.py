"""Audit: choose what is asked of the model, read the verdicts, and take the evidence along."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from apps.audit.parts import PARTS
from apps.catalog import places
from apps.drawing import refuse, words_and_table
from apps.language import say
from apps.results_audit import Made, audit
from apps.state import State, current
from interp import InterpError
from interp.figures.labels import literal

_FIRST = ("identity", "purpose", "data", "performance", "limits", "reproduce")
_KINDS = {  # level -> its heading, as `apps.audit.report.HEADINGS` has them
    "risk": "What you must decide",
    "caution": "To be known",
    "fine": "Checked, and in order",
    "unknown": "Could not be measured",
}


def show(state: State) -> None:
    """The whole page."""
    st.text(
        say(
            "An audit asks the whole model, not this text. It is measured on the examples that "
            "come with the model; those of your own go through the command interp audit."
        )
    )
    with st.form("audit"):
        chosen = st.pills(
            say("What to ask"),
            list(PARTS),
            selection_mode="multi",
            default=_FIRST,
            key="audit_parts",
            bind="query-params",
        )
        st.text(say("Quick depth: the parts chosen at first take seconds, all take minutes."))
        asked = st.form_submit_button(say("Audit it"))
    key = f"audit-{state.opened.identity}"
    if asked and chosen:
        st.session_state.pop(key, None)
        try:
            st.session_state[key] = _made(state, tuple(chosen))
        except InterpError as error:
            refuse(say("This model cannot be audited."), error)
    if key in st.session_state:
        _show(st.session_state[key], state.opened.name)


def _made(state: State, parts: tuple[str, ...]) -> Made:
    """The audit, with a line for each part while it is asked; leaving the page stops it, and what
    is answered is kept."""
    with st.status(say("Auditing"), expanded=True) as status:
        line = st.empty()
        made = audit(
            state.opened, places()[state.opened.name], parts, lambda said: _tell(line, said)
        )
        status.update(label=say("The audit is made."), state="complete", expanded=False)
    return made


def _tell(line: st.delta_generator.DeltaGenerator, said: str) -> None:
    line.text(literal(said))


def _show(made: Made, name: str) -> None:
    import pandas as pd

    for level, heading in _KINDS.items():
        found = [finding for finding in made.report.findings if finding.level == level]
        if not found:
            continue
        st.header(say(heading))
        for finding in found:
            st.text(f"• {literal(finding.sentence)}")
    st.header(say("Take it along"))
    one, two, three = st.columns(3)
    kinds = (
        (one, say("The page (HTML)"), made.page, "html", "text/html"),
        (two, say("Its twin for programs (JSON)"), made.twin, "json", "application/json"),
        (three, say("The model card (Markdown)"), made.card, "md", "text/markdown"),
    )
    for column, label, content, suffix, mime in kinds:
        column.download_button(
            label,
            content,
            f"audit-{Path(name).name}.{suffix}",
            mime,
            width="stretch",
            on_click="ignore",
        )
    measures = pd.DataFrame(
        [(what, value) for what, value in made.report.measures.items()],
        columns=["measure", "value"],
    )
    words_and_table(say("All figures of the audit."), measures, "audit_measures")


show(current())
