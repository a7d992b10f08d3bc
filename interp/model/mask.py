"""Who may look at whom: causal, sliding-window and padding masks, and biases on scores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from interp.model.positions import Rotation


class Mask(NamedTuple):
    """The pairs of positions between which attention may flow.

    Attributes:
        allowed: [batch or 1, 1, query_pos, key_pos], True where it may; None if everywhere, or if
            `is_causal` says it all.
        bias: added to the scores, [1, head, query_pos, key_pos], or None.
        is_causal: nothing but the triangle of a square of positions: the fused kernel's own case.
        fused: allowed and bias as one argument of the fused kernel, or None.
    """

    allowed: Tensor | None = None
    bias: Tensor | None = None
    is_causal: bool = False
    fused: Tensor | None = None

    def apply(self, scores: Tensor) -> Tensor:
        """Scores [batch, head, query_pos, key_pos] with the bias, and -inf where none may flow."""
        if self.bias is not None:
            scores = scores + self.bias.to(scores.dtype)
        allowed = self.allowed
        if self.is_causal:
            allowed = scores.new_ones(scores.shape[-2:], dtype=torch.bool).tril()
        return scores if allowed is None else scores.masked_fill(~allowed, -torch.inf)

    def tensors(self) -> Iterator[Tensor]:
        """All that it holds."""
        return (x for x in (self.allowed, self.bias, self.fused) if x is not None)


def attention_mask(
    n_query: int,
    n_key: int,
    *,
    causal: bool,
    device: torch.device,
    dtype: torch.dtype,
    window: int = 0,
    keys: Tensor | None = None,
    bias: Tensor | None = None,
) -> Mask:
    """The mask for the last `n_query` of `n_key` positions.

    Args:
        causal: a query sees no later key.
        dtype: of the scores.
        window: a query sees its latest `window` keys only; 0 for no limit.
        keys: [batch, key_pos], True where a key is a real token.
        bias: added to the scores.
    """
    allowed = None
    first = n_key - n_query
    windowed = 0 < window < n_key
    if causal and (n_query > 1 or windowed):
        if first == 0 and not windowed and keys is None and bias is None:
            return Mask(is_causal=True)
        query = torch.arange(first, n_key, device=device)[:, None]
        key = torch.arange(n_key, device=device)[None, :]
        allowed = key <= query
        if windowed:
            allowed = allowed & (key > query - window)
        allowed = allowed[None, None]
        if keys is not None:
            # A padding query may see nothing real: it looks at itself, so that no softmax is
            # empty and no NaN arises. No real query sees it.
            allowed = (allowed & keys[:, None, None, :]) | (key == query)[None, None]
    elif keys is not None:
        allowed = keys[:, None, None, :]
    if bias is None:
        return Mask(allowed, fused=allowed)
    fused = bias.to(dtype)
    if allowed is not None:
        fused = fused.masked_fill(~allowed, -torch.inf)
    return Mask(allowed, bias, fused=fused)


class Surroundings(NamedTuple):
    """What all blocks of a stack share in one forward, apart from the residual stream.

    Attributes:
        masks: by type of attention layer (`global`, `local`).
        rotation: cos and sin of the positions, for rotary models.
        memory: the encoder's output, [batch, source_pos, d_model], for cross-attention.
        memory_mask: which source positions cross-attention may see.
    """

    masks: dict[str, Mask]
    rotation: Rotation | None = None
    memory: Tensor | None = None
    memory_mask: Mask | None = None

    def detach(self) -> Surroundings:
        """Without autograd's graph of the encoder, which holds every activation in it."""
        return self if self.memory is None else self._replace(memory=self.memory.detach())

    def tensors(self) -> Iterator[Tensor]:
        """All that it holds."""
        for mask in (*self.masks.values(), self.memory_mask):
            yield from () if mask is None else mask.tensors()
        yield from self.rotation or ()
        if self.memory is not None:
            yield self.memory
