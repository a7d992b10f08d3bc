"""One text on one model, and the same run with a part of it changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.head import read_entering, read_terms
from interp.explain.reading import (
    finite,
    read_decoder_tokens,
    read_inputs,
    read_tokens,
    refuse_dropout,
)
from interp.explain.resolved import ResolvedTarget
from interp.explain.target import Target
from interp.model.ambient import ambient_tap
from interp.model.core import Transformer
from interp.model.hook_points import NamesFilter
from interp.model.tap import NO_TAP, Tap

TOKENS = 2048  # in one forward; beyond it, memory grows and speed does not

_MASKS = {"decoder": "decoder_attention_mask"}


def block_of(name: str) -> tuple[str, int]:
    """The stack and the layer that an activation lies in.

    Raises:
        InputError: it lies outside the blocks.
    """
    found = re.match(r"(blocks|encoder|decoder)\.(\d+)\.", name)
    if found is None:
        raise InputError(
            f"{name} lies outside the blocks; give the stream before the first block "
            "(hook_resid_pre) or after the last (hook_resid_post) instead."
        )
    return found[1], int(found[2])


class Edit(Tap):
    """Changes one activation.

    Args:
        name: full name.
    """

    def __init__(self, name: str):
        self.name = name

    def wants(self, name: str) -> bool:
        return name == self.name

    edits = wants


class Splice(Edit):
    """Puts parts of another run's activation in place of a run's own.

    Args:
        where: True where the other run's value goes; broadcast against the activation.
        other: the other run's activation, [1, ...].
    """

    def __init__(self, name: str, where: Tensor, other: Tensor):
        super().__init__(name)
        self.where = where
        self.other = other

    def visit(self, name: str, value: Tensor) -> Tensor:
        return torch.where(self.where, self.other, value)

    def from_position(self, first: int, axis: int) -> Splice:
        """The same for a run that is resumed at a position; `axis` is that of the positions."""

        def cut(x: Tensor) -> Tensor:
            return x if x.shape[axis] == 1 else x.narrow(axis, first, x.shape[axis] - first)

        return Splice(self.name, cut(self.where), cut(self.other))

    def behind(self, n: int) -> Splice:
        """The same for a batch whose first `n` rows are others' and stay as they are."""
        none = torch.zeros_like(self.where[:1]).expand(n, *self.where.shape[1:])
        return Splice(self.name, torch.cat([none, self.where]), self.other)


