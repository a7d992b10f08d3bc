"""Results that pages ask for, each kept under the recipe that made it; see `apps.reading`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from apps.reading import Opened, Passage
from apps.state import State

if TYPE_CHECKING:
    import pandas as pd

    from interp import Attribution, AttributionReport
    from interp.explain.inside import Patched

Goal = tuple[int, int | None, int]
"""What is explained: the output's number, that of its foil, and the position."""


def goal(state: State) -> Goal:
    """What the state explains, as a part of a recipe."""
    ids = state.guesses["token_id"]
    foil = None if state.foil is None else int(ids[state.foil])
    return int(ids[state.place]), foil, state.at


def attribution(state: State, method: str) -> tuple[Attribution, bool]:
    """Why the model predicts what is explained, and whether it was computed just now.

    Raises:
        InterpError: this method cannot explain this prediction.
    """
    fresh: list[bool] = []
    identity = state.opened.identity
    return _attribute(state, fresh, identity, state.passage, goal(state), method), bool(fresh)


def report(state: State, methods: tuple[str, ...]) -> tuple[AttributionReport, bool]:
    """Several methods beside controls, and whether they were computed just now."""
    fresh: list[bool] = []
    identity = state.opened.identity
    return _report(state, fresh, identity, state.passage, goal(state), methods), bool(fresh)


@st.cache_resource(max_entries=256, show_spinner=False)
def _attribute(
    _state: State, _fresh: list[bool], identity: str, passage: Passage, what: Goal, method: str
) -> Attribution:
    import interp

    _fresh.append(True)
    inputs = passage.inputs
    return interp.attribute(
        _state.opened.model,
        inputs.pop("tokens"),
        method=method,
        target=_state.target(),
        inputs=inputs,
    )


@st.cache_resource(max_entries=32, show_spinner=False)
def _report(
    _state: State,
    _fresh: list[bool],
    identity: str,
    passage: Passage,
    what: Goal,
    methods: tuple[str, ...],
) -> AttributionReport:
    import interp

    _fresh.append(True)
    inputs = passage.inputs
    return interp.attribution_report(
        _state.opened.model,
        inputs.pop("tokens")[0],
        methods=methods,
        target=_state.target(),
        inputs=inputs,
    )


@st.cache_resource(max_entries=64, show_spinner=False)
def patched(
    _opened: Opened, identity: str, clean: Passage, corrupted: Passage, kind: str, what: Goal
) -> Patched:
    """How much of a prediction on the clean text comes back when each part of its run is put into
    that of the corrupted one; the metric is the logit (or its difference to the foil's).

    Raises:
        InterpError: the two texts have different lengths, or are the same.
    """
    import interp
    from interp.explain import inside

    output, foil, _ = what
    one, other = clean.inputs, corrupted.inputs
    metric = (
        interp.Target.logit(output)
        if foil is None
        else interp.Target.logit_difference(output, foil)
    )
    return inside.patch(
        _opened.model,
        one.pop("tokens"),
        other.pop("tokens"),
        kind,
        metric,
        inputs=one,
        corrupted_inputs=other or None,
    )


@st.cache_resource(max_entries=64, show_spinner=False)
def without_head(
    _opened: Opened, identity: str, passage: Passage, layer: int, head: int, what: Goal
) -> pd.DataFrame:
    """The likeliest outputs with and without what a head writes: token, before, after."""
    import pandas as pd
    import torch

    from apps.reading import TOP, token_texts

    model, at = _opened.model, what[2]
    pair = model.cfg.shape == "encoder_decoder"
    name = f"{'decoder' if pair else 'blocks'}.{layer}.attn.hook_z"

    def silence(z: Any, hook: Any) -> Any:
        z = z.clone()
        z[:, :, head] = 0
        return z

    def row(logits: Any) -> Any:
        return logits[0].float().reshape(-1, logits.shape[-1])[at].softmax(-1)

    inputs = passage.inputs
    with torch.no_grad():
        before = row(model(**inputs))
        after = row(model.run_with_hooks(**inputs, fwd_hooks=[(name, silence)]))
    ids = torch.cat([before.topk(min(TOP, len(before))).indices, after.topk(1).indices]).unique()
    ids = ids[before[ids].argsort(descending=True)]
    names = model.cfg.class_names if not model.cfg.has_vocabulary_head else ()
    return pd.DataFrame(
        {
            "token": [names[i] for i in ids] if names else token_texts(model, tuple(ids.tolist())),
            "before": before[ids].tolist(),
            "after": after[ids].tolist(),
        }
    )
