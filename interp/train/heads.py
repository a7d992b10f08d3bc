"""A model with another head: what it has learnt stays, and the task begins anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from interp.errors import ConfigError
from interp.model.config import Head
from interp.model.transformer import HookedTransformer
from interp.pretrained.families import FAMILIES
from interp.pretrained.family import Family


def with_head(
    model: HookedTransformer,
    head: Head,
    class_names: Sequence[str] = (),
    *,
    seed: int = 0,
    **changes: Any,
) -> HookedTransformer:
    """A model with the trunk of `model` and a new head; `model` itself, if it has that head, for
    these classes or for as many without names.

    A classifier reads the last position of a decoder, which has seen the whole text, without a
    bias, as families of decoders have it; and the first of an encoder, through a dense layer, with
    tanh as BERT has it or what the model's own family has.

    Args:
        class_names: of a classifier, in the order of the numbers that it will give them.
        seed: of the new head's weights.
        **changes: further fields of the configuration, such as `pooling`.

    Raises:
        ConfigError: the model's shape cannot have this head.
    """
    cfg = model.cfg
    names, n_classes = tuple(class_names), len(class_names)
    if head == cfg.head and n_classes == cfg.n_classes and not changes:
        if not cfg.class_names:
            model.cfg = cfg.replace(class_names=names)
        if model.cfg.class_names == names:
            return model
    if cfg.shape == "encoder_decoder":
        raise ConfigError(
            f"An encoder-decoder writes text; it cannot have the head {head!r}. Take an encoder "
            "or a decoder, or let it write the answer as text."
        )
    words = head in ("lm", "mlm")
    family = next((f for f in FAMILIES if cfg.original_architecture in f.heads), None)
    if head == "classification":
        decoder = cfg.shape == "decoder"
        last = {"pooling": "last", "pooler_act": None, "classifier_bias": False}
        act = "tanh" if family is None else family.pooler_act
        first = {"pooling": "first", "pooler_act": act, "classifier_bias": True}
        changes = {**(last if decoder else first), **changes}
    new = HookedTransformer(
        cfg.replace(
            head=head,
            n_classes=n_classes,
            class_names=names,
            tie_word_embeddings=words and cfg.tie_word_embeddings,
            original_architecture=_architecture(family, head),
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


def _architecture(family: Family | None, head: Head) -> str | None:
    """The class of the transformers library for this head, if the family has one."""
    heads = {} if family is None else family.heads
    return next((name for name, its in heads.items() if its == head), None)
