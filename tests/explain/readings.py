"""Points to explain: one text on a tiny model of each kind, in float64."""

from __future__ import annotations

from typing import Any

import torch

from interp.explain.baseline import Baseline
from interp.explain.points import Point
from interp.explain.target import Target
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from tests.model.configurations import CONFIGURATIONS, build, example


def read(
    configuration: str | TransformerConfig,
    target: Target | None = None,
    baseline: Baseline | None = None,
    *,
    pos: int = 6,
    batch_size: int | None = None,
    **changes: Any,
) -> Point:
    """A text on a model of `tests.model.configurations`; all its weights matter."""
    cfg = CONFIGURATIONS[configuration] if isinstance(configuration, str) else configuration
    model = build(cfg, dtype=torch.float64, **changes)
    return read_on(model, target, baseline, pos=pos, batch_size=batch_size)


def read_on(
    model: HookedTransformer,
    target: Target | None = None,
    baseline: Baseline | None = None,
    *,
    pos: int = 6,
    batch_size: int | None = None,
) -> Point:
    """The same on a given model."""
    inputs: dict[str, Any] = dict(example(model.cfg, batch=1, pos=pos))
    return Point.read(
        model,
        inputs.pop("tokens"),
        target or Target.logit(2),
        baseline or Baseline.mean(),
        inputs,
        batch_size=batch_size,
    )
