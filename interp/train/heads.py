"""A model with another head: what it has learnt stays, and the task begins anew."""

from __future__ import annotations

from typing import Any

import torch

from interp.errors import ConfigError
from interp.model.config import Head
from interp.model.transformer import HookedTransformer
from interp.pretrained.families import FAMILIES


def with_head(
    model: HookedTransformer, head: Head, n_classes: int = 0, *, seed: int = 0, **changes: Any
) -> HookedTransformer:
    """A model with the trunk of `model` and a new head; `model` itself, if it has that head.

    A classifier reads the last position of a decoder, which has seen the whole text, without a
    bias, as families of decoders have it; and the first of an encoder, through a dense layer with
    tanh, as BERT has it.

    Args:
        n_classes: of a classifier.
        seed: of the new head's weights.
        **changes: further fields of the configuration, such as `pooling`.

    Raises:
        ConfigError: the model's shape cannot have this head.
    """
    cfg = model.cfg
    if head == cfg.head and n_classes == cfg.n_classes and not changes:
        return model
    if cfg.shape == "encoder_decoder":
        raise ConfigError(
            f"An encoder-decoder writes text; it cannot have the head {head!r}. Take an encoder "
            "or a decoder, or let it write the answer as text."
        )
    words = head in ("lm", "mlm")
    if head == "classification":
        decoder = cfg.shape == "decoder"
        last = {"pooling": "last", "pooler_act": None, "classifier_bias": False}
        first = {"pooling": "first", "pooler_act": "tanh", "classifier_bias": True}
        changes = {**(last if decoder else first), **changes}
    new = HookedTransformer(
        cfg.replace(
            head=head,
            n_classes=n_classes,
            tie_word_embeddings=words and cfg.tie_word_embeddings,
            original_architecture=_architecture(cfg.original_architecture, head),
            **changes,
        ),
        model.tokenizer,
        seed=seed,
    )
    old = dict(model.named_parameters())
    with torch.no_grad():
        for name, parameter in new.named_parameters():
            if not name.startswith("output."):
                parameter.copy_(old[name])
    return new.to(cfg.device).train(model.training)


def _architecture(original: str | None, head: Head) -> str | None:
    """The class of the transformers library for another head on the same trunk."""
    for family in FAMILIES:
        if original in family.heads:
            return next((name for name, its in family.heads.items() if its == head), None)
    return None
