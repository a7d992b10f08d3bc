"""What is explained: one number per row, made of a model's logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from interp.errors import InputError, UnsupportedModelError
from interp.explain.resolved import ResolvedTarget
from interp.figures.labels import quoted

Kind = Literal[
    "logit",
    "centred_logit",
    "log_prob",
    "probability",
    "logit_difference",
    "sequence",
    "span_start",
    "span_end",
    "callable",
]
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
    text: str | tuple[int, ...] | None = None
    span: tuple[int, int] | None = None
    fixed: bool = False

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
        """The logit of a token above that of another: why this and not that, the contrastive
        question of Yin and Neubig (2022, arXiv 2202.10419). Equals the difference of their
        log-probabilities."""
        return cls("logit_difference", token, foil, position)

    @classmethod
    def continuation(cls, text: str | Sequence[int], *, fixed: bool = False) -> Target:
        """The log-probability of a text (or ids) that follows what is explained, in nats.

        The text is read behind the input; each of its tokens is explained by the input and by
        those before it, which have scores too. Of an encoder-decoder, it is the whole target.

        Args:
            fixed: what is written stays as it is, so that the input alone has scores: by how much
                does the input raise each token, given those before it?
        """
        return cls("sequence", text=text if isinstance(text, str) else tuple(text), fixed=fixed)

    @classmethod
    def log_prob_of_span(cls, start: int, stop: int) -> Target:
        """The log-probability of the tokens `start` to `stop` (not included) of the text itself,
        each given what is before it."""
        return cls("sequence", span=(start, stop))

    @classmethod
    def span_start(cls, position: int | None = None) -> Target:
        """The log-probability that the answer of a span model starts at a token."""
        return cls("span_start", position=position)

    @classmethod
    def span_end(cls, position: int | None = None) -> Target:
        """The log-probability that the answer of a span model ends at a token."""
        return cls("span_end", position=position)

    @classmethod
    def of(cls, function: Callable[[Tensor], Tensor]) -> Target:
        """Any function from logits [batch, ...] to one number per row, [batch]."""
        return cls("callable", function=function)

    # -- on a model ------------------------------------------------------------------------------

    def continued(self, model: Any, tokens: Tensor) -> tuple[Tensor, tuple[int, ...]]:
        """The tokens [1, pos] that are predicted from, with the continuation's behind them (all
        but its last, which nothing is predicted from), and the continuation's own ids."""
        if self.text is None:
            return tokens, ()
        ids = self._continuation(model)
        behind = torch.tensor([ids[:-1]], dtype=torch.long, device=tokens.device)
        return torch.cat([tokens, behind], 1), ids

    def _continuation(self, model: Any) -> tuple[int, ...]:
        given, cfg = self.text, model.cfg
        if cfg.shape == "encoder" or not cfg.has_vocabulary_head:
            raise UnsupportedModelError(
                "A continuation is what a model writes after a text; this model writes none. "
                "Explain a logit of it, such as Target.logit(token, position)."
            )
        if given == "":
            given = ()
        if isinstance(given, str):
            if cfg.shape == "encoder_decoder":
                tokens, _ = model.decoder_tokens_and_mask(given)
                given = tuple(tokens[0, 1:].tolist())
            else:
                given = tuple(model.to_tokens(given, prepend_bos=False)[0].tolist())
        assert given is not None
        wrong = [i for i in given if type(i) is not int or not 0 <= i < cfg.d_vocab]
        if wrong or not given:
            raise InputError(
                f"The continuation has the id {wrong[0]!r}, which is none of the vocabulary."
                if wrong
                else "The continuation is empty; give at least one token."
            )
        return given

    def resolve(
        self,
        model: Any,
        logits: Tensor,
        tokens: Tensor,
        mask: Tensor | None = None,
        continuation: tuple[int, ...] = (),
    ) -> ResolvedTarget:
        """This target on a model and the logits of one text, [1, pos, d_vocab] or [1, n_classes].

        Args:
            tokens: ids [1, pos] of the text that the logits belong to.
            mask: [1, pos], not 0 for real tokens; None if all are.
            continuation: as `continued` gave it.

        Raises:
            InputError: no such token, class or position.
        """
        if self.kind == "callable":
            assert self.function is not None
            name = getattr(self.function, "__name__", "function").strip("<>")
            return ResolvedTarget("callable", f"{name} of the logits", function=self.function)
        if self.kind == "sequence":
            return self._sequence(model, tokens[0], mask, continuation)
        if self.kind in ("span_start", "span_end"):
            return self._span_edge(model, logits, tokens[0], mask)
        position = None if logits.ndim == 2 else self._position(model, tokens[0], mask)
        row = logits[0] if position is None else logits[0, position]
        token = self._id(model, self.token, row)
        at = None if position is None else (position,)
        if self.kind != "logit_difference":
            name = self.kind.replace("_", "-" if self.kind == "log_prob" else " ")
            words = f"{name} of {_name(model, token)}"
            return ResolvedTarget(self.kind, words, at, (token,))
        foil = self._id(model, self.foil, row)
        if foil == token:
            raise InputError("The token and its foil are the same, so their difference is 0.")
        words = f"logit of {_name(model, token)} minus that of {_name(model, foil)}"
        return ResolvedTarget(self.kind, words, at, (token,), foil)

    def _sequence(
        self, model: Any, tokens: Tensor, mask: Tensor | None, ids: tuple[int, ...]
    ) -> ResolvedTarget:
        if ids:
            start = len(tokens) - len(ids) + 1
            if mask is not None and not bool(mask.all()):
                raise InputError("A continuation needs a text without padding.")
        else:
            if model.cfg.shape == "encoder" or not model.cfg.has_vocabulary_head:
                raise UnsupportedModelError(
                    "Only a model that predicts the next token gives a span of its text a "
                    "log-probability; mask a token and explain its logit instead."
                )
            start, stop = self._span(tokens, mask)
            ids = tuple(tokens[start:stop].tolist())
        at = tuple(range(start - 1, start - 1 + len(ids)))
        words = quoted(model.to_string(list(ids))) if model.tokenizer is not None else str(ids)
        return ResolvedTarget("sequence", f"log-probability of {words}", at, ids)

    def _span(self, tokens: Tensor, mask: Tensor | None) -> tuple[int, int]:
        start, stop = self.span or (0, 0)
        places = _real(len(tokens), mask)
        if not 1 <= start < stop <= len(places):
            raise InputError(
                f"The span {self.span} does not lie in the text's tokens 1 to {len(places)}; the "
                "first token is predicted from nothing."
            )
        return places[start], places[stop - 1] + 1

    def _span_edge(
        self, model: Any, logits: Tensor, tokens: Tensor, mask: Tensor | None
    ) -> ResolvedTarget:
        if model.cfg.head != "span":
            raise UnsupportedModelError(
                f"A {self.kind.replace('_', ' ')} is predicted by models with a span head; this "
                f"one has the head {model.cfg.head!r}."
            )
        edge = 0 if self.kind == "span_start" else 1
        places = tuple(_real(len(tokens), mask))
        if self.position is None:
            place = places[int(logits[0, list(places), edge].argmax())]
        else:
            place = self._position(model, tokens, mask)
        words = f"log-probability that the answer {'ends' if edge else 'starts'} at token {place}"
        return ResolvedTarget(self.kind, words, places, (edge,), places.index(place))

    def _position(self, model: Any, tokens: Tensor, mask: Tensor | None) -> int:
        """The index in a padded text [pos]."""
        places = _real(len(tokens), mask)
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
            if model.cfg.has_vocabulary_head:
                return int(model.to_single_token(token))
            names = getattr(model.cfg, "class_names", ())
            if token not in names:
                known = f"; they are {', '.join(names)}" if names else ", which have no names here"
                raise InputError(
                    f"{token!r} is none of this model's classes{known}. Give one, or its number."
                )
            return int(names.index(token))
        if isinstance(token, bool) or not isinstance(token, int):
            raise InputError(f"The target is {token!r}; give a token as text or as its id.")
        if not 0 <= token < row.shape[-1]:
            raise InputError(f"The target {token} is none of the {row.shape[-1]} outputs.")
        return token


def _real(n: int, mask: Tensor | None) -> list[int]:
    """The indices that are no padding."""
    return list(range(n)) if mask is None else [i for i in range(n) if bool(mask[0, i])]


def _name(model: Any, token: int) -> str:
    if not model.cfg.has_vocabulary_head:
        names = getattr(model.cfg, "class_names", ())
        return f"class {token}" + (f" {quoted(names[token])}" if names else "")
    if model.tokenizer is None:
        return f"token {token}"
    return quoted(model.to_single_str_token(token))
