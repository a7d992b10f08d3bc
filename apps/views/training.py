"""Training & probes: the loss of a run, and when its heads and layers learnt what they do."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from apps.catalog import places
from apps.drawing import chart, refuse, scheme
from apps.language import say
from apps.reading import Passage, open_run
from apps.results_training import over_steps
from apps.state import State, current
from interp import InterpError
from interp.figures.heads import PANELS
from interp.figures.labels import literal
from interp.figures.step_lines import loss_chart, step_lines

if TYPE_CHECKING:
    import pandas as pd

    from interp import Run

_KINDS = {
    "entropy": "entropy (nats)",
    "kl": "distance from the last layer (nats)",
    "loss": "loss (nats)",
}


def show(state: State) -> None:
    """The whole page."""
    run = open_run(places()[state.opened.name])
    if run is None:
        st.info(
            say(
                "This model is no run: it has no checkpoints and no log. Choose one that has, such "
                "as stories-suite or induction."
            )
        )
        return
    st.markdown(
        say(
            "A dot is a checkpoint. A click on it moves the training step in the sidebar, and all "
            "pages with it."
        )
    )
    step = st.session_state.get("step", run.steps[-1])
    left, right = st.columns(2, gap="large")
    with left:
        st.header(say("The loss"))
        if len(run.log):
            figure = partial(loss_chart, run.log, run.steps, scheme(), chosen=step)
            chart(figure, "loss", step, width="stretch", pick=("step", _move))
        else:
            st.info(say("This run has kept no log of its loss."))
    with right:
        _heads(state, run, step)
    _lens(state, run, step)


def _move(point: Mapping[str, Any]) -> None:
    st.session_state["step"] = int(point["step"])


def _heads(state: State, run: Run, step: int) -> None:
    st.header(say("What the heads do"))
    found = _measured("heads", state, run, None)
    if found is None:
        return
    one, two = st.columns(2)
    known = [metric for metric in PANELS if (found["metric"] == metric).any()]
    metric = one.selectbox(
        say("Score"),
        known,
        index=known.index("induction") if "induction" in known else 0,
        key="head_score",
        bind="query-params",
    )
    shown = found[found["metric"] == metric]
    sites = sorted(shown["site"].unique())
    site = sites[0] if len(sites) == 1 else two.selectbox(say("Which attention"), sites)
    shown = shown[shown["site"] == site]
    names = [f"head {row.layer}.{row.head}" for row in shown.itertuples()]
    chance = shown["chance"].mean() if "chance" in shown else float("nan")

    def pick(point: Mapping[str, Any]) -> None:
        _move(point)
        layer, head = str(point["line"]).removeprefix("head ").split(".")
        st.session_state["layer"], st.session_state["head"] = int(layer), int(head)

    figure = partial(
        step_lines,
        shown.assign(line=names),
        f"score for {metric}",
        scheme(),
        chosen=step,
        strong=f"head {state.layer}.{state.head}",
        chance=None if chance != chance else float(chance),
    )
    chart(figure, "head_course", metric, site, step, width="stretch", pick=("step", pick))
    st.text(
        say(
            "Measured on random tokens that repeat. The head of the sidebar stands out; the dashed "
            "line is a head that looks everywhere alike."
        )
    )


def _lens(state: State, run: Run, step: int) -> None:
    st.header(say("What each layer would say"))
    if state.reading.lens is None:
        st.info(say("The lens reads a stream as tokens; this model predicts classes."))
        return
    if state.opened.model.cfg.shape == "encoder":
        st.info(say("The lens over a training is for models that write from left to right."))
        return
    found = _measured("lens", state, run, state.reading.passage)
    if found is None:
        return
    kinds = list(_KINDS)
    metric = st.radio(
        say("Figure"),
        kinds,
        kinds.index("entropy"),
        horizontal=True,
        format_func=lambda kind: say(_KINDS[kind]),
        key="lens_figure",
        bind="query-params",
    )
    shown = found[found["metric"] == metric]
    last = int(shown["layer"].max())
    names = [
        f"layer {layer}" + {0: " (the embedding)", last: " (the prediction)"}.get(layer, "")
        for layer in shown["layer"]
    ]
    title = f"{_KINDS[metric]} of the logit lens"
    figure = partial(step_lines, shown.assign(line=names), title, scheme(), chosen=step)
    chart(figure, "lens_course", metric, step, width="stretch", pick=("step", _move))
    st.text(say("The mean over the tokens of the text in the sidebar."))


def _measured(kind: str, state: State, run: Run, passage: Passage | None) -> pd.DataFrame | None:
    """What was measured at all checkpoints, once the reader has asked for it."""
    asked = f"{kind}_of"
    if st.session_state.get(asked) != run.name:
        st.button(
            say("Measure {n} checkpoints", n=len(run)),
            key=f"{kind}_start",
            on_click=st.session_state.__setitem__,
            args=(asked, run.name),
        )
        return None
    bar = st.empty()
    try:
        found, missing = over_steps(
            run,
            places()[state.opened.name],
            passage,
            lambda share, step: bar.progress(share, f"{say('Training step')} {step:,}"),
        )
    except InterpError as error:
        refuse(say("These checkpoints cannot be measured."), error)
        return None
    finally:
        bar.empty()
    if missing:
        st.warning(say("Some checkpoints cannot be measured. The pictures are of the others."))
        for error in missing.values():
            st.text(literal(str(error)))
    return found


show(current())
