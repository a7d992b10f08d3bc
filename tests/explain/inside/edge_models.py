"""Small models whose stream is a sum, and pairs of texts for them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from interp import HookedTransformer, TransformerConfig

GRAPHS: dict[str, dict[str, Any]] = {
    "decoder": {},
    "attention only": {"attn_only": True},
    "rotary": {"positional_embedding_type": "rotary", "normalization_type": "RMS"},
    "grouped": {"n_heads": 4, "n_key_value_heads": 2, "gated_mlp": True, "act_fn": "silu"},
    "parallel": {"parallel_attn_mlp": True, "positional_embedding_type": "rotary"},
    "classifier": {"shape": "encoder", "head": "classification", "n_classes": 3},
    "masked": {"shape": "encoder", "head": "mlm", "embed_norm": True},
}


def model(seed: int = 0, **changes: Any) -> HookedTransformer:
    settings: dict[str, Any] = {
        "d_model": 16,
        "n_layers": 2,
        "n_heads": 2,
        "d_vocab": 30,
        "n_ctx": 16,
        "initializer_range": 0.3,
        "dtype": torch.float64,
        **changes,
    }
    made = HookedTransformer(TransformerConfig(**settings), seed=seed).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim == 1:  # biases begin at 0 and gains at 1, where they hide
                parameter += 0.2 * torch.randn(parameter.shape, generator=generator).to(parameter)
    return made


def texts(n: int = 2, n_pos: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Clean and corrupted ids [pair, pos]."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, 30, (2, n, n_pos), generator=generator)
    return ids[0], ids[1]


def metric(logits: Tensor) -> Tensor:
    """A smooth number for each pair, of whatever the head gives."""
    last = logits if logits.ndim == 2 else logits[:, -1]
    return last.log_softmax(-1)[:, 1]
