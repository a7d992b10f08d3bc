"""What the reader looks at: one state for all pages, and the whole of it in the address.

The widgets live in the sidebar, which the entry script draws on every page: what a widget holds is
lost when a page is drawn without it. Clicks on charts only set these widgets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from apps.address import method_name, position_name, prediction_name
from apps.catalog import Example, examples, names, places
from apps.language import choose_language, say
from interp.figures.labels import literal, quoted

if TYPE_CHECKING:
    import pandas as pd

    from apps.reading import Opened, Passage, Reading
    from interp import Target

METHODS = (
    "integrated_gradients",
    "leave_one_out",
    "permutation_shapley",
    "gradient_x_input",
    "attn_lrp",
    "attention_rollout",
    "value_zeroing",
)
"""Those offered first, from exact to approximate; the page of methods has all."""

_CURRENT = "state"


@dataclass(frozen=True)
class State:
    """One moment of looking.

    Attributes:
        at: position whose prediction is explained.
        place: of that prediction among those of the position.
        foil: place of the prediction that it is compared with; None for none.
        layer, head: the head that is shown large.
        method: the explainer.
    """

    opened: Opened
    reading: Reading
    at: int
    place: int
    foil: int | None
    layer: int
    head: int
    method: str

    @property
    def guesses(self) -> pd.DataFrame:
        """What is predicted at the position, most probable first."""
        found = self.reading.predictions
        return found[found["position"] == self.at].reset_index(drop=True)

    @property
    def passage(self) -> Passage:
        """What the prediction can see: of a causal model, all up to the position."""
        passage = self.reading.passage
        return passage if self.opened.model.cfg.shape == "encoder" else passage.until(self.at)

    @property
    def token(self) -> str:
        """What is explained, as text to be quoted."""
        return str(self.guesses["token"][self.place])

    def target(self) -> Target:
        """What is explained, of `passage`."""
        import interp

        ids = self.guesses["token_id"]
        masked = self.reading.outputs == "token" and self.opened.model.cfg.shape == "encoder"
        position = self.at if masked else None
        if self.foil is None or self.foil == self.place:
            return interp.Target.logit(int(ids[self.place]), position)
        return interp.Target.logit_difference(int(ids[self.place]), int(ids[self.foil]), position)

    def question(self) -> str:
        """What is asked, for a heading of plain text."""
        foil = None if self.foil in (None, self.place) else str(self.guesses["token"][self.foil])
        why = f"why {quoted(self.token)}"
        return why if foil is None else f"{why} and not {quoted(foil)}"


def current() -> State:
    """The state of this run of the script; pages read it, the entry script has set it."""
    state: State = st.session_state[_CURRENT]
    return state


# -- before anything is opened: no torch


def is_fresh() -> bool:
    """Whether nothing was looked at yet in this session, and the address asks for no more than a
    model and a text."""
    return _CURRENT not in st.session_state and not {*st.query_params} - {"model", "text"}


def choose_text() -> tuple[str, str, str]:
    """The model's name, what opens it, and the text, from the sidebar."""
    choose_language()
    known = names()
    name = st.selectbox(
        say("Model"), known, key="model", bind="query-params", on_change=_begin_anew
    )
    # A session may begin with a text that its state has not yet: from the address, or from a window
    # whose server was lost.
    if "text" not in st.session_state and "text" not in st.query_params:
        st.session_state["text"] = examples(name)[0].text
    with st.form("prompt", border=False):
        text = st.text_area(
            say("Text"), max_chars=100_000, height=110, key="text", bind="query-params"
        )
        st.form_submit_button(say("Read it"), on_click=_new_text, width="stretch")
    with st.popover(say("Examples"), width="stretch"):
        for i, example in enumerate(examples(name)):
            st.button(
                literal(example.question),
                key=f"example_{i}",
                on_click=_take,
                args=(example,),
                width="stretch",
            )
    return name, places()[name], text


def _begin_anew() -> None:
    """Another model begins with its own first text, at its last checkpoint."""
    st.session_state["text"] = examples(st.session_state["model"])[0].text
    st.session_state.pop("step", None)
    _new_text()


def _take(example: Example) -> None:
    st.session_state["text"] = example.text
    _new_text()


def _new_text() -> None:
    """A new text starts at its end, which is known once it is encoded."""
    st.session_state["new_text"] = True


# -- once torch may be imported


def open_chosen(name: str, what: str) -> Opened:
    """Opens the model, at the training step that the sidebar offers for a run.

    Raises:
        InterpError: the model cannot be opened.
    """
    from apps.process import prepare

    with st.spinner(say("Opening the model")):
        prepare()
        from apps.reading import open_model, open_run

        run = open_run(what)
        step = None
        if run is not None and len(run) > 1:
            step = st.select_slider(
                say("Training step"), run.steps, run.steps[-1], key="step", bind="query-params"
            )
        elif run is not None:
            step = run.steps[-1]
        return open_model(name, what, step)


def choose_rest(opened: Opened, text: str) -> State:
    """Reads the text, and draws the other widgets of the sidebar.

    Raises:
        InterpError: the model cannot read the text.
    """
    from apps.reading import encode, read

    reading = read(opened.model, opened.identity, encode(opened.model, opened.identity, text))
    at, place, foil = _choose_prediction(reading)
    layers, heads = opened.heads
    with st.expander(say("Part and method"), key="parts", on_change="rerun", expanded=True):
        one, two = st.columns(2)
        layer = one.selectbox(say("Layer"), range(layers), key="layer", bind="query-params")
        head = two.selectbox(say("Head"), range(heads), key="head", bind="query-params")
        method = st.selectbox(
            say("Method"),
            METHODS,
            key="method",
            bind="query-params",
            format_func=method_name,
        )
    state = State(opened, reading, at, place, foil, layer, head, method)
    st.session_state[_CURRENT] = state
    return state


def _choose_prediction(reading: Reading) -> tuple[int, int, int | None]:
    last = int(reading.predictions["position"].max())
    if st.session_state.pop("new_text", False):
        move_to(begin_at(reading))
    if reading.outputs == "token":
        at = st.selectbox(
            say("After the token") if not reading.source_tokens else say("After the written token"),
            # Where to begin comes first, which makes it the default.
            range(last + 1) if reading.source_tokens else range(last, -1, -1),
            format_func=lambda i: position_name(i, reading.tokens[i]),
            key="at",
            bind="query-params",
            on_change=lambda: move_to(st.session_state["at"]),
        )
    else:
        at = 0
    guesses = reading.predictions[reading.predictions["position"] == at]
    shown = [prediction_name(i, name) for i, name in enumerate(guesses["token"])]
    places = range(len(shown))
    place = st.selectbox(
        say("Explain the prediction"),
        places,
        format_func=shown.__getitem__,
        key="token",
        bind="query-params",
    )
    foil = st.selectbox(
        say("Instead of"),
        places,
        index=None,
        format_func=shown.__getitem__,
        key="foil",
        bind="query-params",
        placeholder=say("nothing in particular"),
    )
    return at, place, foil


def begin_at(reading: Reading) -> int:
    """Where to begin: at the end of a text that goes on, at the start of one that was written."""
    return 0 if reading.source_tokens else int(reading.predictions["position"].max())


def move_to(position: int) -> None:
    """Explain a position, beginning with the model's own prediction there.

    The values are set, not dropped: the browser would go on showing a value that was dropped.
    """
    st.session_state["at"] = position
    st.session_state["token"] = 0
    st.session_state["foil"] = None
