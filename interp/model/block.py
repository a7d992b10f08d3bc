"""One Transformer block: pre-norm, post-norm ("add & norm") or parallel, with or without
cross-attention. An edit at a residual point reaches everything computed after it, the skip path
included: each of the values below is used from its tap on and never again from before it."""

from __future__ import annotations

from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor, nn

from interp.errors import HookError
from interp.model.attention import Attention, Memory, QKVInput
from interp.model.config import TransformerConfig
from interp.model.hook_points import HookPoint, scoped
from interp.model.mask import Surroundings
from interp.model.mlp import MLP
from interp.model.norm import Norm
from interp.model.tap import NO_TAP, TapLike

_SPLIT = ("hook_attn_in", "hook_q_input", "hook_k_input", "hook_v_input")


class Block(nn.Module):
    """Self-attention, cross-attention (if `cross`) and feed-forward layer (unless attention-only).

    The norms `ln1`, `ln2`, `ln3` belong to the sub-layers in this order: before each of them in a
    pre-norm block, after the sum with its output in a post-norm one.
    """

    def __init__(self, cfg: TransformerConfig, layer: int, *, cross: bool = False):
        super().__init__()
        self.post_norm = cfg.norm_position == "post"
        self.parallel = cfg.parallel_attn_mlp and not cfg.attn_only
        self.dropout = cfg.dropout
        self.attn = Attention(cfg, "global" if cross else cfg.attention_type(layer))
        self.cross_attn = Attention(cfg, cross=True) if cross else None
        self.mlp = None if cfg.attn_only else MLP(cfg)
        self.n_sublayers = 1 + cross + (not cfg.attn_only)
        self.last_norm = f"ln{self.n_sublayers}"
        for i in range(1, self.n_sublayers + 1):
            self.add_module(f"ln{i}", Norm.from_config(cfg))

    def forward(
        self,
        resid_pre: Tensor,
        around: Surroundings,
        tap: TapLike = NO_TAP,
        memory: Memory | None = None,
        source_memory: Memory | None = None,
    ) -> Tensor:
        """[batch, pos, d_model] -> the same shape.

        Args:
            memory: keys and values of earlier positions, for the self-attention.
            source_memory: the same of the source, for the cross-attention.
        """
        attn, mlp = self.attn, self.mlp  # looked up once: modules find their parts slowly
        resid_pre = tap("hook_resid_pre", resid_pre)
        attn_out = attn(
            self._attention_input(resid_pre, tap),
            around.masks[attn.attention_type],
            tap.scope("attn"),
            around.rotation,
            memory,
        )
        attn_out = tap("hook_attn_out", self._drop(attn_out))
        resid = resid_pre + attn_out
        if self.parallel and mlp is not None:
            return tap("hook_resid_post", resid + self._feed(mlp, resid_pre, tap))
        if self.n_sublayers > 1:
            resid = tap("hook_resid_mid", resid)
            resid = self._normed_after("ln1", resid, tap)
        if self.cross_attn is not None:
            resid = tap(
                "hook_resid_mid_cross", resid + self._cross(resid, around, tap, source_memory)
            )
            if mlp is not None:
                resid = self._normed_after("ln2", resid, tap)
        if mlp is not None:
            resid = resid + self._feed(mlp, resid, tap)
        resid = tap("hook_resid_post", resid)
        if self.post_norm:
            resid = self._normed_after(self.last_norm, resid, tap)
            resid = tap("hook_normalized_resid_post", resid)
        return resid

    def norm(self, name: str) -> Norm:
        norm: Norm = getattr(self, name)
        return norm

    def normed_before(self, name: str, resid: Tensor, tap: TapLike = NO_TAP) -> Tensor:
        """What a sub-layer reads of the stream: its norm in a pre-norm block, else the stream."""
        if self.post_norm:
            return resid
        out: Tensor = self.norm(name)(resid, tap.scope(name))
        return out

    def _normed_after(self, name: str, resid: Tensor, tap: TapLike) -> Tensor:
        if not self.post_norm:
            return resid
        out: Tensor = self.norm(name)(resid, tap.scope(name))
        return out

    def _attention_input(self, resid_pre: Tensor, tap: TapLike) -> QKVInput:
        """The attention's input; one per head if a tap edits those."""
        if tap is NO_TAP:
            return self.normed_before("ln1", resid_pre)
        if not any(tap.edits(name) for name in _SPLIT):
            if any(tap.wants(name) for name in _SPLIT):
                self._split(resid_pre, tap)
            return self.normed_before("ln1", resid_pre, tap)
        in_norm = ("hook_scale", "hook_normalized")
        if not self.post_norm and any(tap.edits(f"ln1.{name}") for name in in_norm):
            raise HookError(
                "The inputs of single heads (hook_attn_in, hook_q_input, hook_k_input, "
                "hook_v_input) and ln1, which they pass through one by one, cannot be edited in "
                "one forward. Edit one of the two."
            )
        self.normed_before("ln1", resid_pre, tap)  # for a tap that looks on
        q, k, v = (self.normed_before("ln1", x) for x in self._split(resid_pre, tap))
        return q, k, v

    def _split(self, resid_pre: Tensor, tap: TapLike) -> tuple[Tensor, Tensor, Tensor]:
        def copies(n: int) -> Tensor:
            return resid_pre.unsqueeze(-2).expand(*resid_pre.shape[:-1], n, resid_pre.shape[-1])

        every = copies(self.attn.n_heads)
        if self.attn.n_kv == self.attn.n_heads:
            grouped = every = tap("hook_attn_in", every)
        else:  # queries and keys have no input in common
            grouped = copies(self.attn.n_kv)
        return (
            tap("hook_q_input", every),
            tap("hook_k_input", grouped),
            tap("hook_v_input", grouped),
        )

    def _cross(
        self, resid: Tensor, around: Surroundings, tap: TapLike, memory: Memory | None
    ) -> Tensor:
        cross_attn, mask = self.cross_attn, around.memory_mask
        assert cross_attn is not None and mask is not None
        x = self.normed_before("ln2", tap("hook_cross_attn_in", resid), tap)
        out = cross_attn(x, mask, tap.scope("cross_attn"), memory=memory, source=around.memory)
        return tap("hook_cross_attn_out", self._drop(out))

    def _feed(self, mlp: nn.Module, resid: Tensor, tap: TapLike) -> Tensor:
        x = self.normed_before(self.last_norm, tap("hook_mlp_in", resid), tap)
        return tap("hook_mlp_out", self._drop(mlp(x, tap.scope("mlp"))))

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout) if self.training and self.dropout else x

    # -- the points, in the order of `forward` ---------------------------------------------------

    def hook_points(self) -> Iterator[HookPoint]:
        stream = "batch pos d_model"
        last = self.last_norm
        yield HookPoint("hook_resid_pre", stream, "the stream that enters the block")
        yield from self._split_points()
        yield from self._norm_points("ln1", before=True)
        yield from scoped("attn", self.attn.hook_points())
        yield HookPoint("hook_attn_out", stream, "what the attention adds to the stream")
        if self.n_sublayers > 1 and not self.parallel:
            yield HookPoint("hook_resid_mid", stream, "the stream after the attention")
            yield from self._norm_points("ln1", before=False)
        if self.cross_attn is not None:
            yield HookPoint("hook_cross_attn_in", stream, "the stream as cross-attention reads it")
            yield from self._norm_points("ln2", before=True)
            yield from scoped("cross_attn", self.cross_attn.hook_points())
            yield HookPoint("hook_cross_attn_out", stream, "what the cross-attention adds")
            yield HookPoint("hook_resid_mid_cross", stream, "the stream after the cross-attention")
            if self.mlp is not None:
                yield from self._norm_points("ln2", before=False)
        if self.mlp is not None:
            yield HookPoint("hook_mlp_in", stream, "the stream as the feed-forward layer reads it")
            yield from self._norm_points(last, before=True)
            yield from scoped("mlp", self.mlp.hook_points())
            yield HookPoint("hook_mlp_out", stream, "what the feed-forward layer adds")
        yield HookPoint("hook_resid_post", stream, "the stream that leaves the block")
        if self.post_norm:
            yield from self._norm_points(last, before=False)
            yield HookPoint("hook_normalized_resid_post", stream, "the stream after its last norm")

    def _norm_points(self, name: str, *, before: bool) -> Iterator[HookPoint]:
        if before != self.post_norm:
            yield from scoped(name, self.norm(name).hook_points())

    def _split_points(self) -> Iterator[HookPoint]:
        heads, kv = "batch pos head d_model", "batch pos kv_head d_model"
        if self.attn.n_kv == self.attn.n_heads:
            yield HookPoint("hook_attn_in", heads, "the stream as each head reads it", "on demand")
        for name, dims in (("q", heads), ("k", kv), ("v", kv)):
            edit = f"the stream as the {name} of each head reads it"
            yield HookPoint(f"hook_{name}_input", dims, edit, "on demand")
