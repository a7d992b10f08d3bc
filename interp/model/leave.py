"""The last block and the head where they are read: elsewhere their output is not used.

In the last block every position is needed as a key and a value, but only the positions that
somebody reads need a query and a feed-forward layer; of a large vocabulary, only the tokens that
are asked for need a row of the unembedding.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from interp.model.core import Transformer
from interp.model.resume import Prefix
from interp.model.stack import Stack, Trace


def leave(
    part: Stack,
    stream: Tensor,
    positions: Sequence[int],
    position_ids: Tensor,
    keys: Tensor | None,
    *,
    trace: Trace | None = None,
    memory_keys: Tensor | None = None,
) -> Tensor:
    """The stream that leaves the last block, at some positions: [n, len(positions), d_model].

    Args:
        stream: what enters the last block, [n, the last positions, d_model].
        positions: that are read; counted from the start of the text.
        position_ids, keys: of the whole text, [1 or n, pos]; keys is True for real tokens, or None
            if all are.
        trace: of the run that the positions before `stream` are from; not needed if it holds all.
        memory_keys: which of the encoder's output is real, for a decoder that reads one.
    """
    block, n_pos = part.blocks[-1], position_ids.shape[1]
    start = n_pos - stream.shape[1]
    before = [position for position in positions if position < start]
    if before:  # nothing there has changed
        assert trace is not None
        late = [position for position in positions if position >= start]
        kept = trace.streams[-1][:, before].expand(stream.shape[0], -1, -1)
        if not late:
            return kept
        rest = leave(part, stream, late, position_ids, keys, trace=trace, memory_keys=memory_keys)
        by_position = dict(zip([*before, *late], torch.cat([kept, rest], 1).unbind(1), strict=True))
        return torch.stack([by_position[position] for position in positions], 1)
    first = min(positions)
    around = part.surroundings(
        position_ids[:, first:],
        n_pos,
        keys,
        stream.dtype,
        None if trace is None else trace.around.memory,
        memory_keys,
    )
    memory = None
    if first:
        rotation = None if part.rotary is None else part.rotary(position_ids, stream.dtype)
        if rotation is not None:
            cos, sin = rotation
            rotation = cos[:, start:first], sin[:, start:first]
        k, v = block.attn.keys_values(
            block.normed_before("ln1", stream[:, : first - start]), rotation
        )
        memory = Prefix(k, v)
        if start:
            assert trace is not None
            own = part.kept_keys_values(trace, len(part.blocks) - 1)
            old_k, old_v = (x[:, :start].expand(len(k), -1, -1, -1) for x in own)
            memory = Prefix(torch.cat([old_k, k], 1), torch.cat([old_v, v], 1))
    out: Tensor = block(stream[:, first - start :], around, memory=memory)
    return out[:, [position - first for position in positions]]


def some_logits(model: Transformer, stream: Tensor, tokens: Sequence[int]) -> Tensor | None:
    """Logits [n, pos, token] of some tokens alone, from the stream that leaves the last block;
    None where the head is no plain unembedding."""
    unembed = model.output.unembed
    if unembed is None or model.output.mlm_head is not None or unembed.soft_cap > 0:
        return None
    x = model.stack(model.last_stack).finish(stream)
    rows = torch.tensor(tokens, device=stream.device)
    bias = None if unembed.bias is None else unembed.bias[rows]
    return F.linear(x if unembed.scale == 1.0 else x * unembed.scale, unembed.weight[rows], bias)
