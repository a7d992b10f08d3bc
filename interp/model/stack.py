"""A stack of blocks with its embeddings and masks: the whole of a decoder or encoder, or one half
of an encoder-decoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from interp.errors import InputError
from interp.model.attention import Memory
from interp.model.block import Block
from interp.model.config import TransformerConfig
from interp.model.embed import Input
from interp.model.hook_points import HookPoint, scoped
from interp.model.mask import Mask, Surroundings, attention_mask
from interp.model.norm import Norm
from interp.model.positions import Alibi, RelativeBias, Rotary
from interp.model.tap import NO_TAP, Tap, TapLike


class Stack(NamedTuple):
    """The modules of one stack, gathered from the model that owns them.

    Attributes:
        name: prefix of its blocks: `blocks`, `encoder` or `decoder`.
        norm_name: name of the final norm.
        input_prefix: prefix of its embedding points, "" or `decoder`.
    """

    cfg: TransformerConfig
    name: str
    norm_name: str
    input_prefix: str
    causal: bool
    embed: nn.Embedding
    input: Input
    blocks: Sequence[Block]
    ln_final: Norm | None
    rotary: Rotary | None
    bias: RelativeBias | Alibi | None

    def begin(
        self,
        tokens: Tensor | None,
        position_ids: Tensor,
        token_type_ids: Tensor | None = None,
        tap: Tap = NO_TAP,
        embedded: Tensor | None = None,
    ) -> Tensor:
        """[batch, pos] -> the stream that enters block 0, [batch, pos, d_model]."""
        scope: TapLike = tap.scope(self.input_prefix) if self.input_prefix else tap
        if embedded is None:
            assert tokens is not None
            embedded = self.embed(tokens)
        out: Tensor = self.input(embedded, position_ids, token_type_ids, scope)
        return out

    def surroundings(
        self,
        position_ids: Tensor,
        n_key: int,
        keys: Tensor | None,
        dtype: torch.dtype,
        memory: Tensor | None = None,
        memory_keys: Tensor | None = None,
    ) -> Surroundings:
        """Masks, biases and rotation for the last positions of `n_key`.

        Args:
            position_ids: [batch or 1, pos] of the positions to compute.
            keys: [batch, key_pos], True for real tokens; None if all are.
            memory, memory_keys: the encoder's output and which of it is real.
        """
        n_query, device = position_ids.shape[1], position_ids.device
        bias = None
        if self.bias is not None:
            bias = self.bias(n_query, n_key, n_key - n_query)

        def mask(window: int) -> Mask:
            return attention_mask(
                n_query,
                n_key,
                causal=self.causal,
                device=device,
                dtype=dtype,
                window=window,
                keys=keys,
                bias=bias,
            )

        masks = {"global": mask(0)}
        if self.cfg.use_local_attn:
            masks["local"] = mask(self.cfg.window_size)
        memory_mask = None
        if memory is not None:
            memory_mask = attention_mask(
                n_query,
                memory.shape[1],
                causal=False,
                device=device,
                dtype=dtype,
                keys=memory_keys,
            )
        rotation = None if self.rotary is None else self.rotary(position_ids, dtype)
        return Surroundings(masks, rotation, memory, memory_mask)

    def run(
        self,
        resid: Tensor,
        around: Surroundings,
        tap: Tap = NO_TAP,
        *,
        start: int = 0,
        stop: int | None = None,
        memories: Sequence[Memory] | None = None,
        source_memories: Sequence[Memory] | None = None,
        trace: Trace | None = None,
    ) -> Tensor:
        """The stream after blocks `start` to `stop`, [batch, pos, d_model].

        Args:
            start, stop: the blocks from `start` to before `stop`; negative counts from the end.
            memories, source_memories: keys and values from earlier forwards, one per block.
            trace: receives the stream that enters each block, and the one that leaves the last.

        Raises:
            InputError: there is no such layer, or `stop` lies before `start`.
        """
        blocks = list(self.blocks)
        for i in self.layers(start, stop):
            if trace is not None:
                trace.streams.append(resid.detach())
            resid = blocks[i](
                resid,
                around,
                tap.scope(f"{self.name}.{i}"),
                None if memories is None else memories[i],
                None if source_memories is None else source_memories[i],
            )
        if trace is not None:
            trace.streams.append(resid.detach())
        return resid

    def finish(self, resid: Tensor, tap: Tap = NO_TAP) -> Tensor:
        """The final norm, where there is one."""
        if self.ln_final is None:
            return resid
        out: Tensor = self.ln_final(resid, tap.scope(self.norm_name))
        return out

    def kept_keys_values(self, trace: Trace, layer: int) -> tuple[Tensor, Tensor]:
        """Keys and values of all positions of a run in a block, [batch, pos, kv_head, d_head]."""
        if layer not in trace.keys_values:
            block = self.blocks[layer]
            with torch.no_grad():
                x = block.normed_before("ln1", trace.streams[layer])
                trace.keys_values[layer] = block.attn.keys_values(x, trace.around.rotation)
        return trace.keys_values[layer]

    def layers(self, start: int, stop: int | None) -> range:
        """The blocks from `start` to before `stop`; see `run`."""
        n_layers = len(self.blocks)
        start = _layer(start, n_layers, "start_at_layer")
        stop = n_layers if stop is None else _layer(stop, n_layers, "stop_at_layer")
        if stop < start:
            raise InputError(
                f"stop_at_layer is {stop}, which lies before layer {start}, where this forward "
                "starts."
            )
        return range(start, stop)

    def hook_points(self, start: int | None = None, stop: int | None = None) -> Iterator[HookPoint]:
        """The points in firing order: from those of block `start` (None: of the embeddings) to
        those before block `stop` (None: to the final norm's)."""
        if start is None:
            points = self.input.hook_points()
            yield from scoped(self.input_prefix, points) if self.input_prefix else points
        for i in self.layers(start or 0, stop):
            yield from scoped(f"{self.name}.{i}", self.blocks[i].hook_points())
        if stop is None and self.ln_final is not None:
            yield from scoped(self.norm_name, self.ln_final.hook_points())


def _layer(index: int, n_layers: int, what: str) -> int:
    """A layer counted from the start."""
    if not -n_layers <= index <= n_layers:
        raise InputError(f"{what} is {index}; the model has the layers 0 to {n_layers - 1}.")
    return index + n_layers if index < 0 else index


@dataclass
class Trace:
    """What one stack leaves of a forward, enough to recompute anything in it block by block.

    Attributes:
        streams: the stream that entered each block, and the one that left the last:
            n_layers + 1 tensors [batch, pos, d_model].
        around: masks, rotation and memory.
        position_ids, keys: of the positions.
        keys_values: of all positions, by block; filled as they are needed.
    """

    around: Surroundings
    position_ids: Tensor
    keys: Tensor | None
    streams: list[Tensor] = field(default_factory=list)
    keys_values: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def tensors(self) -> Iterator[Tensor]:
        """All that it holds."""
        yield from self.streams
        yield from self.around.tensors()
        yield self.position_ids
        if self.keys is not None:
            yield self.keys
        for pair in self.keys_values.values():
            yield from pair
