"""Scores that know nothing of the model's reasons, to stand beside those that claim to."""

from __future__ import annotations

import torch
from torch import Tensor

from interp.explain.points import Point
from interp.model.core import Transformer

RANDOM = 5
"""How often the random control is drawn: one order alone is good or bad by luck."""


def control_scores(point: Point, seed: int = 0) -> dict[str, Tensor]:
    """Scores [draw, unit] by control: `random`, `position` (the later the higher), and `attention`
    (what the predicting position attends to, mean of layers and heads; not of other libraries'
    models)."""
    generator = torch.Generator().manual_seed(seed)
    n = len(point.units)
    controls = {
        "random": torch.randn(RANDOM, n, generator=generator, dtype=torch.float64),
        "position": torch.arange(1, n + 1, dtype=torch.float64)[None],
    }
    attention = _attention(point)
    if attention is not None:
        controls["attention"] = point.by_unit(attention).double().cpu()[None]
    return controls


def _attention(point: Point) -> Tensor | None:
    """[pos] of all parts: mean attention from where the target is read."""
    model = point.model
    if not isinstance(model, Transformer) or point.cache is None:
        return None
    cache, rows = point.cache, _reading_rows(point)
    if model.cfg.shape == "encoder_decoder":
        n = model.cfg.n_decoder_layers
        cross = [cache[f"decoder.{i}.cross_attn.hook_pattern"][0][:, rows] for i in range(n)]
        own = [cache[f"decoder.{i}.attn.hook_pattern"][0][:, rows] for i in range(n)]
        return torch.cat([torch.stack(x).mean((0, 1, 2)) for x in (cross, own)])
    layers = [cache[f"blocks.{i}.attn.hook_pattern"][0][:, rows] for i in range(model.cfg.n_layers)]
    return torch.stack(layers).mean((0, 1, 2)) if layers else None


def _reading_rows(point: Point) -> list[int]:
    """The positions whose attention counts: those predicted from; of a classifier, those pooled."""
    if point.target.positions is not None:
        return list(point.target.positions)
    n = next(reversed(point.parts.values())).shape[1]
    pooling = getattr(point.model.cfg, "pooling", "mean")
    if point.model.cfg.head == "classification" and pooling in ("first", "last"):
        return [0 if pooling == "first" else n - 1]
    return list(range(n))
