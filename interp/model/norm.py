"""LayerNorm (Ba et al. 2016, arXiv 1607.06450) and RMSNorm (Zhang & Sennrich 2019, 1910.07467)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from interp.model.config import TransformerConfig
from interp.model.hook_points import HookPoint
from interp.model.tap import NO_TAP, TapLike


class Norm(nn.Module):
    """x -> (x - mean(x)) / scale * weight + bias over the last axis; RMSNorm leaves out the mean.

    Args:
        width: length of the normalised axis.
        rms: RMSNorm instead of LayerNorm.
        bias: LayerNorm's shift (RMSNorm has none).
    """

    def __init__(self, width: int, *, rms: bool, bias: bool, eps: float):
        super().__init__()
        self.rms = rms
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width)) if bias and not rms else None

    @classmethod
    def from_config(cls, cfg: TransformerConfig, width: int | None = None) -> Norm:
        """The norm of the blocks of `cfg`."""
        rms = cfg.normalization_type == "RMS"
        return cls(width or cfg.d_model, rms=rms, bias=cfg.norm_bias, eps=cfg.eps)

    @property
    def w(self) -> Tensor:
        """TransformerLens's name for the gain."""
        return self.weight

    @property
    def b(self) -> Tensor:
        """TransformerLens's name for the shift; zeros where there is none."""
        return torch.zeros_like(self.weight) if self.bias is None else self.bias

    def forward(self, x: Tensor, tap: TapLike = NO_TAP) -> Tensor:
        """[..., width] -> [..., width]"""
        if tap is not NO_TAP and (tap.wants("hook_scale") or tap.wants("hook_normalized")):
            opened = self._opened(x, tap)
            if tap.edits("hook_scale") or tap.edits("hook_normalized"):
                return opened
        # Not `torch.nn.functional`'s, which add a look for overriding tensors to these and take
        # half as long again: in a small model that shows.
        weight = self.weight
        if self.rms:
            return torch.rms_norm(x, weight.shape, weight, self.eps)
        return torch.layer_norm(x, weight.shape, weight, self.bias, self.eps)

    def _opened(self, x: Tensor, tap: TapLike) -> Tensor:
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        centred = wide if self.rms else wide - wide.mean(-1, keepdim=True)
        scale = tap("hook_scale", (centred.square().mean(-1, keepdim=True) + self.eps).sqrt())
        normalized = tap("hook_normalized", (centred / scale).to(x.dtype))
        out = normalized * self.weight
        return out if self.bias is None else out + self.bias

    def hook_points(self, dims: str = "batch pos", width: str = "d_model") -> Iterator[HookPoint]:
        yield HookPoint("hook_scale", f"{dims} 1", "the divisor of the norm")
        yield HookPoint(
            "hook_normalized", f"{dims} {width}", "the normalised stream, before gain and shift"
        )
