"""The models that can write, the ways in which they do, and what they are given to continue."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from interp.model.transformer import HookedTransformer
from tests.model.configurations import CONFIGURATIONS, example

WRITERS = [name for name, cfg in CONFIGURATIONS.items() if cfg.head == "lm"]
DECODERS = [name for name in WRITERS if CONFIGURATIONS[name].shape == "decoder"]
PAIRS = [name for name in WRITERS if CONFIGURATIONS[name].shape == "encoder_decoder"]
EACH_WRITER = pytest.mark.parametrize("name", WRITERS)
WAYS: dict[str, dict[str, Any]] = {
    "greedy": {"do_sample": False},
    "sampled": {"seed": 0, "temperature": 0.8, "top_k": 9, "top_p": 0.9},
    "penalized": {"seed": 1, "repetition_penalty": 1.3, "freq_penalty": 0.2},
    "beams": {"num_beams": 3},
}
EACH_WAY = pytest.mark.parametrize("way", WAYS)


def source(model: HookedTransformer, batch: int = 2, pos: int = 7, seed: int = 0) -> Tensor:
    tokens = example(model.cfg, batch, pos, seed)["tokens"]
    return tokens % model.cfg.d_vocab_out  # so that whatever was written can be read again


def by_hand(model: HookedTransformer, tokens: Tensor, n: int) -> Tensor:
    """Greedy search with plain forwards."""
    if model.cfg.shape == "encoder_decoder":
        target = torch.full((len(tokens), 1), model.cfg.decoder_start_token_id)
        for _ in range(n):
            logits = model(tokens, decoder_tokens=target)
            target = torch.cat([target, logits[:, -1:].argmax(-1)], 1)
        return target
    for _ in range(n):
        tokens = torch.cat([tokens, model(tokens)[:, -1:].argmax(-1)], 1)
    return tokens


def ending(written: Tensor) -> int:
    """A token at which some of the rows would end, at different places."""
    places = {
        token: {row.index(token) for row in written.tolist() if token in row}
        for token in written.flatten().tolist()
    }
    return max(places, key=lambda token: len(places[token]))
