"""One question put to two texts, two checkpoints or two models; see `apps.reading`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from apps.reading import TOP, Opened, Passage, output_names, token_texts
from apps.results import Goal
from interp import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from interp import Attribution, Target


@dataclass(frozen=True)
class Side:
    """A model that reads a text.

    Attributes:
        at: position of the prediction.
        name: what tells it from the other side, in words.
    """

    opened: Opened
    passage: Passage
    at: int
    name: str


def require_same_outputs(one: Any, other: Any) -> None:
    """That two models read and say the same tokens, or the same classes.

    Raises:
        InputError: they do not.
    """
    if one is other:
        return
    same = one.cfg.d_vocab == other.cfg.d_vocab and _words(one) == _words(other)
    shape = one.cfg.shape == other.cfg.shape
    says = (one.cfg.has_vocabulary_head, one.cfg.class_names) == (
        other.cfg.has_vocabulary_head,
        other.cfg.class_names,
    )
    if not (same and shape and says):
        raise InputError(
            "The two models do not read the same tokens or do not predict the same things, so "
            "their predictions and scores have no common scale. Choose a model of the same shape "
            "with the same tokenizer, such as another checkpoint of one run."
        )


def _words(model: Any) -> tuple[str, ...]:
    return token_texts(model, tuple(range(model.cfg.d_vocab)))


def changes(one: Side, other: Side) -> pd.DataFrame:
    """The likeliest outputs on both sides: `token_id`, `token`, `before`, `after`.

    The most probable ones of either side, in the order of their probability on the first.
    """
    import numpy as np
    import pandas as pd

    before, after = (
        _probabilities(side.opened, side.opened.identity, side.passage, side.at)
        for side in (one, other)
    )
    found = [row.argsort()[::-1][:TOP] for row in (before, after)]
    ids = np.unique(np.concatenate(found))
    ids = ids[np.lexsort((-after[ids], -before[ids]))]
    names = output_names(one.opened.model, ids.tolist())
    return pd.DataFrame(
        {"token_id": ids, "token": names, "before": before[ids], "after": after[ids]}
    )


@st.cache_resource(max_entries=64, show_spinner=False)
def _probabilities(
    _opened: Opened, identity: str, passage: Passage, at: int
) -> NDArray[np.float32]:
    """Of every output, [output]."""
    import torch

    with torch.no_grad():
        logits = _opened.model(**passage.inputs)[0].float()
    row: NDArray[np.float32] = logits.reshape(-1, logits.shape[-1])[at].softmax(-1).numpy()
    return row


def explained(side: Side, target: Target, what: Goal, method: str) -> Attribution:
    """Why a side gives the target its value.

    Args:
        what: names the target in the recipe.

    Raises:
        InterpError: this method cannot explain this prediction.
    """
    return _explained(side.opened, target, side.opened.identity, side.passage, what, method)


@st.cache_resource(max_entries=128, show_spinner=False)
def _explained(
    _opened: Opened, _target: Target, identity: str, passage: Passage, what: Goal, method: str
) -> Attribution:
    import interp

    inputs = passage.inputs
    return interp.attribute(
        _opened.model, inputs.pop("tokens"), method=method, target=_target, inputs=inputs
    )


def differences(one: Attribution, other: Attribution) -> pd.DataFrame | None:
    """The scores of two texts token by token: `position`, `side`, `token`, `other_token`, `score`,
    `other_score`, `difference`; None where the texts differ in length."""
    import pandas as pd

    if one.side != other.side:
        return None
    first, second = one.to_frame(), other.to_frame()
    return pd.DataFrame(
        {
            "position": first["position"],
            "side": first["side"],
            "token": first["token"],
            "other_token": second["token"],
            "score": first["score"],
            "other_score": second["score"],
            "difference": second["score"] - first["score"],
        }
    )
