"""What an explainer is given, checked: one text, its further inputs, a model that stands still."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from interp.errors import InputError
from interp.model.core import Transformer


def read_tokens(model: Any, text: Any) -> Tensor:
    """Ids [1, pos] of one text."""
    if isinstance(text, str):
        tokens: Tensor = model.to_tokens(text, truncate=False)
        return tokens
    if isinstance(text, list) and text and all(type(i) is int for i in text):
        text = torch.tensor(text)
    if isinstance(text, list):
        raise InputError("attribute explains one text; call it once for each.")
    if not isinstance(text, Tensor):
        raise InputError(f"attribute explains a text or its ids [pos], not {type(text).__name__}.")
    ids = text[None] if text.ndim == 1 else text
    if ids.ndim != 2 or ids.shape[0] != 1:
        raise InputError(f"attribute explains one text, not ids of shape {list(text.shape)}.")
    # A copy: what was made in inference mode cannot be part of a gradient's graph.
    return ids.to(model.W_E.device, copy=True)


def read_inputs(inputs: dict[str, Any]) -> dict[str, Any]:
    """Copies of further inputs with a batch dimension: a mask may be [pos], as the ids may."""

    def batched(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return (value[None] if value.ndim == 1 else value).clone()

    return {name: batched(value) for name, value in inputs.items()}


def read_decoder_tokens(model: Any, inputs: dict[str, Any]) -> Tensor:
    """Ids [1, pos] of the target so far; by default the start token alone."""
    given = inputs.get("decoder_tokens", inputs.pop("decoder_input_ids", None))
    if isinstance(given, str):
        given, _ = model.decoder_tokens_and_mask(given)
    if given is None:
        start = model.cfg.decoder_start_token_id
        if start is None:
            raise InputError("An encoder-decoder needs decoder_tokens, the target so far.")
        given = torch.tensor([[start]], device=model.W_E.device)
    if not isinstance(given, Tensor) or given.ndim != 2 or given.shape[0] != 1:
        raise InputError("decoder_tokens must be one text, or its ids [pos] or [1, pos].")
    return given


def refuse_dropout(model: Any) -> None:
    """Raises an `InputError` if the model drops activations at random."""
    if isinstance(model, Transformer):
        drops = model.training and model.cfg.dropout > 0
    else:
        dropouts = (m for m in model.modules() if isinstance(m, torch.nn.Dropout))
        drops = any(m.training and m.p > 0 for m in dropouts)
    if drops:
        raise InputError(
            "The model is in training mode and drops activations at random, so that its "
            "predictions have no one explanation. Call model.eval() first."
        )


def in_full_precision(model: Any) -> Any:
    """A copy in float32 of a model in half precision, whose gradients are too coarse to add up."""
    if not isinstance(model, Transformer) or model.W_E.dtype in (torch.float32, torch.float64):
        return model
    # A tokenizer is shared: it has no weights.
    return copy.deepcopy(model, {id(model.tokenizer): model.tokenizer}).float()


def finite(values: Tensor, what: str) -> Tensor:
    """The values.

    Raises:
        InputError: one is not finite.
    """
    if not bool(values.isfinite().all()):
        raise InputError(
            f"The {what} is not finite on this text or on the way from its baseline; look for "
            "overflow, or for weights that are not finite."
        )
    return values
