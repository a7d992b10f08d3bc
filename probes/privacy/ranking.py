"""The exact rank of one sequence among all of a tree, for many prompts at once.

What remains of a sequence can only lower its probability, so a beginning that is already less
probable than the secret holds nothing that outranks it, and its whole subtree is left out. A secret
that the model knows by heart then costs a handful of forwards; one that it knows nothing of costs
one for each beginning. The rank is the same as if all were scored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interp.errors import InputError, UnsupportedModelError
from interp.model.continuation import Continuation, Prompt, check_logits
from interp.model.inputs import read_inputs
from interp.model.tap import NO_TAP
from interp.model.transformer import HookedTransformer
from probes.privacy.tree import Ints, Tree

Floats = NDArray[np.float64]

_BYTES = 2**25
"""Of keys and values that one batch of beginnings holds."""


@dataclass(frozen=True)
class _Front:
    """Beginnings of equal length that are still to be read, a row each.

    Attributes:
        trunk: what has been read; row `row[i]` of it is what beginning i goes on from.
        node: [beginning], the place in the tree, its token not yet read.
        owner: [beginning], which prompt.
        log_prob: [beginning], of its tokens.
    """

    trunk: Continuation
    row: Ints
    node: Ints
    owner: Ints
    log_prob: Tensor

    def __len__(self) -> int:
        return len(self.node)

    def split(self, rows: int) -> list[_Front]:
        cuts = [slice(i, i + rows) for i in range(0, len(self), rows)]
        return [
            _Front(self.trunk, self.row[c], self.node[c], self.owner[c], self.log_prob[c])
            for c in cuts
        ]


@torch.inference_mode()
def ranks(
    model: HookedTransformer,
    tokens: Tensor,
    mask: Tensor | None,
    tree: Tree,
    secrets: Sequence[Sequence[int]],
    *,
    on_done: Callable[[int], object] = lambda n: None,
) -> Ints:
    """The rank of each secret among all sequences of the tree after its prompt, [prompt].

    Rank 1 is the most probable. What is exactly as probable counts as more probable, so a model
    that tells nothing apart puts every secret last.

    Args:
        tokens: prompts [prompt, pos]; of an encoder-decoder, sources.
        mask: [prompt, pos], True for real tokens; None if all are.
        secrets: the tokens of each prompt's own sequence.
        on_done: told how many beginnings have been read.

    Raises:
        UnsupportedModelError: the model gives sequences no probability of their own.
        InputError: prompts that leave no room, or a secret that is not in the tree.
    """
    if model.cfg.shape == "encoder" or model.cfg.head != "lm":
        raise UnsupportedModelError(
            f"A model of shape {model.cfg.shape} with the head {model.cfg.head!r} gives no "
            "probability to what follows; canaries are ranked with decoders and encoder-decoders. "
            "For others use membership."
        )
    prompt = Prompt.of(model, read_inputs(model, tokens, attention_mask=mask))
    if max(prompt.lengths) + tree.depth - 1 > model.cfg.n_ctx:
        raise InputError(
            f"A prompt of {max(prompt.lengths)} tokens leaves no room for secrets of {tree.depth} "
            f"in the context of {model.cfg.n_ctx}."
        )
    own = np.array([tree.find(secret) for secret in secrets])
    root = Continuation(model, prompt, tree.depth, NO_TAP, use_cache=True)
    first = _log_softmax(root.start())
    target = _follow(root, first, secrets)
    rows = np.arange(len(own))
    found = np.ones(len(own), np.int64)
    widest = _rows_at_once(model, root)
    seen = _Seen(tree, own, target, found)
    start = _Front(root, rows, np.zeros_like(rows), rows, torch.zeros_like(target))
    fronts = seen.children(start, first, root).split(widest)
    while fronts:
        front = fronts.pop()
        here = front.trunk.fork(torch.as_tensor(front.row, device=target.device))
        read = torch.as_tensor(tree.token[front.node], device=target.device)
        after = _log_softmax(here.step(read))
        fronts += seen.children(front, after, here).split(widest)
        on_done(len(front))
    return found


@dataclass(frozen=True)
class _Seen:
    """What has been found so far: `found` grows with every sequence that outranks a secret."""

    tree: Tree
    own: Ints
    target: Tensor
    found: Ints

    def children(self, front: _Front, log_p: Tensor, here: Continuation) -> _Front:
        """What is still to be read behind a front, given the log-probabilities after it
        [beginning, d_vocab]; sequences that end there are compared."""
        start, stop = self.tree.start[front.node], self.tree.start[front.node + 1]
        row = np.repeat(np.arange(len(front)), stop - start)
        first = np.repeat(stop - np.cumsum(stop - start), stop - start)
        node = first + np.arange(len(row))
        owner = front.owner[row]
        rows = torch.as_tensor(row, device=log_p.device)
        token = torch.as_tensor(self.tree.token[node], device=log_p.device)
        log_prob = front.log_prob[rows] + log_p[rows, token]
        reaches = (log_prob >= self.target[torch.as_tensor(owner, device=log_p.device)]).cpu()
        alive = reaches.numpy()
        leaf = self.tree.is_leaf[node]
        ahead = alive & leaf & (node != self.own[owner])
        np.add.at(self.found, owner[ahead], 1)
        on = alive & ~leaf
        kept = log_prob[torch.as_tensor(on, device=log_p.device)]
        return _Front(here, row[on], node[on], owner[on], kept)


def _follow(root: Continuation, first: Tensor, secrets: Sequence[Sequence[int]]) -> Tensor:
    """log p of each secret, [prompt]."""
    here, after = root.fork(torch.arange(len(secrets), device=first.device)), first
    total = first.new_zeros(len(secrets))
    for place in range(max(map(len, secrets))):
        # Shorter ones are filled up with any token; nothing is added for it.
        ids = [secret[place] if place < len(secret) else secret[-1] for secret in secrets]
        counts = torch.tensor([place < len(secret) for secret in secrets], device=first.device)
        token = torch.tensor(ids, device=first.device)
        gained = after.gather(1, token[:, None])[:, 0]
        total += torch.where(counts, gained, 0.0)
        if place + 1 < max(map(len, secrets)):
            after = _log_softmax(here.step(token))
    return total


def _log_softmax(logits: Tensor) -> Tensor:
    check_logits(logits)
    return (logits if logits.dtype == torch.float64 else logits.float()).log_softmax(-1)


def _rows_at_once(model: HookedTransformer, root: Continuation) -> int:
    """Rows whose keys and values fit the memory that is set aside for them."""
    assert root.cache is not None
    layers = [*root.cache.layers, *root.cache.cross_layers]
    held = [t for layer in layers for t in (layer.k, layer.v) if t is not None]
    row = sum(t[0].numel() * t.element_size() for t in held)
    logits = 8 * model.cfg.d_vocab_out
    return max(16, _BYTES // (row + logits))
