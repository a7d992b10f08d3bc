"""Everything that tells a Transformer where a token stands, apart from the learned table.

Sinusoidal positions (Vaswani et al. 2017, arXiv 1706.03762), rotary embedding (Su et al. 2021,
2104.09864) with its scaled variants, T5's relative buckets (Raffel et al. 2020, 1910.10683) and
ALiBi's slopes (Press et al. 2022, 2108.12409).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Self

import torch
from torch import Tensor, nn

from interp.model.config import RopeScaling, TransformerConfig

Rotation = tuple[Tensor, Tensor]
"""cos and sin, each [batch or 1, pos, 1, rotary_dim]."""


def sinusoidal_table(n_ctx: int, d_model: int) -> Tensor:
    """[n_ctx, d_model]: the sines in the first half, the cosines in the second.

    The paper interleaves the two; the halves are a permutation of its coordinates, and are the
    layout of tensor2tensor, fairseq and Marian.
    """
    position = torch.arange(n_ctx, dtype=torch.float64)[:, None]
    frequency = 10000 ** (-torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)
    return torch.cat([torch.sin(position * frequency), torch.cos(position * frequency)], 1).float()


def rotary_frequencies(cfg: TransformerConfig) -> Tensor:
    """Angles per position, [rotary_dim / 2] in radians."""
    exponent = torch.arange(0, cfg.rotary_dim, 2, dtype=torch.float32) / cfg.rotary_dim
    frequency = 1.0 / cfg.rotary_base**exponent
    scaling = cfg.rope_scaling
    if scaling is None:
        return frequency
    if scaling.kind == "linear":
        return frequency / scaling.factor
    if scaling.kind == "llama3":
        return _llama3(frequency, scaling)
    return _yarn(frequency, cfg, scaling)


def rotary_factor(scaling: RopeScaling | None) -> float:
    """The factor on cos and sin, by which YaRN sharpens attention."""
    if scaling is None or scaling.kind != "yarn":
        return 1.0
    if scaling.attention_factor is not None:
        return scaling.attention_factor
    return 0.1 * math.log(scaling.factor) + 1.0


def _llama3(frequency: Tensor, scaling: RopeScaling) -> Tensor:
    wavelength = 2 * math.pi / frequency
    turns = scaling.original_n_ctx / wavelength
    kept = (turns - scaling.low_freq_factor) / (scaling.high_freq_factor - scaling.low_freq_factor)
    kept = kept.clamp(0, 1)
    return kept * frequency + (1 - kept) * frequency / scaling.factor


def _yarn(frequency: Tensor, cfg: TransformerConfig, scaling: RopeScaling) -> Tensor:
    def coordinate(rotations: float) -> float:
        """The (fractional) pair that turns `rotations` times within the trained length."""
        length = scaling.original_n_ctx / (rotations * 2 * math.pi)
        return cfg.rotary_dim * math.log(length) / (2 * math.log(cfg.rotary_base))

    low = max(math.floor(coordinate(scaling.beta_fast)), 0)
    high = min(math.ceil(coordinate(scaling.beta_slow)), cfg.rotary_dim - 1)
    ramp = torch.arange(cfg.rotary_dim // 2, dtype=torch.float32) - low
    kept = 1 - (ramp / max(high - low, 0.001)).clamp(0, 1)
    return kept * frequency + (1 - kept) * frequency / scaling.factor


class FixedTable(nn.Module):
    """A table that follows from the configuration: never trained, never saved.

    It stays in float32 whatever the precision of the model, since rounded frequencies turn into
    wrong angles far from the start, and it is made anew wherever the model is moved to: the `meta`
    device, on which models are built before their weights are read, holds no values.
    """

    table: Tensor

    def __init__(self, compute: Callable[[], Tensor]):
        super().__init__()
        self.compute = compute
        # On `meta`, some of the functions below would make torch import its whole compiler.
        with torch.device("cpu"):
            table = compute()
        self.register_buffer("table", table.to(torch.get_default_device()), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.table.device.type != "meta":
            with torch.device("cpu"):
                table = self.compute()
            self.table = table.to(self.table.device)
        return self


class Rotary(FixedTable):
    """Turns position ids into the rotation of queries and keys."""

    def __init__(self, cfg: TransformerConfig):
        super().__init__(partial(rotary_frequencies, cfg))
        self.factor = rotary_factor(cfg.rope_scaling)
        self.adjacent = cfg.rotary_adjacent_pairs

    def forward(self, position_ids: Tensor, dtype: torch.dtype) -> Rotation:
        """[batch or 1, pos] -> cos, sin [batch or 1, pos, 1, rotary_dim]; angles in float32."""
        angle = position_ids[..., None].float() * self.table
        angle = angle.repeat_interleave(2, -1) if self.adjacent else torch.cat([angle, angle], -1)
        angle = angle[:, :, None]
        return (angle.cos() * self.factor).to(dtype), (angle.sin() * self.factor).to(dtype)


def rotate(x: Tensor, rotation: Rotation, adjacent: bool) -> Tensor:
    """Rotates the leading coordinates of heads: [batch, pos, head, d_head] -> the same shape."""
    cos, sin = rotation
    dim = cos.shape[-1]
    turned, kept = x[..., :dim], x[..., dim:]
    if adjacent:
        quarter = torch.stack([-turned[..., 1::2], turned[..., ::2]], -1).flatten(-2)
    else:
        quarter = torch.cat([-turned[..., dim // 2 :], turned[..., : dim // 2]], -1)
    turned = turned * cos + quarter * sin
    return turned if dim == x.shape[-1] else torch.cat([turned, kept], -1)


class RelativeBias(nn.Module):
    """T5's learned bias on scores: one number per head and bucket of distance."""

    def __init__(self, cfg: TransformerConfig, bidirectional: bool):
        super().__init__()
        self.bidirectional = bidirectional
        self.n_buckets = cfg.relative_attention_num_buckets
        self.max_distance = cfg.relative_attention_max_distance
        self.weight = nn.Parameter(torch.zeros(self.n_buckets, cfg.n_heads))

    def bucket(self, distance: Tensor) -> Tensor:
        """Bucket of key position minus query position; half exact, half logarithmic."""
        n = self.n_buckets
        offset = torch.zeros_like(distance)
        if self.bidirectional:
            n //= 2
            offset = (distance > 0).long() * n
            distance = distance.abs()
        else:
            distance = (-distance).clamp(min=0)
        exact = n // 2
        ratio = torch.log(distance.clamp(min=1).float() / exact)
        coarse = exact + (ratio / math.log(self.max_distance / exact) * (n - exact)).long()
        return offset + torch.where(distance < exact, distance, coarse.clamp(max=n - 1))

    def forward(self, n_query: int, n_key: int, first_query: int) -> Tensor:
        """[1, head, query_pos, key_pos]"""
        device = self.weight.device
        query = torch.arange(first_query, first_query + n_query, device=device)
        distance = torch.arange(n_key, device=device)[None, :] - query[:, None]
        return self.weight[self.bucket(distance)].permute(2, 0, 1)[None]


def alibi_slopes(n_heads: int) -> Tensor:
    """[head]: 2^(-8/n), 2^(-16/n), ...; for n not a power of two, interleaved with the next one."""
    power = 2 ** math.floor(math.log2(n_heads))
    slopes = [2 ** (-8 * (i + 1) / power) for i in range(power)]
    between = [2 ** (-4 * (2 * i + 1) / power) for i in range(n_heads - power)]
    return torch.tensor(slopes + between)


class Alibi(FixedTable):
    """A penalty on scores that grows linearly with the distance; nothing to learn."""

    def __init__(self, cfg: TransformerConfig):
        super().__init__(partial(alibi_slopes, cfg.n_heads))

    def forward(self, n_query: int, n_key: int, first_query: int) -> Tensor:
        """[1, head, query_pos, key_pos]"""
        device = self.table.device
        query = torch.arange(first_query, first_query + n_query, device=device)
        distance = (torch.arange(n_key, device=device)[None, :] - query[:, None]).abs()
        return (-self.table[:, None, None] * distance)[None]
