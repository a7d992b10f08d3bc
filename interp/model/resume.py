"""Continuing a forward from a cache: what a change cannot reach is not computed again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from interp.errors import InputError
from interp.model.attention import Memory
from interp.model.partial import refuse_unheard
from interp.model.replay import Replay
from interp.model.stack import Stack, Trace
from interp.model.tap import NO_TAP, Tap

if TYPE_CHECKING:
    from interp.model.cache import ActivationCache
    from interp.model.core import Transformer


class Prefix:
    """Keys and values of the positions before the resumed ones, [1 or batch, pos, kv, d_head]."""

    def __init__(self, k: Tensor, v: Tensor):
        self.k, self.v = k, v

    def extend(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        batch = k.shape[0]
        before_k = self.k.expand(batch, *self.k.shape[1:])
        before_v = self.v.expand(batch, *self.v.shape[1:])
        return torch.cat([before_k, k], 1), torch.cat([before_v, v], 1)

    def once(self, project: Callable[[], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """Cross-attention has no earlier positions; its keys and values are projected anew."""
        return project()


def resume(
    model: Transformer,
    cache: ActivationCache,
    layer: int,
    position: int = 0,
    *,
    resid: Tensor | None = None,
    tap: Tap = NO_TAP,
    stack: str | None = None,
    stop_at_layer: int | None = None,
) -> Tensor:
    """The logits of a run that is continued from block `layer`, at the positions from `position`.

    Args:
        cache: of a whole run (`run_with_cache(tokens)`).
        layer: first block to compute; `n_layers` computes the final norm and the head only.
        position: first position to compute; more than 0 for causal stacks only, where earlier
            positions cannot see a change at this one. Their keys and values come from the cache.
        resid: [n, pos - position, d_model], the stream to go on with instead of the kept one:
            n variants in one batch, where the cache is of a batch of 1 or of n.
        tap: observes or edits what is computed.
        stack: of an encoder-decoder, the one that `layer` counts in; by default the decoder.
        stop_at_layer: return the stream that enters this block (of the last stack) instead.

    Returns:
        Logits [batch or n, pos - position, d_vocab_out] (or of the shape of the head).

    Raises:
        CacheError: the cache cannot be resumed, or the weights have changed.
        InputError: layer or position out of range, or `resid` of another shape.
        HookError: the tap needs a point that is not computed again.
    """
    replay = cache.require_replay()
    replay.check_weights()
    name = stack or model.last_stack
    if name not in replay.traces:
        raise InputError(f"The model has the stacks {', '.join(replay.traces)}, not {name!r}.")
    part, trace = model.stack(name), replay.traces[name]
    n_pos = trace.streams[0].shape[1]
    if not 0 <= layer <= len(part.blocks):
        raise InputError(f"layer is {layer}; {name} has the layers 0 to {len(part.blocks)}.")
    if not 0 <= position < n_pos or (position and not part.causal):
        raise InputError(
            f"position is {position}; it must lie in 0 to {n_pos - 1}, and be 0 in a stack that "
            "is not causal, where every position sees every other."
        )
    refuse_unheard(model, tap, layer, stop_at_layer, name)
    start = trace.streams[layer][:, position:]
    if resid is None:
        resid = start
    elif resid.ndim != 3 or resid.shape[1:] != start.shape[1:]:
        raise InputError(
            f"resid has shape {list(resid.shape)}; from position {position} the stream is "
            f"[n, {start.shape[1]}, {start.shape[2]}]."
        )
    elif 1 not in (start.shape[0], resid.shape[0]) and start.shape[0] != resid.shape[0]:
        raise InputError(
            f"resid has {resid.shape[0]} rows and the cache {start.shape[0]}; one of them must "
            "be 1, or both equal."
        )
    if name == model.last_stack:
        return _continue(model, replay, part, trace, layer, position, resid, tap, stop_at_layer)
    out = part.run(resid, trace.around, tap, start=layer)
    return _decode(model, replay, part.finish(out, tap), trace.keys, tap, stop_at_layer)


def _continue(
    model: Transformer,
    replay: Replay,
    part: Stack,
    trace: Trace,
    layer: int,
    position: int,
    resid: Tensor,
    tap: Tap,
    stop: int | None,
) -> Tensor:
    around = trace.around
    prefixes: list[Memory] | None = None
    if position:
        around = part.surroundings(
            trace.position_ids[:, position:],
            trace.position_ids.shape[1],
            trace.keys,
            resid.dtype,
            around.memory,
            replay.batch.mask if around.memory is not None else None,
        )
        prefixes = _prefixes(part, trace, layer, position)
    resid = part.run(resid, around, tap, start=layer, stop=stop, memories=prefixes)
    if stop is not None:
        return resid
    mask = trace.keys
    if model.cfg.head == "classification":  # it reads one position of all, or their mean
        before = trace.streams[-1][:, :position]
        resid = torch.cat([before.expand(resid.shape[0], *before.shape[1:]), resid], 1)
    elif mask is not None:
        mask = mask[:, position:]
    return model.finish(resid, mask, tap)


def _prefixes(part: Stack, trace: Trace, layer: int, position: int) -> list[Memory]:
    """Keys and values of the positions before `position`, for every block from `layer` on."""
    nothing: Memory = Prefix(torch.empty(0), torch.empty(0))
    kept = [part.kept_keys_values(trace, i) for i in range(layer, len(part.blocks))]
    return [nothing] * layer + [Prefix(k[:, :position], v[:, :position]) for k, v in kept]


def _decode(
    model: Transformer,
    replay: Replay,
    memory: Tensor,
    memory_keys: Tensor | None,
    tap: Tap,
    stop: int | None,
) -> Tensor:
    """The whole decoder of an encoder-decoder, on a changed encoder output."""
    part = model.stack(model.last_stack)
    trace = replay.traces[part.name]
    n_pos = trace.position_ids.shape[1]
    tokens, mask = replay.batch.of(part.name)
    resid = part.begin(tokens, trace.position_ids, None, tap)
    resid = resid.expand(memory.shape[0], *resid.shape[1:])
    around = part.surroundings(
        trace.position_ids, n_pos, trace.keys, resid.dtype, memory, memory_keys
    )
    resid = part.run(resid, around, tap, stop=stop)
    return resid if stop is not None else model.finish(resid, mask, tap)
