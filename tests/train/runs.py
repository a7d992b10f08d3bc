"""Small trainings that several tests share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from interp.data.batch import IGNORED, Batch
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.train.settings import Settings


@dataclass(frozen=True)
class Counting:
    """Rows that count upwards from a random token, the ends of some rows hidden from the loss."""

    d_vocab: int = 11
    rows: int = 6
    pos: int = 8
    ragged: bool = True

    def batch(self, step: int) -> Batch:
        random = torch.Generator().manual_seed(step)
        first = torch.randint(self.d_vocab, (self.rows, 1), generator=random)
        tokens = (first + torch.arange(self.pos + 1)) % self.d_vocab
        labels = tokens[:, 1:].clone()
        if self.ragged:
            lengths = torch.randint(2, self.pos + 1, (self.rows, 1), generator=random)
            labels[torch.arange(self.pos) >= lengths] = IGNORED
        return Batch({"tokens": tokens[:, :-1]}, labels)

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "counting", "rows": self.rows}


def tiny(seed: int = 0, **changes: Any) -> HookedTransformer:
    """A decoder of two layers, in float32."""
    cfg = TransformerConfig(d_model=16, n_layers=2, n_heads=2, d_vocab=11, n_ctx=8)
    return HookedTransformer(cfg.replace(**changes), seed=seed)


def settings(**changes: Any) -> Settings:
    """Twelve quick steps in float32."""
    plain: dict[str, Any] = {"steps": 12, "warmup_steps": 2, "precision": "float32"}
    return Settings(**{**plain, **changes})


def weights(model: HookedTransformer) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.parameters()]
