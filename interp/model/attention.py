"""Multi-head attention (Vaswani et al. 2017), self or cross, with grouped-query heads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from interp.model.config import TransformerConfig
from interp.model.hook_points import HookPoint, scoped
from interp.model.mask import Mask
from interp.model.norm import Norm
from interp.model.positions import Rotation, rotate
from interp.model.tap import NO_TAP, TapLike


class Memory(Protocol):
    """Keys and values of one layer that were computed before, [batch, pos, kv_head, d_head]."""

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of all positions, given those of the newest (self-attention)."""
        ...

    def once(self, project: Callable[[], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """Keys and values of the source, projected at the first call only (cross-attention)."""
        ...


QKVInput = Tensor | tuple[Tensor, Tensor, Tensor]
"""[batch, pos, d_model] for all heads, or one input per head [batch, pos, head, d_model] for each
of queries, keys and values."""


class Attention(nn.Module):
    """softmax(q k^T / attn_scale + bias) v, mixed over heads by `out`.

    `qkv` holds the rows of all query heads, then of all key heads, then of all value heads.
    The fused kernel runs, unless the tap edits this layer's scores or pattern.
    """

    def __init__(
        self, cfg: TransformerConfig, attention_type: str = "global", *, cross: bool = False
    ):
        super().__init__()
        self.cross = cross
        self.n_heads, self.n_kv, self.d_head = cfg.n_heads, cfg.n_key_value_heads, cfg.d_head
        self.attention_type = attention_type
        self.scale = cfg.attn_scale
        self.soft_cap = cfg.attn_scores_soft_cap
        self.adjacent = cfg.rotary_adjacent_pairs
        self.rotary = cfg.positional_embedding_type == "rotary" and not cross
        self.dropout = cfg.dropout
        rows = (self.n_heads + 2 * self.n_kv) * self.d_head
        self.qkv = nn.Linear(cfg.d_model, rows, bias=cfg.qkv_bias)
        self.out = nn.Linear(self.n_heads * self.d_head, cfg.d_model, bias=cfg.attn_out_bias)
        self.q_norm: Norm | None = None
        self.k_norm: Norm | None = None
        if cfg.use_qk_norm:
            self.q_norm = Norm(cfg.d_head, rms=True, bias=False, eps=cfg.eps)
            self.k_norm = Norm(cfg.d_head, rms=True, bias=False, eps=cfg.eps)

    # -- the computation, in reading order ---------------------------------------------------

    def forward(
        self,
        x: QKVInput,
        mask: Mask,
        tap: TapLike = NO_TAP,
        rotation: Rotation | None = None,
        memory: Memory | None = None,
        source: Tensor | None = None,
    ) -> Tensor:
        """[batch, query_pos, d_model] -> the same shape.

        Args:
            x: what queries are made of, and keys and values too unless `source` is given.
            memory: keys and values from earlier forwards.
            source: [batch, key_pos, d_model], for cross-attention.
        """
        q, k, v = self._project(x, source, memory)
        q, k, v = tap("hook_q", q), tap("hook_k", k), tap("hook_v", v)
        q, k = self._place(q, k, rotation, tap)
        if memory is not None and source is None:
            k, v = memory.extend(k, v)
        return self._mix(self._attend(q, k, v, mask, tap), tap)

    def _project(
        self, x: QKVInput, source: Tensor | None, memory: Memory | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """[batch, pos, head, d_head] each (fewer heads for keys and values if grouped)."""
        if isinstance(x, tuple):
            return self._per_head(x)
        if source is None:
            heads = self._heads(self.qkv(x))
            q, k, v = heads.split_with_sizes((self.n_heads, self.n_kv, self.n_kv), -2)
            return q, k, v
        n_q, bias = self.n_heads * self.d_head, self.qkv.bias
        q = F.linear(x, self.qkv.weight[:n_q], None if bias is None else bias[:n_q])
        if memory is None:
            k, v = self._project_keys_values(source)
        else:
            k, v = memory.once(lambda: self._project_keys_values(source))
        return self._heads(q), k, v

    def _project_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        n_q, bias = self.n_heads * self.d_head, self.qkv.bias
        kv = F.linear(x, self.qkv.weight[n_q:], None if bias is None else bias[n_q:])
        k, v = self._heads(kv).split(self.n_kv, -2)
        return k, v

    def keys_values(self, x: Tensor, rotation: Rotation | None) -> tuple[Tensor, Tensor]:
        """Keys and values alone, ready to be attended to: [batch, pos, kv_head, d_head] each."""
        k, v = self._project_keys_values(x)
        if self.k_norm is not None:
            k = self.k_norm(k)
        return (k if rotation is None else rotate(k, rotation, self.adjacent)), v

    def _heads(self, x: Tensor) -> Tensor:
        heads: Tensor = x.unflatten(-1, (-1, self.d_head))
        return heads

    def _per_head(self, inputs: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Every head reads an input of its own: [batch, pos, head, d_model] each."""
        weights = (self.W_Q, self.W_K, self.W_V)
        biases = (self.b_Q, self.b_K, self.b_V)
        q, k, v = (
            torch.einsum("bphd,hde->bphe", x, weight) + bias
            for x, weight, bias in zip(inputs, weights, biases, strict=True)
        )
        return q, k, v

    def _place(
        self, q: Tensor, k: Tensor, rotation: Rotation | None, tap: TapLike
    ) -> tuple[Tensor, Tensor]:
        if self.q_norm is not None and self.k_norm is not None:
            q = self.q_norm(q, tap.scope("q_norm"))
            k = self.k_norm(k, tap.scope("k_norm"))
        if rotation is not None:
            q = tap("hook_rot_q", rotate(q, rotation, self.adjacent))
            k = tap("hook_rot_k", rotate(k, rotation, self.adjacent))
        return q, k

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Mask, tap: TapLike) -> Tensor:
        """[batch, query_pos, head, d_head]"""
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        if self.soft_cap > 0 or tap.edits("hook_attn_scores") or tap.edits("hook_pattern"):
            z = self._weigh(self._pattern(q, k, mask, tap), v)
        else:
            if tap.wants("hook_attn_scores") or tap.wants("hook_pattern"):
                self._pattern(q, k, mask, tap)
            z = F.scaled_dot_product_attention(
                q,
                k,
                v,
                attn_mask=mask.fused,
                dropout_p=self.dropout if self.training else 0.0,
                is_causal=mask.is_causal,
                scale=1 / self.scale,
                enable_gqa=self.n_kv != self.n_heads,
            )
        return tap("hook_z", z.transpose(1, 2))

    def _pattern(self, q: Tensor, k: Tensor, mask: Mask, tap: TapLike) -> Tensor:
        """[batch, head, query_pos, key_pos]; rows sum to 1."""
        if self.n_kv != self.n_heads:
            k = k.repeat_interleave(self.n_heads // self.n_kv, 1)
        scores = q @ k.transpose(-1, -2) / self.scale
        if self.soft_cap > 0:
            scores = tap("hook_attn_scores_uncapped", scores)
            scores = self.soft_cap * torch.tanh(scores / self.soft_cap)
        scores = tap("hook_attn_scores", mask.apply(scores))
        half = scores.dtype in (torch.float16, torch.bfloat16)
        pattern = torch.softmax(scores, -1, dtype=torch.float32 if half else None)
        return tap("hook_pattern", pattern.to(scores.dtype))

    def _weigh(self, pattern: Tensor, v: Tensor) -> Tensor:
        if self.n_kv != self.n_heads:
            v = v.repeat_interleave(self.n_heads // self.n_kv, 1)
        return F.dropout(pattern, self.dropout, self.training) @ v

    def _mix(self, z: Tensor, tap: TapLike) -> Tensor:
        if tap.edits("hook_result"):
            out: Tensor = tap("hook_result", self._results(z)).sum(-2)
            return out if self.out.bias is None else out + self.out.bias
        if tap.wants("hook_result"):
            tap("hook_result", self._results(z))
        mixed: Tensor = self.out(z.flatten(-2))
        return mixed

    def _results(self, z: Tensor) -> Tensor:
        return torch.einsum("bphe,hed->bphd", z, self.W_O)

    # -- the weights under TransformerLens's names and shapes (views, not copies) -----------------

    def _rows(self, which: int) -> slice:
        heads = (self.n_heads, self.n_kv, self.n_kv)
        start = sum(heads[:which]) * self.d_head
        return slice(start, start + heads[which] * self.d_head)

    def _weight(self, which: int) -> Tensor:
        rows = self.qkv.weight[self._rows(which)]
        return rows.view(-1, self.d_head, rows.shape[-1]).transpose(1, 2)

    def _bias(self, which: int) -> Tensor:
        rows = self._rows(which)
        if self.qkv.bias is None:
            return self.qkv.weight.new_zeros((rows.stop - rows.start) // self.d_head, self.d_head)
        return self.qkv.bias[rows].view(-1, self.d_head)

    @property
    def W_Q(self) -> Tensor:
        """[head, d_model, d_head]"""
        return self._weight(0)

    @property
    def W_K(self) -> Tensor:
        """[kv_head, d_model, d_head]"""
        return self._weight(1)

    @property
    def W_V(self) -> Tensor:
        """[kv_head, d_model, d_head]"""
        return self._weight(2)

    @property
    def b_Q(self) -> Tensor:
        """[head, d_head]"""
        return self._bias(0)

    @property
    def b_K(self) -> Tensor:
        """[kv_head, d_head]"""
        return self._bias(1)

    @property
    def b_V(self) -> Tensor:
        """[kv_head, d_head]"""
        return self._bias(2)

    @property
    def W_O(self) -> Tensor:
        """[head, d_head, d_model]"""
        return self.out.weight.t().view(self.n_heads, self.d_head, -1)

    @property
    def b_O(self) -> Tensor:
        """[d_model]"""
        out = self.out
        return out.weight.new_zeros(out.out_features) if out.bias is None else out.bias

    # -- the points ------------------------------------------------------------------------------

    def hook_points(self) -> Iterator[HookPoint]:
        key_pos = "source_pos" if self.cross else "pos"
        heads, kv = "batch pos head d_head", f"batch {key_pos} kv_head d_head"
        square = "batch head query_pos key_pos"
        yield HookPoint("hook_q", heads, "queries, before norm and rotation")
        yield HookPoint("hook_k", kv, "keys, before norm and rotation")
        yield HookPoint("hook_v", kv, "values")
        if self.q_norm is not None and self.k_norm is not None:
            yield from scoped("q_norm", self.q_norm.hook_points("batch pos head", "d_head"))
            k_dims = f"batch {key_pos} kv_head"
            yield from scoped("k_norm", self.k_norm.hook_points(k_dims, "d_head"))
        if self.rotary:
            yield HookPoint("hook_rot_q", heads, "queries as they meet the keys")
            yield HookPoint("hook_rot_k", kv, "keys as they meet the queries")
        if self.soft_cap > 0:
            yield HookPoint("hook_attn_scores_uncapped", square, "scores before their cap")
        yield HookPoint("hook_attn_scores", square, "scores before the softmax, -inf where masked")
        yield HookPoint("hook_pattern", square, "weights with which values are averaged")
        yield HookPoint("hook_z", heads, "averaged values of a head")
        yield HookPoint(
            "hook_result", "batch pos head d_model", "what a head adds to the stream", "on demand"
        )
