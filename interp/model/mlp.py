"""The position-wise feed-forward layer, plain or gated (Shazeer 2020, arXiv 2002.05202)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from interp.model.config import TransformerConfig
from interp.model.hook_points import HookPoint
from interp.model.tap import NO_TAP, TapLike


def _gelu_tanh(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_new": _gelu_tanh,
    "silu": F.silu,
    "tanh": torch.tanh,
}


class MLP(nn.Module):
    """down(act(up(x))), or gated: down(act(gate(x)) * up(x))."""

    def __init__(self, cfg: TransformerConfig):
        super().__init__()
        self.act = ACTIVATIONS[cfg.act_fn]
        self.gate = nn.Linear(cfg.d_model, cfg.d_mlp, bias=cfg.mlp_bias) if cfg.gated_mlp else None
        self.up = nn.Linear(cfg.d_model, cfg.d_mlp, bias=cfg.mlp_bias)
        self.down = nn.Linear(cfg.d_mlp, cfg.d_model, bias=cfg.mlp_bias)

    def forward(self, x: Tensor, tap: TapLike = NO_TAP) -> Tensor:
        """[batch, pos, d_model] -> the same shape."""
        if self.gate is None:
            post = self.act(tap("hook_pre", self.up(x)))
        else:
            pre = tap("hook_pre", self.gate(x))
            post = self.act(pre) * tap("hook_pre_linear", self.up(x))
        out: Tensor = self.down(tap("hook_post", post))
        return out

    @property
    def W_in(self) -> Tensor:
        """[d_model, d_mlp]"""
        return self.up.weight.t()

    @property
    def W_gate(self) -> Tensor | None:
        """[d_model, d_mlp], for gated layers."""
        return None if self.gate is None else self.gate.weight.t()

    @property
    def W_out(self) -> Tensor:
        """[d_mlp, d_model]"""
        return self.down.weight.t()

    @property
    def b_in(self) -> Tensor:
        """[d_mlp]"""
        up = self.up
        return up.weight.new_zeros(up.out_features) if up.bias is None else up.bias

    @property
    def b_out(self) -> Tensor:
        """[d_model]"""
        down = self.down
        return down.weight.new_zeros(down.out_features) if down.bias is None else down.bias

    def hook_points(self) -> Iterator[HookPoint]:
        dims = "batch pos d_mlp"
        yield HookPoint("hook_pre", dims, "neurons before the activation function")
        if self.gate is not None:
            yield HookPoint("hook_pre_linear", dims, "the linear branch that the gate multiplies")
        yield HookPoint("hook_post", dims, "neurons after the activation function (and gate)")
