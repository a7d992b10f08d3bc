"""What the explorer computes of one text, each result kept under the recipe that made it.

A recipe is the hash of the weights, the token ids and the parameters of the method; tensors and
models are never hashed. Every cache is bounded. The model has no global state, so that sessions
share one without locks. torch is imported when the first model is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

    from interp import Attribution, HookedTransformer

TOP = 10  # next-token predictions kept for each position


@dataclass(frozen=True)
class Opened:
    """A model, and the hash of its weights that recipes name it by."""

    model: HookedTransformer
    weights: str


@dataclass(frozen=True)
class Reading:
    """What a model makes of a text.

    Attributes:
        ids: token ids [pos].
        tokens: their text.
        predictions: the most probable next tokens after each position: `position`, `place`,
            `token_id`, `token`, `logit`, `probability`.
        lens: the logit lens, as `interp.explain.logit_lens` gives it.
        patterns: attention weights [layer, head, query, key].
    """

    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    predictions: pd.DataFrame
    lens: pd.DataFrame
    patterns: NDArray[np.float32]


@st.cache_resource(max_entries=2, show_spinner=False)
def open_model(name: str) -> Opened:
    """A zoo model, opened once for all sessions."""
    import torch

    import interp
    from interp.explain import weights_hash

    # Passes of a small model over a few tokens are too short to share. On a busy machine, threads
    # that waited for one another made integrated gradients eight times slower.
    torch.set_num_threads(1)
    model = interp.load(name)
    return Opened(model, weights_hash(model))


def encode(model: HookedTransformer, text: str) -> tuple[int, ...]:
    """Token ids of a text, with the model's own begin-of-text token.

    Raises:
        InputError: the text is longer than the model's context.
    """
    from interp import InputError

    ids = tuple(model.to_tokens(text, truncate=False)[0].tolist())
    if len(ids) > model.cfg.n_ctx:
        raise InputError(
            f"The text has {len(ids)} tokens; this model reads {model.cfg.n_ctx} at most. Shorten "
            "it."
        )
    return ids


@st.cache_resource(max_entries=32, show_spinner=False)
def read(_model: HookedTransformer, weights: str, ids: tuple[int, ...]) -> Reading:
    """One forward pass over a text, and what the page shows of it. Treat the result as frozen."""
    import torch

    from interp.explain import logit_lens

    with torch.no_grad():
        logits, cache = _model.run_with_cache(torch.tensor([ids]))
        layers = range(_model.cfg.n_layers)
        patterns = torch.stack([cache["pattern", layer][0] for layer in layers])
        lens = logit_lens(_model, cache)
        predictions = _predictions(_model, logits[0].float())
    return Reading(
        ids=ids,
        tokens=tuple(_model.to_str_tokens(torch.tensor(ids))),
        predictions=predictions,
        lens=lens,
        patterns=patterns.float().numpy(),
    )


def _predictions(model: HookedTransformer, logits: Tensor) -> pd.DataFrame:
    """The most probable next tokens after each position, from logits [pos, d_vocab]."""
    import pandas as pd
    import torch

    top = min(TOP, logits.shape[-1])
    best = logits.topk(top)
    positions = len(logits)
    ids = best.indices.reshape(-1)
    return pd.DataFrame(
        {
            "position": torch.arange(positions).repeat_interleave(top).numpy(),
            "place": torch.arange(top).repeat(positions).numpy(),
            "token_id": ids.numpy(),
            "token": model.to_str_tokens(ids),
            "logit": best.values.reshape(-1).numpy(),
            "probability": logits.softmax(-1).gather(-1, best.indices).reshape(-1).numpy(),
        }
    )


@st.cache_resource(max_entries=256, show_spinner=False)
def attribute(
    _model: HookedTransformer, weights: str, ids: tuple[int, ...], token_id: int, method: str
) -> Attribution:
    """Why the model gives `token_id` its logit after the last of `ids`."""
    import torch

    import interp

    target = interp.Target.logit(token_id)
    return interp.attribute(_model, torch.tensor([ids]), method=method, target=target)
