"""A model whose mechanism is known, and questions to it whose answers are known with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.baseline import Baseline
from interp.explain.planted.truth import Question, causal, contribution
from interp.explain.target import Target
from interp.model.transformer import HookedTransformer

Level = Literal["hand-written", "compiled", "normed", "trained", "shortcut"]
Mechanism = Callable[[Tensor], Tensor]
"""Ids [batch, unit] -> the logits [batch, place, output] that a model of it gives."""


@dataclass(frozen=True)
class Item:
    """One text, one target on it, and what an explanation of the two should say.

    A unit is a token; those of an encoder-decoder's source come before those of its target.

    Attributes:
        ids: [unit].
        position: the target's position as `Target` counts it; None for a class of the whole text.
        token: the output whose logit is explained.
        movable: [unit], False for tokens that every text has, such as the first: they have no part
            in the question, and no score is read there.
        causal: [unit], whether replacing the token by some other that may stand there changes the
            target while all others stay.
        contribution: [unit], float64: the token's exact Shapley value in the game in which absent
            tokens are blank; its sign says whether the token raises the target. None where only
            the causal truth is known.
        scale: how large the target gets, by which a score is small or not: the largest size of it,
            or of its change, over coalitions.
        n_source: how many of the units are an encoder-decoder's source; 0 for other models.
    """

    ids: Tensor
    position: int | None
    token: int
    movable: Tensor
    causal: Tensor
    contribution: Tensor | None
    scale: float
    n_source: int = 0

    @property
    def text(self) -> Tensor:
        """The ids [1, pos] that a model reads first."""
        return self.ids[None, : self.n_source or None]

    @property
    def inputs(self) -> dict[str, Any]:
        """Further inputs of the forward pass."""
        return {"decoder_tokens": self.ids[None, self.n_source :]} if self.n_source else {}

    @property
    def target(self) -> Target:
        """What is explained."""
        return Target.logit(self.token, self.position)


@dataclass(frozen=True)
class Planted:
    """A model and the mechanism that was put into it.

    Attributes:
        name: of the mechanism.
        level: how it was put there.
        model: in evaluation mode.
        mechanism: what the model computes, written without a model. Exact at the levels
            `hand-written`, `compiled` and `normed`.
        places: the positions [place] at which the mechanism speaks; (None,) for a classifier.
        alphabet: [unit, d_vocab], True for the tokens that may stand at a unit.
        blank: the token that says nothing, with which absent tokens are replaced.
        draw: (number, generator) -> ids [number, unit] of texts on which the mechanism acts.
        heads: the name of each attention layer -> [head], True for the heads that are part of the
            mechanism; the others do something else.
        mlps: the name of each feed-forward layer -> whether it is part of the mechanism.
        answer: the output to explain; None for the largest one.
        n_source: as of `Item`.
    """

    name: str
    level: Level
    model: HookedTransformer
    mechanism: Mechanism
    places: tuple[int | None, ...]
    alphabet: Tensor
    blank: int
    draw: Callable[[int, torch.Generator], Tensor]
    heads: Mapping[str, Tensor]
    mlps: Mapping[str, bool]
    answer: int | None = None
    n_source: int = 0

    @property
    def baseline(self) -> Baseline:
        """What the contributions are relative to; a method must be asked with the same."""
        return Baseline.token(self.blank)

    def logits(self, ids: Tensor) -> Tensor:
        """What the model says to ids [batch, unit], where the mechanism speaks:
        [batch, place, output]."""
        n = self.n_source
        inputs = {"decoder_tokens": ids[:, n:]} if n else {}
        with torch.no_grad():
            logits: Tensor = self.model(ids[:, : n or None], **inputs)
        if logits.ndim == 2:
            return logits[:, None]
        return logits[:, [place for place in self.places if place is not None]]

    def items(self, n: int, seed: int = 0) -> tuple[Item, ...]:
        """Questions with their answers, which depend on `n` and `seed` alone.

        Raises:
            InputError: `n` is not a whole number from 1.
        """
        if type(n) is not int or n < 1:
            raise InputError(f"The number of items is {n!r}; it must be a whole number from 1.")
        generator = torch.Generator().manual_seed(seed)
        texts = self.draw(n, generator)
        chosen = torch.randint(len(self.places), (n,), generator=generator)
        return tuple(self._item(ids, int(place)) for ids, place in zip(texts, chosen, strict=True))

    def _item(self, ids: Tensor, place: int) -> Item:
        said = self.mechanism(ids[None])[0, place]
        token = int(said.abs().argmax()) if self.answer is None else self.answer
        question = Question(
            lambda texts: self.mechanism(texts)[:, place, token], self.alphabet, self.blank
        )
        shares, scale = contribution(question, ids)
        return Item(
            ids=ids,
            position=self.places[place],
            token=token,
            movable=question.movable,
            causal=causal(question, ids),
            contribution=shares,
            scale=scale,
            n_source=self.n_source,
        )
