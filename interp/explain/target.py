"""What is explained: one number per row, made of a model's logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from interp.errors import InputError
from interp.figures.labels import quoted

Kind = Literal["logit", "centred_logit", "log_prob", "probability", "logit_difference", "callable"]
Token = str | int | None


@dataclass(frozen=True)
class Target:
    """A number that a model's output is reduced to; made by one of the class methods below.

    A token is given as text (one token) or id; without one, it is the token (or class) that the
    model itself finds most likely at that position. `position` counts as in Python, and padding
    does not count, so that it means the same in a padded text; for a model that classifies whole
    texts there is none. For an encoder-decoder it counts in the target. Without a position it is
    the mask token, where the text has exactly one, and otherwise the last token.
    """

    kind: Kind
    token: Token = None
    foil: Token = None
    position: int | None = None
    function: Callable[[Tensor], Tensor] | None = None

    @classmethod
    def logit(cls, token: Token = None, position: int | None = None) -> Target:
        """The logit of a token or class."""
        return cls("logit", token, position=position)

    @classmethod
    def centred_logit(cls, token: Token = None, position: int | None = None) -> Target:
        """The logit above the mean of all logits, which no shift common to all can change."""
        return cls("centred_logit", token, position=position)

    @classmethod
    def log_prob(cls, token: Token = None, position: int | None = None) -> Target:
        """The log-probability, in nats."""
        return cls("log_prob", token, position=position)

    @classmethod
    def probability(cls, token: Token = None, position: int | None = None) -> Target:
        """The probability."""
        return cls("probability", token, position=position)

    @classmethod
    def logit_difference(cls, token: Token, foil: Token, position: int | None = None) -> Target:
        """The logit of a token above that of another: why this and not that."""
        return cls("logit_difference", token, foil, position)

    @classmethod
    def of(cls, function: Callable[[Tensor], Tensor]) -> Target:
        """Any function from logits [batch, ...] to one number per row, [batch]."""
        return cls("callable", function=function)

    def resolve(
        self, model: Any, logits: Tensor, tokens: Tensor, mask: Tensor | None = None
    ) -> ResolvedTarget:
        """This target on a model and the logits of one text, [1, pos, d_vocab] or [1, n_classes].

        Args:
            tokens: ids [1, pos] of the text that the logits belong to.
            mask: [1, pos], not 0 for real tokens; None if all are.

        Raises:
            InputError: no such token, class or position.
        """
        if self.kind == "callable":
            assert self.function is not None
            name = getattr(self.function, "__name__", "function").strip("<>")
            return ResolvedTarget(self, None, None, None, f"{name} of the logits")
        position = None if logits.ndim == 2 else self._position(model, tokens[0], mask)
        row = logits[0] if position is None else logits[0, position]
        token = self._id(model, self.token, row)
        if self.kind != "logit_difference":
            name = self.kind.replace("_", "-" if self.kind == "log_prob" else " ")
            words = f"{name} of {_name(model, token)}"
            return ResolvedTarget(self, position, token, None, words)
        foil = self._id(model, self.foil, row)
        if foil == token:
            raise InputError("The token and its foil are the same, so their difference is 0.")
        words = f"logit of {_name(model, token)} minus that of {_name(model, foil)}"
        return ResolvedTarget(self, position, token, foil, words)

    def _position(self, model: Any, tokens: Tensor, mask: Tensor | None) -> int:
        """The index in a padded text [pos]."""
        real = range(len(tokens))
        places = list(real) if mask is None else [i for i in real if bool(mask[0, i])]
        if self.position is None:
            mask_id = getattr(model.tokenizer, "mask_token_id", None)
            masked = [i for i in places if mask_id is not None and int(tokens[i]) == mask_id]
            return masked[0] if len(masked) == 1 else places[-1]
        whole = isinstance(self.position, int) and not isinstance(self.position, bool)
        if not whole or not -len(places) <= self.position < len(places):
            raise InputError(
                f"The target's position is {self.position!r}; the text has {len(places)} positions."
            )
        return places[self.position]

    def _id(self, model: Any, token: Token, row: Tensor) -> int:
        if token is None:
            return int(row.argmax())
        if isinstance(token, str):
            if not model.cfg.has_vocabulary_head:
                raise InputError(
                    f"This model predicts classes; give the number of one, not {token!r}."
                )
            return int(model.to_single_token(token))
        if isinstance(token, bool) or not isinstance(token, int):
            raise InputError(f"The target is {token!r}; give a token as text or as its id.")
        if not 0 <= token < row.shape[-1]:
            raise InputError(f"The target {token} is none of the {row.shape[-1]} outputs.")
        return token


@dataclass(frozen=True)
class ResolvedTarget:
    """A target with ids and position known.

    Attributes:
        position: index of the logits that are read; None if there is one set of them, or if a
            function reads them all.
        description: in words, for people.
    """

    target: Target
    position: int | None
    token: int | None
    foil: int | None
    description: str

    def __call__(self, logits: Tensor) -> Tensor:
        """Logits [batch, pos, d_vocab] (or [batch, n_classes]) -> [batch], in float32 at least."""
        if self.target.function is not None:
            value = self.target.function(logits)
            if not isinstance(value, Tensor):
                raise InputError(
                    f"The target function returned {type(value).__name__}; it must return a tensor "
                    "with one number per row."
                )
            if value.shape != logits.shape[:1]:
                raise InputError(
                    f"The target function returned shape {list(value.shape)}; it must return one "
                    f"number per row, {list(logits.shape[:1])}."
                )
            return value
        return self.read(logits if self.position is None else logits[:, self.position])

    def read(self, row: Tensor) -> Tensor:
        """Logits of the target's position [batch, d_vocab] (or classes) -> [batch]."""
        row = row if row.dtype == torch.float64 else row.float()
        value = row[:, self.token]
        kind = self.target.kind
        if kind == "centred_logit":
            return value - row.mean(-1)
        if kind == "log_prob":
            return value - row.logsumexp(-1)
        if kind == "probability":
            return row.softmax(-1)[:, self.token]
        return value - row[:, self.foil] if kind == "logit_difference" else value


def _name(model: Any, token: int) -> str:
    if not model.cfg.has_vocabulary_head:
        return f"class {token}"
    if model.tokenizer is None:
        return f"token {token}"
    return quoted(model.to_single_str_token(token))
