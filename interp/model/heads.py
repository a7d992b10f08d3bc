"""What stands on top of the last block: one module per task, all from stream to logits."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from interp.model.config import TransformerConfig
from interp.model.hook_points import HookPoint, scoped
from interp.model.mlp import ACTIVATIONS
from interp.model.norm import Norm
from interp.model.tap import NO_TAP, TapLike


class Unembed(nn.Linear):
    """Logits over the vocabulary, [batch, pos, d_vocab_out]."""

    def __init__(self, cfg: TransformerConfig):
        super().__init__(cfg.d_model, cfg.d_vocab_out, bias=cfg.unembed_bias)
        self.scale = cfg.logit_scale
        self.soft_cap = cfg.output_logits_soft_cap

    def forward(self, resid: Tensor, tap: TapLike = NO_TAP) -> Tensor:
        resid = resid if self.scale == 1.0 else resid * self.scale
        logits = F.linear(resid, self.weight, self.bias)
        if self.soft_cap <= 0:
            return logits
        capped = self.soft_cap * torch.tanh(tap("hook_pre", logits) / self.soft_cap)
        return tap("hook_post", capped)

    def hook_points(self) -> Iterator[HookPoint]:
        if self.soft_cap > 0:
            yield HookPoint("hook_pre", "batch pos d_vocab_out", "logits before their cap")
            yield HookPoint("hook_post", "batch pos d_vocab_out", "logits after their cap")

    @property
    def W_U(self) -> Tensor:
        """[d_model, d_vocab_out], with the factor on the stream."""
        return self.weight.t() if self.scale == 1.0 else self.weight.t() * self.scale

    @property
    def b_U(self) -> Tensor:
        """[d_vocab_out]"""
        return self.weight.new_zeros(self.out_features) if self.bias is None else self.bias


class MaskedHead(nn.Module):
    """BERT's transform before the unembedding: dense, activation, norm (Devlin et al. 2019)."""

    def __init__(self, cfg: TransformerConfig):
        super().__init__()
        self.dense = nn.Linear(cfg.d_model, cfg.d_model)
        self.act = ACTIVATIONS[cfg.act_fn]
        self.ln = Norm.from_config(cfg)

    def forward(self, resid: Tensor, tap: TapLike = NO_TAP) -> Tensor:
        """[batch, pos, d_model] -> the same shape."""
        active = tap("hook_post", self.act(tap("hook_pre", self.dense(resid))))
        out: Tensor = self.ln(active, tap.scope("ln"))
        return out

    def hook_points(self) -> Iterator[HookPoint]:
        stream = "batch pos d_model"
        yield HookPoint("hook_pre", stream, "the transform before its activation function")
        yield HookPoint("hook_post", stream, "the transform after its activation function")
        yield from scoped("ln", self.ln.hook_points())


class Pooler(nn.Module):
    """Reads one position (or their mean) for a classifier, through a dense layer if asked to."""

    def __init__(self, cfg: TransformerConfig):
        super().__init__()
        self.pooling = cfg.pooling
        self.dense = nn.Linear(cfg.d_model, cfg.d_model) if cfg.pooler_act else None
        self.act = ACTIVATIONS[cfg.pooler_act] if cfg.pooler_act else None

    def forward(
        self, resid: Tensor, attention_mask: Tensor | None, tap: TapLike = NO_TAP
    ) -> Tensor:
        """[batch, pos, d_model] -> [batch, d_model]; padding is never read."""
        pooled = self._pool(resid, attention_mask)
        if self.dense is not None and self.act is not None:
            pooled = self.act(tap("hook_pre", self.dense(pooled)))
        return tap("hook_pooler_out", pooled)

    def _pool(self, resid: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None:
            if self.pooling == "mean":
                return resid.mean(1)
            return resid[:, 0] if self.pooling == "first" else resid[:, -1]
        if self.pooling == "mean":
            weight = mask.to(resid.dtype)[..., None]
            return (resid * weight).sum(1) / weight.sum(1)
        index = torch.arange(mask.shape[1], device=mask.device)
        if self.pooling == "first":
            chosen = torch.where(mask.bool(), index, mask.shape[1]).min(1).values
        else:
            chosen = torch.where(mask.bool(), index, -1).max(1).values
        return resid[torch.arange(resid.shape[0], device=resid.device), chosen]

    def hook_points(self) -> Iterator[HookPoint]:
        if self.dense is not None:
            yield HookPoint(
                "hook_pre", "batch d_model", "the vector before its activation function"
            )
        yield HookPoint("hook_pooler_out", "batch d_model", "the vector that is classified")


class Output(nn.Module):
    """The head that the configuration names, as one module: stream in, logits out.

    - `lm`, `mlm`: [batch, pos, d_vocab_out]
    - `classification`: [batch, n_classes]
    - `token_classification`: [batch, pos, n_classes]
    - `span`: [batch, pos, 2], start and end
    - `none`: the stream itself
    """

    def __init__(self, cfg: TransformerConfig):
        super().__init__()
        self.mlm_head = MaskedHead(cfg) if cfg.head == "mlm" else None
        self.unembed = Unembed(cfg) if cfg.has_vocabulary_head else None
        self.pooler = Pooler(cfg) if cfg.head == "classification" else None
        outputs = 2 if cfg.head == "span" else cfg.n_classes
        classifies = cfg.head in ("classification", "token_classification", "span")
        self.classifier = (
            nn.Linear(cfg.d_model, outputs, bias=cfg.classifier_bias) if classifies else None
        )

    def forward(
        self, resid: Tensor, attention_mask: Tensor | None = None, tap: TapLike = NO_TAP
    ) -> Tensor:
        if self.mlm_head is not None:
            resid = self.mlm_head(resid, tap.scope("mlm_head"))
        if self.pooler is not None:
            resid = self.pooler(resid, attention_mask, tap.scope("pooler"))
        if self.unembed is not None:
            logits: Tensor = self.unembed(resid, tap.scope("unembed"))
            return logits
        out: Tensor = resid if self.classifier is None else self.classifier(resid)
        return out

    def hook_points(self) -> Iterator[HookPoint]:
        if self.mlm_head is not None:
            yield from scoped("mlm_head", self.mlm_head.hook_points())
        if self.pooler is not None:
            yield from scoped("pooler", self.pooler.hook_points())
        if self.unembed is not None:
            yield from scoped("unembed", self.unembed.hook_points())
