"""What is explained: one number per row, made of a model's logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from interp.errors import InputError

Kind = Literal["logit", "centred_logit", "log_prob", "probability", "logit_difference", "callable"]
Token = str | int | None


@dataclass(frozen=True)
class Target:
    """A number that a model's output is reduced to; made by one of the class methods below.

    A token is given as text (one token) or id; without one, it is the token (or class) that the
    model itself finds most likely at that position. `position` counts as in Python; for a model
    that classifies whole texts there is none. For an encoder-decoder it counts in the target.
    """

    kind: Kind
    token: Token = None
    foil: Token = None
    position: int = -1
    function: Callable[[Tensor], Tensor] | None = None

    @classmethod
    def logit(cls, token: Token = None, position: int = -1) -> Target:
        """The logit of a token or class."""
        return cls("logit", token, position=position)

    @classmethod
    def centred_logit(cls, token: Token = None, position: int = -1) -> Target:
        """The logit above the mean of all logits, which no shift common to all can change."""
        return cls("centred_logit", token, position=position)

    @classmethod
    def log_prob(cls, token: Token = None, position: int = -1) -> Target:
        """The log-probability, in nats."""
        return cls("log_prob", token, position=position)

    @classmethod
    def probability(cls, token: Token = None, position: int = -1) -> Target:
        """The probability."""
        return cls("probability", token, position=position)

    @classmethod
    def logit_difference(cls, token: Token, foil: Token, position: int = -1) -> Target:
        """The logit of a token above that of another: why this and not that."""
        return cls("logit_difference", token, foil, position)

    @classmethod
    def of(cls, function: Callable[[Tensor], Tensor]) -> Target:
        """Any function from logits [batch, ...] to one number per row, [batch]."""
        return cls("callable", function=function)

    def resolve(self, model: Any, logits: Tensor) -> ResolvedTarget:
        """This target on a model and the logits of one text, [1, pos, d_vocab] or [1, n_classes].

        Raises:
            InputError: no such token, class or position.
        """
        if self.kind == "callable":
            assert self.function is not None
            name = getattr(self.function, "__name__", "function")
            return ResolvedTarget(self, None, None, None, f"{name} of the logits")
        position = self._position(logits)
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

    def _position(self, logits: Tensor) -> int | None:
        if logits.ndim == 2:
            return None
        n_pos = logits.shape[1]
        if not -n_pos <= self.position < n_pos:
            raise InputError(
                f"The target's position is {self.position}; the text has {n_pos} positions."
            )
        return self.position % n_pos

    def _id(self, model: Any, token: Token, row: Tensor) -> int:
        if token is None:
            return int(row.argmax())
        if isinstance(token, str):
            if not model.cfg.has_vocabulary_head:
                raise InputError(
                    f"This model predicts classes; give the number of one, not {token!r}."
                )
            return int(model.to_single_token(token))
        if not 0 <= token < row.shape[-1]:
            raise InputError(f"The target {token} is none of the {row.shape[-1]} outputs.")
        return int(token)


@dataclass(frozen=True)
class ResolvedTarget:
    """A target with ids and position known.

    Attributes:
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
            if value.shape != logits.shape[:1]:
                raise InputError(
                    f"The target function returned shape {list(value.shape)}; it must return one "
                    f"number per row, {list(logits.shape[:1])}."
                )
            return value
        row = logits if self.position is None else logits[:, self.position]
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
    tokenizer = getattr(model, "tokenizer", None)
    return f"token {token}" if tokenizer is None else f"“{model.to_single_str_token(token)}”"
