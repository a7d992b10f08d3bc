"""A text as embeddings that can be moved, and a target as a function of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.baseline import Baseline
from interp.explain.target import ResolvedTarget, Target


@dataclass
class Point:
    """One text on one model, seen as a function from embeddings to the target.

    Attributes:
        parts: name of an embedding point -> its token ids [1, pos]; an encoder-decoder has two.
        embedded, baseline: all parts behind one another, [pos, d_model].
        target: what is explained.
        value, baseline_value: the target at the two.
        forwards, backwards: passes so far, per copy of the text.
    """

    model: Any
    parts: dict[str, Tensor]
    inputs: dict[str, Any]
    embedded: Tensor
    baseline: Tensor
    target: ResolvedTarget
    value: float = 0.0
    baseline_value: float = 0.0
    forwards: int = 0
    backwards: int = 0
    lengths: list[int] = field(default_factory=list)

    @classmethod
    def read(
        cls,
        model: Any,
        text: str | Tensor,
        target: Target,
        baseline: Baseline,
        inputs: dict[str, Any],
    ) -> Point:
        """Encodes the text and runs the model on it and on its baseline.

        Raises:
            InputError: several texts, or what the model, target or baseline refuse.
        """
        if isinstance(text, list):
            raise InputError("attribute explains one text; call it once for each.")
        tokens = model.to_tokens(text, truncate=False) if isinstance(text, str) else text
        tokens = tokens[None] if tokens.ndim == 1 else tokens
        if tokens.shape[0] != 1:
            raise InputError(f"attribute explains one text, not a batch of {tokens.shape[0]}.")
        parts = {"hook_embed": tokens}
        inputs = dict(inputs)
        if getattr(model.cfg, "shape", "decoder") == "encoder_decoder":
            parts["decoder.hook_embed"] = _decoder_tokens(model, inputs)
        names = list(parts)
        with torch.no_grad():
            logits, cache = model.run_with_cache(
                tokens, names_filter=names, return_type="logits", **inputs
            )
        embedded = [cache[name] for name in names]
        start = [
            baseline.resolve(model, parts[name], x) for name, x in zip(names, embedded, strict=True)
        ]
        point = cls(
            model,
            parts,
            inputs,
            torch.cat(embedded, 1)[0],
            torch.cat(start, 1)[0],
            target.resolve(model, logits),
            lengths=[x.shape[1] for x in embedded],
        )
        ends = torch.stack([point.embedded, point.baseline])
        with torch.no_grad():
            values = point.values(ends)
        point.value, point.baseline_value = (float(v) for v in values)
        return point

    def values(self, embeddings: Tensor) -> Tensor:
        """The target at embeddings [n, pos, d_model], [n]; differentiable."""
        n = embeddings.shape[0]
        self.forwards += n
        pieces = dict(zip(self.parts, embeddings.split(self.lengths, 1), strict=True))

        def put(value: Tensor, hook: Any) -> Tensor:
            piece: Tensor = pieces[hook.name]
            return piece

        inputs = {
            name: value.expand(n, *value.shape[1:]) if isinstance(value, Tensor) else value
            for name, value in self.inputs.items()
        }
        tokens = self.parts["hook_embed"].expand(n, -1)
        logits: Tensor = self.model.run_with_hooks(
            tokens, fwd_hooks=[(name, put) for name in self.parts], return_type="logits", **inputs
        )
        value: Tensor = self.target(logits)
        return value

    def gradients(self, embeddings: Tensor) -> Tensor:
        """The gradient of the target at embeddings [n, pos, d_model], of the same shape."""
        with torch.enable_grad():
            leaf = embeddings.detach().requires_grad_()
            value = self.values(leaf).sum()
            (gradient,) = torch.autograd.grad(value, leaf)
        self.backwards += embeddings.shape[0]
        return gradient

    @property
    def token_ids(self) -> list[int]:
        """Ids of all parts behind one another."""
        return [int(i) for ids in self.parts.values() for i in ids[0]]

    @property
    def side(self) -> list[str]:
        """Which part each token belongs to."""
        names = ["input"] if len(self.parts) == 1 else ["source", "target"]
        return [name for name, n in zip(names, self.lengths, strict=True) for _ in range(n)]

    def token_texts(self) -> list[str]:
        """The text of each token, or its number where there is no tokenizer."""
        if getattr(self.model, "tokenizer", None) is None:
            return [str(i) for i in self.token_ids]
        return [str(t) for t in self.model.to_str_tokens(torch.tensor(self.token_ids))]


def _decoder_tokens(model: Any, inputs: dict[str, Any]) -> Tensor:
    given = inputs.get("decoder_tokens", inputs.pop("decoder_input_ids", None))
    if isinstance(given, str):
        given, _ = model.decoder_tokens_and_mask(given)
    if given is None:
        start = model.cfg.decoder_start_token_id
        if start is None:
            raise InputError("An encoder-decoder needs decoder_tokens, the target so far.")
        given = torch.tensor([[start]], device=model.W_E.device)
    inputs["decoder_tokens"] = given[None] if given.ndim == 1 else given
    tokens: Tensor = inputs["decoder_tokens"]
    return tokens
