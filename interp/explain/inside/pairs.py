"""Clean texts, each with a corrupted one of as many tokens, and a metric of both."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.attribute import read_target
from interp.explain.reading import finite, in_full_precision, read_inputs, refuse_dropout
from interp.explain.resolved import ResolvedTarget
from interp.explain.target import Target
from interp.model.ambient import ambient_tap
from interp.model.tap import NO_TAP, Tap

Texts = str | Sequence[str] | Tensor
"""One text or several, or ids [pos] or [pair, pos]."""
Metric = Target | Callable[[Tensor], Tensor]
"""What is read of the logits; a function gets those of all pairs, [pair, ...], and gives one number
for each."""
Read = Callable[[ResolvedTarget, Tensor], Tensor]


@dataclass(frozen=True)
class Pairs:
    """Texts that are compared, run together: all pairs are in every forward, so a metric may know
    the answer of each.

    Attributes:
        clean, corrupted: ids [pair, pos].
        inputs: further inputs of both runs.
        targets: one for all pairs, or one for each.
        value, corrupted_value: the metric of the two runs, [pair].
        kept, corrupted_kept: activations of the two runs that were asked for, by name.
    """

    model: Any
    clean: Tensor
    corrupted: Tensor
    inputs: dict[str, Any]
    targets: tuple[ResolvedTarget, ...]
    value: Tensor
    corrupted_value: Tensor
    kept: Mapping[str, Tensor]
    corrupted_kept: Mapping[str, Tensor]

    @classmethod
    def read(
        cls,
        model: Any,
        clean: Texts,
        corrupted: Texts,
        metric: Metric | None,
        names: Collection[str],
        inputs: dict[str, Any] | None = None,
    ) -> Pairs:
        """Encodes the texts and runs the model once on either side. Of a target, tokens and
        positions are those of each clean run.

        Args:
            names: activations to keep.

        Raises:
            InputError: texts of different lengths, no difference between the two sides, a model
                that drops activations at random or has hooks on it, or a metric that does not fit.
        """
        refuse_dropout(model)
        if ambient_tap(model) is not NO_TAP:
            raise InputError(
                "Hooks are on the model, and would change both runs and what is put in between "
                "them. Call this outside of the `hooks()` context."
            )
        model, target = in_full_precision(model), read_target(metric)
        one, other = _ids(model, clean, "clean"), _ids(model, corrupted, "corrupted")
        if one.shape != other.shape:
            raise InputError(
                f"The clean texts are {list(one.shape)} (pairs, tokens) and the corrupted ones "
                f"{list(other.shape)}; each pair needs as many tokens on both sides."
            )
        if torch.equal(one, other):
            raise InputError("The clean and the corrupted texts are the same.")
        inputs = _expanded(read_inputs(inputs or {}), len(one))
        if model.cfg.shape == "encoder_decoder":
            written, ids = _continued(model, target, _decoder_ids(model, inputs, len(one)))
            inputs["decoder_tokens"] = written
            mask = inputs.get("decoder_attention_mask")
        else:
            one, ids = _continued(model, target, one)
            other, _ = _continued(model, target, other)
            written, mask = one, inputs.get("attention_mask")
        if ids and mask is not None:
            raise InputError("A continuation needs texts without padding; leave the mask out.")

        def run(tokens: Tensor) -> tuple[Tensor, Mapping[str, Tensor]]:
            with torch.no_grad():
                logits, cache = model.run_with_cache(
                    tokens, names_filter=list(names), return_type="logits", **inputs
                )
            return logits, {name: cache[name] for name in names}

        (logits, kept), (corrupted_logits, corrupted_kept) = run(one), run(other)
        targets = _resolved(model, target, logits, written, mask, ids)
        value, corrupted_value = (
            finite(_each(targets, x, ResolvedTarget.__call__), "metric")
            for x in (logits, corrupted_logits)
        )
        return cls(model, one, other, inputs, targets, value, corrupted_value, kept, corrupted_kept)

    def __len__(self) -> int:
        return len(self.clean)

    @property
    def n_tokens(self) -> int:
        """Tokens in a forward of all pairs."""
        return self.clean.numel()

    @property
    def description(self) -> str:
        """The metric in words."""
        words = self.targets[0].description
        return words if len(self.targets) == 1 else f"{words} and others, by pair"

    def metric(self, logits: Tensor) -> Tensor:
        """Of the logits of n copies of the pairs, [n * pair, ...]: [n, pair]."""
        return self._each(logits, ResolvedTarget.__call__)

    def values(self, x: Tensor, tap: Tap = NO_TAP, start: int | None = None) -> Tensor:
        """The metric of n copies of the pairs, [n, pair], in one forward of a model with taps.

        Args:
            x: ids [n * pair, pos], or from block `start` on the stream, [n * pair, pos, d_model].
        """
        n_layers = self.model.cfg.n_layers
        stream = self.model(x, tap=tap, start_at_layer=start, stop_at_layer=n_layers)
        return self.of_stream(stream, tap)

    def of_stream(self, stream: Tensor, tap: Tap = NO_TAP) -> Tensor:
        """The metric of the stream that leaves the last block, [n * pair, pos, d_model]: [n, pair].

        Over a large vocabulary the head is most of the work, so it reads the metric's positions.
        """
        places = {target.positions for target in self.targets}
        positions = places.pop()
        if positions is None or places:
            return self.metric(self.model.finish(stream, tap=tap))
        rows = self.model.finish(stream[:, list(positions)], tap=tap)
        return self._each(rows, ResolvedTarget.read)

    def _each(self, x: Tensor, read: Read) -> Tensor:
        copies = x.unflatten(0, (-1, len(self)))
        return torch.stack([_each(self.targets, copy, read) for copy in copies])


def gradients(value: Tensor, of: Sequence[Tensor]) -> list[Tensor]:
    """d(value)/d(each of the tensors); zeros for what it does not depend on.

    Raises:
        InputError: the metric has no gradient, or one that is not finite.
    """
    if not value.requires_grad:
        raise InputError(
            "The metric has no gradient: its function detaches the logits or picks from them. Give "
            "one that is differentiable, or patch exactly."
        )
    found = torch.autograd.grad(value, of, allow_unused=True)
    return [
        torch.zeros_like(x) if gradient is None else finite(gradient, "gradient of the metric")
        for x, gradient in zip(of, found, strict=True)
    ]


def _ids(model: Any, texts: Texts, side: str) -> Tensor:
    """Ids [pair, pos]."""
    if isinstance(texts, str):
        texts = [texts]
    if isinstance(texts, Tensor):
        ids = texts[None] if texts.ndim == 1 else texts
        if ids.ndim != 2 or not ids.numel():
            raise InputError(f"The {side} ids are {list(texts.shape)}; they must be [pair, pos].")
        # A copy: what was made in inference mode cannot be part of a gradient's graph.
        return ids.to(model.W_E.device, copy=True)
    if not texts or not all(isinstance(text, str) for text in texts):
        raise InputError(f"The {side} texts must be texts, or a tensor of ids [pair, pos].")
    rows = [model.to_tokens(text, truncate=False) for text in texts]
    lengths = sorted({row.shape[1] for row in rows})
    if len(lengths) > 1:
        raise InputError(
            f"The {side} texts have from {lengths[0]} to {lengths[-1]} tokens; texts that run "
            "together need as many each, since padding is no part of a comparison by position."
        )
    return torch.cat(rows)


def _decoder_ids(model: Any, inputs: dict[str, Any], n: int) -> Tensor:
    """Ids [pair, pos] of what is written so far; by default the start token."""
    given = inputs.get("decoder_tokens", inputs.pop("decoder_input_ids", None))
    if given is None:
        start = model.cfg.decoder_start_token_id
        if start is None:
            raise InputError("An encoder-decoder needs decoder_tokens, the target so far.")
        given = torch.tensor([[start]], device=model.W_E.device)
    if not isinstance(given, Tensor) or given.ndim != 2 or len(given) not in (1, n):
        raise InputError(f"decoder_tokens must be ids [pos], [1, pos] or [{n}, pos].")
    return given.expand(n, -1)


def _continued(model: Any, target: Target, ids: Tensor) -> tuple[Tensor, tuple[int, ...]]:
    """Ids with the target's continuation behind them, and its own."""
    rows, continuations = zip(*(target.continued(model, row) for row in ids.split(1)), strict=True)
    return torch.cat(rows), continuations[0]


def _expanded(inputs: dict[str, Any], n: int) -> dict[str, Any]:
    """Inputs of n texts: what is given for one is that of all."""

    def expanded(value: Any) -> Any:
        one = isinstance(value, Tensor) and len(value) == 1
        return value.expand(n, *value.shape[1:]) if one else value

    return {name: expanded(value) for name, value in inputs.items()}


def _resolved(
    model: Any,
    target: Target,
    logits: Tensor,
    ids: Tensor,
    mask: Tensor | None,
    continuation: tuple[int, ...],
) -> tuple[ResolvedTarget, ...]:
    """The target on each text; one, if it is the same for all."""
    found = []
    for i in range(len(ids)):
        one = slice(i, i + 1)
        real = None if mask is None else mask[one]
        found.append(target.resolve(model, logits[one], ids[one], real, continuation))
    return tuple(found[:1] if all(each == found[0] for each in found) else found)


def _each(targets: tuple[ResolvedTarget, ...], x: Tensor, read: Read) -> Tensor:
    """What targets read of [pair, ...], [pair]."""
    if len(targets) == 1:
        return read(targets[0], x)
    return torch.cat([read(target, row) for target, row in zip(targets, x.split(1), strict=True)])
