"""What steering does to a prediction and to a text, each kept under its recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from apps.reading import Opened
from apps.results import Goal
from apps.state import State

if TYPE_CHECKING:
    import pandas as pd

    from interp.explain.inside import SteeringVector

STRENGTHS = (-4.0, -2.0, -1.0, 1.0, 2.0, 4.0)
RANDOM = 8  # directions of the same length beside it
WRITTEN = 24  # tokens of a continuation

Sides = tuple[tuple[str, ...], tuple[str, ...]]
"""The texts that the direction leads to, and those that it leads away from."""


@dataclass(frozen=True)
class Written:
    """How a text goes on by itself, and steered."""

    plain: str
    steered: str


@st.cache_resource(max_entries=32, show_spinner=False)
def direction(_opened: Opened, identity: str, sides: Sides, layer: int) -> SteeringVector:
    """The difference of the means of two sets of texts after a layer.

    Raises:
        InterpError: a text that the model cannot read, or sides that do not differ.
    """
    from interp.explain import inside

    texts, others = map(list, sides)
    model = _opened.model
    name = f"{model.last_stack}.{layer}.hook_resid_post"
    # Of an encoder-decoder, the source is where two texts differ.
    if model.cfg.shape == "encoder_decoder":
        name = f"encoder.{layer}.hook_resid_post"
    return inside.steering_vector(model, texts, others, name, read="mean")


def effect(state: State, what: Goal, sides: Sides) -> pd.DataFrame:
    """The change of what is explained along the direction, and along random ones.

    Raises:
        InterpError: see `direction`.
    """
    return _effect(state, state.opened.identity, state.passage, what, sides, state.layer)


@st.cache_resource(max_entries=32, show_spinner=False)
def _effect(
    _state: State, identity: str, passage: Any, what: Goal, sides: Sides, layer: int
) -> pd.DataFrame:
    from interp.explain import inside

    inputs = passage.inputs
    return inside.steering_effect(
        _state.opened.model,
        inputs.pop("tokens"),
        direction(_state.opened, identity, sides, layer),
        _state.target(),
        STRENGTHS,
        n_random=RANDOM,
        inputs=inputs or None,
    )


@st.cache_resource(max_entries=32, show_spinner=False)
def written(
    _opened: Opened, identity: str, passage: Any, sides: Sides, layer: int, strength: float
) -> Written:
    """How a text goes on (of an encoder-decoder, what is written for it), plain and steered."""
    import torch

    from interp.explain import inside

    model = _opened.model
    read = torch.tensor([passage.source or passage.ids])

    def go_on() -> str:
        ids = model.generate(read, max_new_tokens=WRITTEN, do_sample=False, return_type="tokens")[
            0
        ].tolist()
        return str(model.to_string(ids if passage.source else ids[len(passage.ids) :]))

    plain = go_on()
    with inside.steered(model, direction(_opened, identity, sides, layer), strength):
        return Written(plain, go_on())
