"""Runs of models whose stream is the sum of what was written to it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from interp.model.cache import ActivationCache
from interp.model.transformer import HookedTransformer
from tests.model.configurations import CONFIGURATIONS, example, shared_model

PRE_NORM = [name for name, cfg in CONFIGURATIONS.items() if cfg.norm_position == "pre"]
EACH = pytest.mark.parametrize("name", PRE_NORM)


def run(name: str, **inputs: Any) -> tuple[HookedTransformer, Tensor, ActivationCache]:
    """In float64, so that a sum may be compared to 1e-11."""
    model = shared_model(name, torch.float64)
    logits, cache = model.run_with_cache(**(example(model.cfg) | inputs))
    return model, logits, cache


def n_blocks(model: HookedTransformer) -> int:
    return len(model.stack(model.last_stack).blocks)


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, atol=1e-11, rtol=1e-11)