@dataclass(frozen=True)
class Run:
    """One text on one model.

    Attributes:
        tokens: ids [1, pos] that the model reads first: the text, or the source of a pair.
        inputs: the further inputs of the forward.
        continuation: ids that the target reads behind the text.
        logits: what the model made of it.
        cache: the activations: of the whole run where it can be resumed, else of the names that
            were asked for.
        resumable: whether runs with changes can go on from this one. Another library's model, or
            one inside a `hooks()` context, runs from the start each time.
    """

    model: Any
    tokens: Tensor
    inputs: dict[str, Any]
    continuation: tuple[int, ...]
    logits: Tensor
    cache: Any
    resumable: bool

    @classmethod
    def read(
        cls,
        model: Any,
        text: str | Tensor | list[int],
        target: Target,
        inputs: dict[str, Any] | None = None,
        names: NamesFilter = (),
    ) -> Run:
        """Encodes the text (with the target's continuation behind it) and runs the model on it.

        Args:
            names: activations to keep of a run that cannot be resumed.

        Raises:
            InputError: several texts, a model that drops activations at random, or what the model
                or the target refuses.
        """
        refuse_dropout(model)
        tokens, inputs = read_tokens(model, text), read_inputs(inputs or {})
        pair = model.cfg.shape == "encoder_decoder"
        written = read_decoder_tokens(model, inputs) if pair else tokens
        written, continuation = target.continued(model, written)
        mask = "decoder_attention_mask" if pair else "attention_mask"
        if continuation and inputs.get(mask) is not None:
            raise InputError("A continuation needs a text without padding; leave its mask out.")
        if pair:
            inputs["decoder_tokens"] = written
        else:
            tokens = written
        resumable = isinstance(model, Transformer) and ambient_tap(model) is NO_TAP
        with torch.no_grad():
            logits, cache = model.run_with_cache(
                tokens, names_filter=None if resumable else names, return_type="logits", **inputs
            )
        return cls(model, tokens, inputs, continuation, logits, cache, resumable)

    # -- the text --------------------------------------------------------------------------------

    def ids(self, stack: str) -> Tensor:
        """[pos], what a stack reads."""
        ids: Tensor = self.inputs["decoder_tokens"] if stack == "decoder" else self.tokens
        return ids[0]

    def mask(self, stack: str) -> Tensor | None:
        """[1, pos], not 0 for real tokens; None if all are."""
        mask: Tensor | None = self.inputs.get(_MASKS.get(stack, "attention_mask"))
        return mask

    def texts(self, stack: str) -> list[str]:
        """The text of each token, or its number where there is no tokenizer."""
        ids = self.ids(stack)
        if self.model.tokenizer is None:
            return [str(i) for i in ids.tolist()]
        return [str(text) for text in self.model.to_str_tokens(ids)]

    @property
    def last_stack(self) -> str:
        """The stack that the logits are read from."""
        return "decoder" if self.model.cfg.shape == "encoder_decoder" else "blocks"

    # -- the target ------------------------------------------------------------------------------

    def resolve(self, target: Target) -> ResolvedTarget:
        """The target, its tokens and positions those of this run."""
        ids, mask = self.ids(self.last_stack)[None], self.mask(self.last_stack)
        return target.resolve(self.model, self.logits, ids, mask, self.continuation)

    def value(self, target: ResolvedTarget) -> float:
        """The target of this run."""
        return float(finite(target(self.logits), "target"))

    def edited(
        self, target: ResolvedTarget, edit: Edit, n: int, stack: str, layer: int, first: int = 0
    ) -> Tensor:
        """The target of `n` copies of this run, each edited in its own way, [n], in one forward.

        Args:
            edit: of an activation in the block `layer` of `stack`, at the positions from `first`.
            first: the first position that the edit can reach; not 0 for resumable runs alone.
        """
        if not self.resumable:
            return target(self._from_the_start(edit, n))
        model = self.model
        streams = self.cache.require_replay().traces[stack].streams
        n_blocks = len(model.stack(self.last_stack).blocks)
        # A change in the encoder, or in the last block itself, reaches all of that block.
        ends_early = target.positions is not None and stack == self.last_stack
        ends_early = ends_early and layer < n_blocks - 1
        out = model.resume(
            self.cache,
            layer,
            first,
            resid=streams[layer][:, first:].expand(n, -1, -1),
            tap=edit,
            stack=stack,
            stop_at_layer=n_blocks - ends_early,
        )
        if ends_early:
            return read_entering(model, target, out, self.cache).sum(-1)
        return self._read(target, out)

    def swept(
        self, target: ResolvedTarget, splices: Mapping[int, Splice], stack: str, first: int
    ) -> Tensor:
        """The target of copies of this run, each with a splice in one of several blocks, [n], in
        the order of the blocks. Copies join the batch where they begin to differ, so that one
        forward serves all of them and none of it is computed in vain.

        Args:
            splices: block -> what is put there, a row per copy, at the positions from `first`; not
                in the last block.
            stack: the one that the logits are read from.
        """
        assert self.resumable and stack == self.last_stack and target.positions is not None
        streams = self.cache.require_replay().traces[stack].streams
        batch = streams[0][:0, first:]
        for layer in range(min(splices), len(streams) - 2):
            tap: Tap = NO_TAP
            if layer in splices:
                splice = splices[layer].behind(len(batch))
                own = streams[layer][:, first:].expand(len(splice.where) - len(batch), -1, -1)
                batch, tap = torch.cat([batch, own]), splice
            batch = self.model.resume(
                self.cache, layer, first, resid=batch, tap=tap, stop_at_layer=layer + 1
            )
        return read_entering(self.model, target, batch, self.cache).sum(-1)

    def _from_the_start(self, edit: Edit, n: int) -> Tensor:
        inputs = {
            name: value.expand(n, *value.shape[1:]) if isinstance(value, Tensor) else value
            for name, value in self.inputs.items()
        }

        def put(value: Tensor, hook: Any) -> Tensor:
            return edit.visit(hook.name, value)

        out: Tensor = self.model.run_with_hooks(
            self.tokens.expand(n, -1), fwd_hooks=[(edit.name, put)], **inputs
        )
        return out

    def _read(self, target: ResolvedTarget, stream: Tensor) -> Tensor:
        """The target of the last positions of the stream that leaves the last block; the earlier
        ones are this run's own. Over a large vocabulary the head is most of the work, so it reads
        the target's positions only."""
        own = self.cache.require_replay().traces[self.last_stack].streams[-1]
        before = own[:, : own.shape[1] - stream.shape[1]].expand(len(stream), -1, -1)
        stream = torch.cat([before, stream], 1) if before.shape[1] else stream
        if target.positions is None:
            return target(self.model.finish(stream, self.mask(self.last_stack)))
        return read_terms(self.model, target, stream[:, list(target.positions)]).sum(-1)
