"""The loss of maximum likelihood: how surprised a model is by each next token."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from interp.errors import InputError
from interp.model.config import TransformerConfig
from interp.model.inputs import Inputs


def next_token_loss(
    cfg: TransformerConfig, logits: Tensor, batch: Inputs, *, per_token: bool = False
) -> Tensor:
    """Cross-entropy of logits [batch, pos, d_vocab_out] against the token that follows, in nats.

    Returns:
        The mean over the real next tokens, or with `per_token` [batch, pos - 1], 0 at padding.

    Raises:
        InputError: the model predicts no next token, or there is none to predict.
    """
    tokens, mask = batch.of("decoder" if cfg.shape == "encoder_decoder" else "blocks")
    if cfg.head != "lm" or tokens is None:
        raise InputError(
            f"A model of shape {cfg.shape} with the head {cfg.head!r} has no next-token loss here; "
            "take its logits and compare them with labels."
        )
    counted = None if mask is None else mask[:, 1:] & mask[:, :-1]
    if tokens.shape[1] < 2 or not _any(counted):
        raise InputError("The loss needs at least two tokens: one to read and one to predict.")
    target = tokens[:, 1:].long()
    losses = F.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(), target.flatten(), reduction="none"
    ).view(target.shape)
    if counted is None:
        return losses if per_token else losses.mean()
    losses = torch.where(counted, losses, 0.0)
    return losses if per_token else losses.sum() / counted.sum()


def _any(counted: Tensor | None) -> bool:
    """Whether a token is predicted; where the answer would have to be waited for, hopes so."""
    if counted is None or torch.compiler.is_compiling() or counted.device.type != "cpu":
        return True
    return bool(counted.any())
