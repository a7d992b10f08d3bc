"""A text as embeddings that can be moved, and a target as a function of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.baseline import Baseline
from interp.explain.head import read_entering
from interp.explain.reading import (
    finite,
    in_full_precision,
    read_decoder_tokens,
    read_inputs,
    read_tokens,
    refuse_dropout,
)
from interp.explain.resolved import ResolvedTarget
from interp.explain.target import Target
from interp.explain.units import Units, UnitSpec, divide
from interp.model.ambient import ambient_tap, within
from interp.model.core import Transformer
from interp.model.hooked import HookList
from interp.model.tap import NO_TAP, Tap

TOKENS = 1024  # in one forward; beyond it, memory grows and speed does not

SOURCE, DECODER = "hook_embed", "decoder.hook_embed"


@dataclass
class Point:
    """One text on one model, seen as a function from embeddings to the target.

    Attributes:
        model: what is run: the model, or a copy in float32 of one in half precision.
        edited: whether hooks of contexts around the call act on the model.
        around: a context that brings them to `model`.
        parts: name of an embedding point -> its token ids [1, pos]; an encoder-decoder has two.
        inputs: further inputs of the forward, for one text.
        cache: of the run on the text, to resume from; None where that cannot be.
        embedded: all parts behind one another, [pos, d_model].
        held: [pos], True where every baseline is as the text: padding, what a causal model does not
            read, and a fixed answer.
        baselines: the embeddings of each baseline, [baseline, pos, d_model].
        target: what is explained.
        units: what gets one score each.
        rows: copies of the text in one forward.
        ends: the target at the text and at each baseline, [1 + baseline, term], float64.
        forwards, backwards: passes so far, per copy of the text.
    """

    model: Any
    edited: bool
    around: Callable[[], AbstractContextManager[None]]
    parts: dict[str, Tensor]
    inputs: dict[str, Any]
    cache: Any
    embedded: Tensor
    held: Tensor
    baselines: Tensor
    target: ResolvedTarget
    units: Units
    rows: int
    ends: Tensor = field(default_factory=lambda: torch.zeros(1, 1))
    forwards: int = 1  # the one that finds the embeddings and the model's own prediction
    backwards: int = 0

    @classmethod
    def read(
        cls,
        model: Any,
        text: str | Tensor | list[int],
        target: Target,
        baseline: Baseline,
        inputs: dict[str, Any],
        units: UnitSpec = "tokens",
        batch_size: int | None = None,
    ) -> Point:
        """Encodes the text and runs the model on it and on its baseline.

        Raises:
            InputError: several texts, a model that drops activations at random, or what the
                model, target or baseline refuse.
        """
        refuse_dropout(model)
        tokens, inputs = read_tokens(model, text), read_inputs(inputs)
        parts = {SOURCE: tokens}
        if model.cfg.shape == "encoder_decoder":
            parts[DECODER] = read_decoder_tokens(model, inputs)
        written = list(parts)[-1]
        parts[written], continuation = target.continued(model, parts[written])
        if continuation and inputs.get(_MASKS[written]) is not None:
            raise InputError("A continuation needs a text without padding; leave its mask out.")
        if DECODER in parts:
            inputs["decoder_tokens"] = parts[DECODER]
        edits, original = ambient_tap(model), model
        model = in_full_precision(model)

        def around() -> AbstractContextManager[None]:
            # A copy is not the model that the contexts around this call are about.
            return nullcontext() if model is original else within(model, edits)

        edited = edits is not NO_TAP
        resumable = isinstance(model, Transformer) and not edited and not model.training
        names = None if resumable else list(parts)
        with torch.no_grad(), around():
            logits, cache = model.run_with_cache(
                parts[SOURCE], names_filter=names, return_type="logits", **inputs
            )
            embedded = torch.cat([cache[name] for name in parts], 1)[0]
        resolved = target.resolve(
            model, logits, parts[written], inputs.get(_MASKS[written]), continuation
        )
        held = _padding(parts, inputs)
        if model.cfg.shape != "encoder" and resolved.positions is not None and not edited:
            last = max(resolved.positions)  # a causal model does not read what comes after it
            held[len(held) - parts[written].shape[1] + last + 1 :] = True
        if target.fixed and len(continuation) > 1:
            held[1 - len(continuation) :] = True
        point = cls(
            model,
            edited,
            around,
            parts,
            inputs,
            cache if resumable else None,
            embedded,
            held,
            baseline.of_parts(model, parts, embedded, held),
            resolved,
            Units((), (), ()),
            _rows(batch_size, len(embedded)),
        )
        point.units = divide(
            units, point.token_ids, point.side, point.token_texts(), model.tokenizer
        )
        return point.settle()

    def settle(self) -> Self:
        """Computes the target at the text and at the baselines, after one of them was set."""
        with torch.no_grad():
            ends = torch.cat([self.embedded[None], self.baselines]).split(self.rows)
            self.ends = torch.cat([self.terms(part) for part in ends]).double()
        finite(self.ends, "target")
        return self

    @property
    def value(self) -> float:
        """The target at the text."""
        return float(self.ends[0].sum())

    @property
    def baseline_values(self) -> tuple[float, ...]:
        """The target at each baseline."""
        return tuple(self.ends[1:].sum(-1).tolist())

    @property
    def baseline_value(self) -> float:
        """The target at the baseline; the mean, if there are several."""
        return sum(self.baseline_values) / len(self.baseline_values)

    # -- the function ----------------------------------------------------------------------------

    def values(self, embeddings: Tensor, tap: Tap = NO_TAP, hooks: HookList = ()) -> Tensor:
        """The target at embeddings [n, pos, d_model], [n]; differentiable, in one forward.

        Args:
            tap: observes or edits the forward.
            hooks: the same for any model, on points inside the blocks.
        """
        return self.terms(embeddings, tap, hooks).sum(-1)

    def terms(self, embeddings: Tensor, tap: Tap = NO_TAP, hooks: HookList = ()) -> Tensor:
        """The same by term, [n, term]."""
        if self.target.positions is None or not self._reads_some_positions():
            return self.target.terms(self.logits(embeddings, tap, hooks))
        stop = len(self.model.stack(self.model.last_stack).blocks)
        if tap is NO_TAP and not hooks and stop and self._has_last_block():
            stream = self.logits(embeddings, stop_at_layer=stop - 1)
            return read_entering(self.model, self.target, stream, self.cache)
        stream = self.logits(embeddings, tap, hooks, stop_at_layer=stop)
        places = list(self.target.positions)
        return self.target.read_terms(self.model.finish(stream[:, places], tap=tap))

    def logits(
        self, embeddings: Tensor, tap: Tap = NO_TAP, hooks: HookList = (), **options: Any
    ) -> Tensor:
        """What the model makes of embeddings [n, pos, d_model]; differentiable, in one forward."""
        n = embeddings.shape[0]
        self.forwards += n
        inputs = {
            name: value.expand(n, *value.shape[1:]) if isinstance(value, Tensor) else value
            for name, value in self.inputs.items()
        }
        if tap is not NO_TAP:
            self.require_taps()
            inputs["tap"] = tap
        tokens, put = self.parts[SOURCE].expand(n, -1), self._put(embeddings)
        with self.around():
            out: Tensor = self.model.run_with_hooks(
                tokens, fwd_hooks=[*put, *hooks], **inputs, **options
            )
        return out

    def _put(self, embeddings: Tensor) -> list[tuple[str, Callable[..., Tensor]]]:
        """Hooks that set the embeddings [n, pos, d_model]."""
        lengths = [ids.shape[1] for ids in self.parts.values()]
        pieces = dict(zip(self.parts, embeddings.split(lengths, 1), strict=True))

        def put(value: Tensor, hook: Any) -> Tensor:
            piece: Tensor = pieces[hook.name]
            return piece

        return [(name, put) for name in self.parts]

    def _reads_some_positions(self) -> bool:
        """Whether the head need only be run where the target is: elsewhere its output is unused,
        and over a large vocabulary it is most of the work. An edit around the call may be in the
        head, and expects every position there."""
        return isinstance(self.model, Transformer) and not self.edited

    def _has_last_block(self) -> bool:
        """Whether the last block need only be run where the target is. A decoder that reads an
        encoder would need what that encoder made of these very embeddings; hooks around the call
        may be in that block."""
        quiet = ambient_tap(self.model) is NO_TAP
        return quiet and self.cache is not None and len(self.parts) == 1

    def gradients(self, embeddings: Tensor, tap: Tap = NO_TAP) -> tuple[Tensor, Tensor]:
        """The target at embeddings [n, pos, d_model], [n], and its gradient, of their shape.

        Raises:
            InputError: a gradient is not finite.
        """
        found, gradients = [], []
        for chunk in embeddings.split(self.rows):
            with torch.enable_grad():
                leaf = chunk.detach().requires_grad_()
                values = self.values(leaf, tap)
                (gradient,) = torch.autograd.grad(values.sum(), leaf, allow_unused=True)
            if gradient is None:  # the target reads nothing of the text
                gradient = torch.zeros_like(leaf)
            self.backwards += len(chunk)
            found.append(values.detach())
            gradients.append(finite(gradient, "gradient of the target"))
        return torch.cat(found), torch.cat(gradients)

    def require_taps(self) -> Transformer:
        """The model, where a method has to reach inside it.

        Raises:
            InputError: it is another library's.
        """
        if not isinstance(self.model, Transformer):
            raise InputError(
                f"This method reaches inside the model, and {type(self.model).__name__} is not a "
                "HookedTransformer. Load the checkpoint with interp.load, or use a method that "
                "needs hooks and gradients only, such as integrated_gradients."
            )
        return self.model

    # -- the text --------------------------------------------------------------------------------

    def by_unit(self, scores: Tensor) -> Tensor:
        """Scores of positions [..., pos] added up by unit, [..., unit]."""
        index = torch.empty(scores.shape[-1], dtype=torch.long, device=scores.device)
        for i, group in enumerate(self.units.groups):
            index[list(group)] = i
        total = scores.new_zeros(*scores.shape[:-1], len(self.units))
        return total.index_add(-1, index, scores)

    @cached_property
    def moves(self) -> Tensor:
        """[pos], True where a baseline differs from the text: the others can have no score."""
        return (self.baselines != self.embedded).any(-1).any(0)

    @cached_property
    def movable(self) -> Tensor:
        """[unit], True where one of its positions moves."""
        return self.by_unit(self.moves.long()) > 0

    @property
    def token_ids(self) -> list[int]:
        """Ids of all parts behind one another."""
        return [int(i) for ids in self.parts.values() for i in ids[0]]

    @property
    def side(self) -> list[str]:
        """Which part each token belongs to."""
        names = ["input"] if len(self.parts) == 1 else ["source", "target"]
        return [name for name, ids in zip(names, self.parts.values(), strict=True) for _ in ids[0]]

    def token_texts(self) -> list[str]:
        """The text of each token, or its number where there is no tokenizer."""
        if self.model.tokenizer is None:
            return [str(i) for i in self.token_ids]
        return [str(t) for t in self.model.to_str_tokens(torch.tensor(self.token_ids))]


_MASKS = {SOURCE: "attention_mask", DECODER: "decoder_attention_mask"}


def _padding(parts: dict[str, Tensor], inputs: dict[str, Any]) -> Tensor:
    """[pos], True where the mask of a part leaves a position out."""
    masks = [
        torch.zeros_like(ids[0], dtype=torch.bool)
        if inputs.get(_MASKS[name]) is None
        else inputs[_MASKS[name]].to(ids.device)[0] == 0
        for name, ids in parts.items()
    ]
    return torch.cat(masks)


def _rows(batch_size: int | None, n_pos: int) -> int:
    if batch_size is None:
        return max(1, TOKENS // n_pos)
    if type(batch_size) is not int or batch_size < 1:
        raise InputError(f"batch_size is {batch_size!r}; it must be a whole number from 1.")
    return batch_size
