"""What the explorer computes of one text, each result kept under the recipe that made it.

A recipe is the identity of the model, the token ids and the parameters of the method; tensors and
models are never hashed. Every cache is bounded. The model has no global state, so that sessions
share one without locks. torch is imported when the first model is opened.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import streamlit as st

from interp import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

    from interp import Run

TOP = 10  # predictions kept for each position
_DIGITS = 20  # of a token's number; Python refuses to read thousands of them
ANSWER = 48  # tokens that an encoder-decoder writes at most
_PATTERNS = {  # what attends to what, by the prefix of its blocks
    "decoder": {"attention": "blocks.{}.attn"},
    "encoder": {"attention": "blocks.{}.attn"},
    "encoder_decoder": {
        "decoder to source": "decoder.{}.cross_attn",
        "decoder": "decoder.{}.attn",
        "encoder": "encoder.{}.attn",
    },
}


@dataclass(frozen=True)
class Opened:
    """A model.

    Attributes:
        weights: their hash, as pages show it.
        identity: hash of all that decides what it makes of a text, by which recipes name it: two
            models of the same weights may have different tokenizers, or names of classes.
    """

    name: str
    model: Any
    weights: str
    identity: str

    @property
    def heads(self) -> tuple[int, int]:
        """Layers of the last stack, and heads of each."""
        cfg = self.model.cfg
        pair = cfg.shape == "encoder_decoder"
        return (cfg.n_decoder_layers if pair else cfg.n_layers), cfg.n_heads


@dataclass(frozen=True)
class Passage:
    """The tokens that a model reads: of an encoder-decoder, the source and what it wrote."""

    ids: tuple[int, ...]
    source: tuple[int, ...] = ()

    @property
    def inputs(self) -> dict[str, Any]:
        """Arguments of a forward pass, [1, pos] each."""
        import torch

        last = torch.tensor([self.ids])
        if not self.source:
            return {"tokens": last}
        return {"tokens": torch.tensor([self.source]), "decoder_tokens": last}

    def until(self, position: int) -> Passage:
        """As far as this position of what is written."""
        return Passage(self.ids[: position + 1], self.source)


@dataclass(frozen=True)
class Reading:
    """What a model makes of a text.

    Attributes:
        passage: the token ids.
        tokens: their text, of what the last stack reads.
        source_tokens: of an encoder-decoder, of the source.
        predictions: what is most probable after (or of) each position: `position`, `place`,
            `token_id`, `token`, `logit`, `probability`. A classifier has one position.
        outputs: what is predicted: `token` or `class`.
        lens: the logit lens, as `interp.explain.logit_lens` gives it; None for classes.
        patterns: by name, attention weights [layer, head, query, key].
    """

    passage: Passage
    tokens: tuple[str, ...]
    source_tokens: tuple[str, ...]
    predictions: pd.DataFrame
    outputs: str
    lens: pd.DataFrame | None
    patterns: dict[str, NDArray[np.float32]]


@st.cache_resource(max_entries=8, show_spinner=False)
def open_run(what: str) -> Run | None:
    """A run with its checkpoints; None for a model that is no run."""
    from probes.subjects import as_run

    return as_run(what)


@st.cache_resource(max_entries=3, show_spinner=False)
def open_model(name: str, what: str, step: int | None) -> Opened:
    """A model, or a checkpoint of a run, opened once for all sessions."""
    import interp
    from interp.model.fingerprint import weights_hash

    run = None if step is None else open_run(what)
    model = interp.load(what) if run is None or step is None else run.load(step)
    return Opened(name, model, weights_hash(model), identity(model))


def identity(model: Any) -> str:
    """SHA-256 over all that decides what a model makes of a text: weights, configuration and
    tokenizer."""
    from interp.data.encoding import tokenizer_hash
    from interp.model.fingerprint import weights_hash

    words = None if model.tokenizer is None else tokenizer_hash(model.tokenizer)
    parts = weights_hash(model), model.cfg.to_dict(), words
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@st.cache_resource(max_entries=64, show_spinner=False)
def encode(_model: Any, identity: str, text: str) -> Passage:
    """The tokens of a text, and of an encoder-decoder what it writes for it.

    Raises:
        InputError: the text is longer than the model's context, or, for a model without a
            tokenizer, not numbers of tokens.
    """
    if _model.tokenizer is None:
        ids = _numbers(text, _model.cfg.d_vocab)
    else:
        ids = tuple(_model.to_tokens(text, truncate=False)[0].tolist())
    if len(ids) > _model.cfg.n_ctx:
        raise InputError(
            f"The text has {len(ids)} tokens; this model reads {_model.cfg.n_ctx} at most. Shorten "
            "it."
        )
    if _model.cfg.shape != "encoder_decoder":
        return Passage(ids)
    import torch

    written = _model.generate(
        torch.tensor([ids]), max_new_tokens=ANSWER, do_sample=False, return_type="tokens"
    )
    return Passage(tuple(written[0].tolist()), ids)


def _numbers(text: str, d_vocab: int) -> tuple[int, ...]:
    words = text.split()

    def known(word: str) -> bool:
        return word.isdecimal() and len(word) <= _DIGITS and int(word) < d_vocab

    if not words or not all(map(known, words)):
        raise InputError(
            f"This model has no tokenizer: write numbers of tokens from 0 to {d_vocab - 1}, with "
            "spaces between."
        )
    return tuple(map(int, words))


@st.cache_resource(max_entries=32, show_spinner=False)
def read(_model: Any, identity: str, passage: Passage) -> Reading:
    """One forward pass over a text, and what the pages show of it. Treat the result as frozen."""
    import torch

    from interp.explain import logit_lens

    words = _model.cfg.has_vocabulary_head
    with torch.no_grad():
        logits, cache = _model.run_with_cache(**passage.inputs)
        patterns = {
            name: _stacked(cache, prefix) for name, prefix in _PATTERNS[_model.cfg.shape].items()
        }
        lens = logit_lens(_model, cache) if words else None
        predictions = _predictions(_model, logits[0].float().reshape(-1, logits.shape[-1]))
    return Reading(
        passage=passage,
        tokens=token_texts(_model, passage.ids),
        source_tokens=token_texts(_model, passage.source),
        predictions=predictions,
        outputs="token" if words else "class",
        lens=lens,
        patterns=patterns,
    )


def _stacked(cache: Any, prefix: str) -> NDArray[np.float32]:
    """The patterns of all layers of a stack, [layer, head, query, key]."""
    import torch

    found: list[Tensor] = []
    while f"{prefix.format(len(found))}.hook_pattern" in cache:
        found.append(cache[f"{prefix.format(len(found))}.hook_pattern"][0])
    return torch.stack(found).float().numpy()


def token_texts(model: Any, ids: tuple[int, ...]) -> tuple[str, ...]:
    """The text of each token, or its number where there is no tokenizer."""
    from interp.explain.lens import token_texts

    return tuple(token_texts(model, list(ids)))


def output_names(model: Any, ids: list[int]) -> list[str]:
    """What a model's outputs are called: the texts of tokens, or the classes."""
    if model.cfg.has_vocabulary_head:
        return list(token_texts(model, tuple(ids)))
    known = model.cfg.class_names
    return [known[i] if known else f"class {i}" for i in ids]


def _predictions(model: Any, logits: Tensor) -> pd.DataFrame:
    """The most probable outputs at each position, from logits [pos, output]."""
    import pandas as pd
    import torch

    top = min(TOP, logits.shape[-1])
    best = logits.topk(top)
    positions = len(logits)
    ids = best.indices.reshape(-1)
    names = output_names(model, ids.tolist())
    return pd.DataFrame(
        {
            "position": torch.arange(positions).repeat_interleave(top).numpy(),
            "place": torch.arange(top).repeat(positions).numpy(),
            "token_id": ids.numpy(),
            "token": names,
            "logit": best.values.reshape(-1).numpy(),
            "probability": logits.softmax(-1).gather(-1, best.indices).reshape(-1).numpy(),
        }
    )
