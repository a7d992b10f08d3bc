"""Initial weights: one table, a pure function of the seed.

Every tensor is drawn from its own generator, seeded by the seed and the tensor's name, on the CPU:
neither the device, nor the order of construction, nor another layer changes a draw.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from interp.model.config import TransformerConfig

Draw = Callable[[TransformerConfig], float]


def _std(cfg: TransformerConfig) -> float:
    return cfg.initializer_range


def _residual_std(cfg: TransformerConfig) -> float:
    """Writers to the stream shrink with depth, so that its variance does not grow with it
    (Radford et al. 2019)."""
    layers = max(cfg.n_layers, cfg.n_decoder_layers, 1)
    return cfg.initializer_range / math.sqrt((1 if cfg.attn_only else 2) * layers)


def _zero(cfg: TransformerConfig) -> float:
    return 0.0


# Pattern of the parameter's name -> standard deviation of a normal distribution around 0, or
# None for a gain of 1. The first match counts.
TABLE: tuple[tuple[str, Draw | None], ...] = (
    ("*ln*.weight", None),
    ("*_norm.weight", None),
    ("*.bias", _zero),
    ("*attn.out.weight", _residual_std),
    ("*mlp.down.weight", _residual_std),
    ("*", _std),
)


def init_weights(model: nn.Module, cfg: TransformerConfig, seed: int) -> None:
    """Fills every parameter of `model` according to `TABLE`."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            draw = next(draw for pattern, draw in TABLE if fnmatchcase(name, pattern))
            if draw is None:
                parameter.fill_(1.0)
            else:
                parameter.copy_(_normal(parameter, draw(cfg), f"{seed}:{name}"))


def _normal(like: Tensor, std: float, key: str) -> Tensor:
    if std == 0.0:
        return torch.zeros_like(like, device="cpu")
    digest = hashlib.sha256(key.encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))
    return torch.randn(like.shape, generator=generator).mul_(std)
