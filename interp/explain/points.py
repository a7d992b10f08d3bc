"""A text as embeddings that can be moved, and a target as a function of them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.baseline import Baseline
from interp.explain.target import ResolvedTarget, Target
from interp.model.ambient import ambient_tap, within
from interp.model.core import Transformer
from interp.model.tap import NO_TAP


@dataclass
class Point:
    """One text on one model, seen as a function from embeddings to the target.

    Attributes:
        model: what is run: the model, or a copy in float32 of one in half precision.
        edited: whether hooks of contexts around the call act on the model.
        around: a context that brings them to `model`.
        parts: name of an embedding point -> its token ids [1, pos]; an encoder-decoder has two.
        inputs: further inputs of the forward, for one text.
        embedded, baseline: all parts behind one another, [pos, d_model].
        target: what is explained.
        value, baseline_value: the target at the two.
        forwards, backwards: passes so far, per copy of the text.
    """

    model: Any
    edited: bool
    around: Callable[[], AbstractContextManager[None]]
    parts: dict[str, Tensor]
    inputs: dict[str, Any]
    embedded: Tensor
    baseline: Tensor
    target: ResolvedTarget
    value: float = 0.0
    baseline_value: float = 0.0
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
    ) -> Point:
        """Encodes the text and runs the model on it and on its baseline.

        Raises:
            InputError: several texts, a model that drops activations at random, or what the
                model, target or baseline refuse.
        """
        _refuse_dropout(model)
        tokens, inputs = _tokens(model, text), _batched(inputs)
        parts = {"hook_embed": tokens}
        if model.cfg.shape == "encoder_decoder":
            parts["decoder.hook_embed"] = _decoder_tokens(model, inputs)
        edits, original = ambient_tap(model), model
        model = _in_full_precision(model)

        def around() -> AbstractContextManager[None]:
            # A copy is not the model that the contexts around this call are about.
            return nullcontext() if model is original else within(model, edits)

        with torch.no_grad(), around():
            logits, cache = model.run_with_cache(
                tokens, names_filter=list(parts), return_type="logits", **inputs
            )
        embedded = {name: cache[name] for name in parts}
        start = [
            x if baseline.of_source and i else baseline.resolve(model, parts[name], x)
            for i, (name, x) in enumerate(embedded.items())
        ]
        *_, (last, predicted) = parts.items()
        mask = inputs.get("attention_mask" if last == "hook_embed" else "decoder_attention_mask")
        point = cls(
            model,
            edits is not NO_TAP,
            around,
            parts,
            inputs,
            torch.cat(list(embedded.values()), 1)[0],
            torch.cat(start, 1)[0],
            target.resolve(model, logits, predicted, mask),
        )
        with torch.no_grad():
            values = point.values(torch.stack([point.embedded, point.baseline]))
        point.value, point.baseline_value = (float(v) for v in _finite(values, "target"))
        return point

    def values(self, embeddings: Tensor) -> Tensor:
        """The target at embeddings [n, pos, d_model], [n]; differentiable."""
        n = embeddings.shape[0]
        self.forwards += n
        lengths = [ids.shape[1] for ids in self.parts.values()]
        pieces = dict(zip(self.parts, embeddings.split(lengths, 1), strict=True))

        def put(value: Tensor, hook: Any) -> Tensor:
            piece: Tensor = pieces[hook.name]
            return piece

        inputs = {
            name: value.expand(n, *value.shape[1:]) if isinstance(value, Tensor) else value
            for name, value in self.inputs.items()
        }
        tokens = self.parts["hook_embed"].expand(n, -1)
        hooks = [(name, put) for name in self.parts]
        with self.around():
            position = self.target.position
            if position is None or not self._reads_one_position():
                logits = self.model.run_with_hooks(tokens, fwd_hooks=hooks, **inputs)
                return self.target(logits)
            stop = len(self.model.stack(self.model.last_stack).blocks)
            stream = self.model.run_with_hooks(
                tokens, fwd_hooks=hooks, stop_at_layer=stop, **inputs
            )
        return self.target.read(self.model.finish(stream[:, position : position + 1])[:, 0])

    def _reads_one_position(self) -> bool:
        """Whether the head need only be run where the target is: elsewhere its output is unused,
        and over a large vocabulary it is most of the work. An edit around the call may be in the
        head, and expects every position there."""
        return isinstance(self.model, Transformer) and not self.edited

    def gradients(self, embeddings: Tensor) -> tuple[Tensor, Tensor]:
        """The target at embeddings [n, pos, d_model], [n], and its gradient, of their shape.

        Raises:
            InputError: a gradient is not finite.
        """
        with torch.enable_grad():
            leaf = embeddings.detach().requires_grad_()
            values = self.values(leaf)
            (gradient,) = torch.autograd.grad(values.sum(), leaf)
        self.backwards += embeddings.shape[0]
        return values.detach(), _finite(gradient, "gradient of the target")

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


def _tokens(model: Any, text: Any) -> Tensor:
    """Ids [1, pos] of one text."""
    if isinstance(text, str):
        tokens: Tensor = model.to_tokens(text, truncate=False)
        return tokens
    if isinstance(text, list) and text and all(type(i) is int for i in text):
        text = torch.tensor(text)
    if isinstance(text, list):
        raise InputError("attribute explains one text; call it once for each.")
    if not isinstance(text, Tensor):
        raise InputError(f"attribute explains a text or its ids [pos], not {type(text).__name__}.")
    ids = text[None] if text.ndim == 1 else text
    if ids.ndim != 2 or ids.shape[0] != 1:
        raise InputError(f"attribute explains one text, not ids of shape {list(text.shape)}.")
    # A copy: what was made in inference mode cannot be part of a gradient's graph.
    return ids.to(model.W_E.device, copy=True)


def _batched(inputs: dict[str, Any]) -> dict[str, Any]:
    """Copies of further inputs with a batch dimension: a mask may be [pos], as the ids may."""

    def batched(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return (value[None] if value.ndim == 1 else value).clone()

    return {name: batched(value) for name, value in inputs.items()}


def _decoder_tokens(model: Any, inputs: dict[str, Any]) -> Tensor:
    given = inputs.get("decoder_tokens", inputs.pop("decoder_input_ids", None))
    if isinstance(given, str):
        given, _ = model.decoder_tokens_and_mask(given)
    if given is None:
        start = model.cfg.decoder_start_token_id
        if start is None:
            raise InputError("An encoder-decoder needs decoder_tokens, the target so far.")
        given = torch.tensor([[start]], device=model.W_E.device)
    if not isinstance(given, Tensor) or given.ndim != 2 or given.shape[0] != 1:
        raise InputError("decoder_tokens must be one text, or its ids [pos] or [1, pos].")
    inputs["decoder_tokens"] = given
    return given


def _refuse_dropout(model: Any) -> None:
    if isinstance(model, Transformer):
        drops = model.training and model.cfg.dropout > 0
    else:
        dropouts = (m for m in model.modules() if isinstance(m, torch.nn.Dropout))
        drops = any(m.training and m.p > 0 for m in dropouts)
    if drops:
        raise InputError(
            "The model is in training mode and drops activations at random, so that its "
            "predictions have no one explanation. Call model.eval() first."
        )


def _in_full_precision(model: Any) -> Any:
    """A copy in float32 of a model in half precision, whose gradients are too coarse to add up."""
    if not isinstance(model, Transformer) or model.W_E.dtype in (torch.float32, torch.float64):
        return model
    # A tokenizer is shared: it has no weights.
    return copy.deepcopy(model, {id(model.tokenizer): model.tokenizer}).float()


def _finite(values: Tensor, what: str) -> Tensor:
    if not bool(values.isfinite().all()):
        raise InputError(
            f"The {what} is not finite on this text or on the way from its baseline; look for "
            "overflow, or for weights that are not finite."
        )
    return values
