"""Reading a target from a stream, and no more of the model than it takes."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from interp.explain.resolved import ResolvedTarget
from interp.model.core import Transformer
from interp.model.leave import leave, some_logits
from interp.model.stack import Trace


def read_terms(model: Transformer, target: ResolvedTarget, stream: Tensor) -> Tensor:
    """The target [n, term] of what leaves the last block at its positions, [n, position, d_model].

    Over a large vocabulary the head is most of the work, so it gives the tokens that are read.
    """
    few = target.few_tokens
    if few is not None:
        tokens, narrow = few
        logits = some_logits(model, stream, tokens)
        if logits is not None:
            return narrow.read_terms(logits)
    return target.read_terms(model.finish(stream))


def read_entering(
    model: Transformer,
    target: ResolvedTarget,
    stream: Tensor,
    cache: Any,
) -> Tensor:
    """The target [n, term] of what enters the last block, [n, the last positions, d_model].

    Args:
        cache: of the run that the positions before `stream` are from.
    """
    assert target.positions is not None
    replay = cache.require_replay()
    part = model.stack(model.last_stack)
    trace: Trace = replay.traces[part.name]
    out = leave(
        part,
        stream,
        target.positions,
        trace.position_ids,
        trace.keys,
        trace=trace,
        memory_keys=replay.batch.mask if trace.around.memory is not None else None,
    )
    return read_terms(model, target, out)
