"""Mechanisms on what tokens stand for, written by hand, in any of the three shapes.

One head sums over the text, neurons turn sums into an answer. In a decoder the last token does
the summing, in an encoder the first one, which is classified, and in an encoder-decoder the
target's first token, over the source.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from interp.explain.planted.record import Planted
from interp.explain.planted.wiring import Disguise, Head, Neurons, Space, Terms, Wiring
from interp.model.config import Shape

BLANK = 0
LENGTH = 8
"""Tokens of a text."""
DISGUISE = Disguise(heads=2, neurons=4, noise=6, rotate=False)


@dataclass(frozen=True)
class Frame:
    """Where things are in a model of one shape.

    Attributes:
        wiring: what is being built.
        stack: whose layers hold the mechanism.
        attention: name of the attention in them that reads the text.
        result: the space of the answer, one number.
    """

    wiring: Wiring
    stack: str
    attention: str
    result: Space

    @classmethod
    def of(cls, shape: Shape, d_vocab: int) -> Frame:
        """An empty model. An encoder-decoder has one token more, with which every target starts."""
        pair = shape == "encoder_decoder"
        wiring = Wiring(d_vocab + pair, LENGTH, shape)
        result = wiring.space(1)
        wiring.outputs = [(result, torch.tensor([[0.0, 1.0]]))]
        return cls(
            wiring, "decoder" if pair else "blocks", "cross_attn" if pair else "attn", result
        )

    def total(self, values: Tensor, into: Space | None = None) -> Space:
        """The sum of `values` [d_vocab, width] over the tokens of the text, in a new space."""
        table = torch.zeros(self.wiring.d_vocab, values.shape[1])
        table[: len(values)] = values
        source = self.wiring.token_table(table)
        found = into or self.wiring.space(values.shape[1])
        self.add_head(0, [(source, torch.eye(source.width))], [(found, mean_to_sum(source))])
        return found

    def add_head(
        self,
        layer: int,
        value: Terms,
        write: Terms,
        query_bias: Tensor | None = None,
        key: Terms = (),
    ) -> None:
        """A head that reads the text; without a key, all of it alike."""
        site = f"{self.stack}.{layer}.{self.attention}"
        self.wiring.heads.append(Head(site, (), key, value, write, query_bias))

    def add_neurons(self, layer: int, read: Terms, bias: list[float], write: Terms) -> None:
        """ReLU neurons of a layer."""
        site = f"{self.stack}.{layer}.mlp"
        self.wiring.neurons.append(Neurons(site, read, torch.tensor(bias), write))

    def planted(
        self,
        name: str,
        rule: Callable[[Tensor], Tensor],
        draw: Callable[[int, torch.Generator], Tensor],
        seed: int,
    ) -> Planted:
        """The finished model. `rule` gives the answer [batch] to tokens [batch, unit]."""
        wiring, pair = self.wiring, self.stack == "decoder"
        start = wiring.d_vocab - 1
        settings: dict[Shape, dict[str, Any]] = {
            "decoder": {"d_vocab_out": 2},
            "encoder": {"head": "classification", "n_classes": 2, "pooling": "first"},
            "encoder_decoder": {
                "d_vocab_out": 2,
                "bos_token_id": start,
                "decoder_start_token_id": start,
            },
        }
        model, heads, mlps = wiring.build(DISGUISE, seed, **settings[wiring.shape])
        alphabet = torch.ones(LENGTH + pair, wiring.d_vocab, dtype=torch.bool)
        if pair:  # the start token is only where it must be
            alphabet[:, start] = False
            alphabet[-1] = torch.arange(wiring.d_vocab) == start

        def mechanism(ids: Tensor) -> Tensor:
            answer = rule(ids[:, :LENGTH]).double()
            return torch.stack([torch.zeros_like(answer), answer], -1)[:, None]

        def texts(n: int, generator: torch.Generator) -> Tensor:
            drawn = draw(n, generator)
            return torch.cat([drawn, torch.full((n, 1), start)], 1) if pair else drawn

        place = {"decoder": LENGTH - 1, "encoder": None, "encoder_decoder": 0}[wiring.shape]
        return Planted(
            name=name,
            level="hand-written",
            model=model,
            mechanism=mechanism,
            places=(place,),
            alphabet=alphabet,
            blank=BLANK,
            draw=texts,
            heads=heads,
            mlps=mlps,
            answer=1,
            n_source=LENGTH if pair else 0,
        )


def mean_to_sum(space: Space, length: int = LENGTH) -> Tensor:
    """Makes a mean over `length` tokens a sum."""
    return torch.eye(space.width) * length


def fillers(n: int, generator: torch.Generator, low: int, high: int) -> Tensor:
    """Texts [n, unit] of tokens `low` to `high - 1`."""
    return torch.randint(low, high, (n, LENGTH), generator=generator)


def scatter(texts: Tensor, tokens: list[int], generator: torch.Generator) -> Tensor:
    """Puts each token once into each text, at places of their own."""
    places = torch.rand(len(texts), LENGTH, generator=generator).argsort(1)[:, : len(tokens)]
    return texts.scatter(1, places, torch.tensor(tokens).expand(len(texts), -1))


def mixed(weights: Tensor, share: float = 0.4) -> Callable[[int, torch.Generator], Tensor]:
    """Texts in which that share of the tokens weighs something."""

    def draw(n: int, generator: torch.Generator) -> Tensor:
        chance = torch.where(weights != 0, share / (weights != 0).sum(), 0.0)
        chance += torch.where(weights == 0, (1 - share) / (weights == 0).sum(), 0.0)
        chosen = torch.multinomial(chance, n * LENGTH, replacement=True, generator=generator)
        return chosen.view(n, LENGTH)

    return draw


# -- the mechanisms ----------------------------------------------------------------------------

WEIGHTS = torch.tensor([0.0, 2.0, 1.0, -1.0, -2.0, 0.0, 0.0, 0.0])
"""What each token adds where tokens add up; token 0 is blank."""


def additive(seed: int = 0, shape: Shape = "decoder") -> Planted:
    """Each token adds its own weight, positive or negative or none."""
    frame = Frame.of(shape, len(WEIGHTS))
    frame.total(WEIGHTS[:, None], into=frame.result)
    return frame.planted("additive", lambda ids: WEIGHTS[ids].sum(1), mixed(WEIGHTS), seed)


def conjunction(seed: int = 0, shape: Shape = "decoder") -> Planted:
    """AND: 1 where both the token 1 and the token 2 are somewhere in the text."""
    frame = Frame.of(shape, 8)
    total = frame.total(torch.eye(8)[:, 1:3])
    present = frame.wiring.space(2)
    twice = torch.eye(2).repeat(1, 2)
    frame.add_neurons(0, [(total, twice)], [0.0, 0.0, -1.0, -1.0], [(present, _clipped(2))])
    frame.add_neurons(1, [(present, torch.ones(2, 1))], [-1.0], [(frame.result, torch.ones(1, 1))])
    return frame.planted(
        "conjunction",
        lambda ids: (ids == 1).any(1) & (ids == 2).any(1),
        lambda n, generator: scatter(fillers(n, generator, 3, 8), [1, 2], generator),
        seed,
    )


def disjunction(seed: int = 0, shape: Shape = "decoder") -> Planted:
    """OR: 1 where the token 1 or the token 2 is somewhere in the text, however often."""
    frame = Frame.of(shape, 8)
    total = frame.total(torch.eye(8)[:, 1:3].sum(1, keepdim=True))
    frame.add_neurons(0, [(total, torch.ones(1, 2))], [0.0, -1.0], [(frame.result, _clipped(1))])

    def draw(n: int, generator: torch.Generator) -> Tensor:
        both = scatter(fillers(n, generator, 3, 8), [1, 2], generator)
        alone = torch.rand(n, 1, generator=generator) < 0.5
        return torch.where(alone & (both == 2), 3, both)

    return frame.planted("disjunction", lambda ids: ((ids == 1) | (ids == 2)).any(1), draw, seed)


NEGATED = torch.tensor([0.0, 0.0, 1.0, 2.0, -1.0, 0.0, 0.0, 0.0])
"""What each token adds, before the token 1 has its say."""


def negation(seed: int = 0, shape: Shape = "decoder") -> Planted:
    """Each token adds its weight, and the token 1, anywhere, reverses the sum and doubles it.

    (Were it only reversed, a word would have added as much before the token as it takes away
    after it, and its share would be 0.)
    """
    frame = Frame.of(shape, len(NEGATED))
    total = frame.total(torch.stack([NEGATED, torch.eye(8)[1]], 1))
    most = float(NEGATED.abs().max()) * LENGTH
    # relu(s - most n) - relu(-s - most n) is s without the token and 0 with it; three of it and
    # minus two of s are the answer.
    read = torch.tensor([[1.0, -1.0, 1.0, -1.0], [-most, -most, 0.0, 0.0]])
    write = torch.tensor([[3.0], [-3.0], [-2.0], [2.0]])
    frame.add_neurons(0, [(total, read)], [0.0] * 4, [(frame.result, write)])

    def draw(n: int, generator: torch.Generator) -> Tensor:
        texts = mixed(NEGATED)(n, generator)
        texts = torch.where(texts == 1, 5, texts)
        return scatter(texts, [1], generator)

    def rule(ids: Tensor) -> Tensor:
        total = NEGATED[ids].sum(1)
        return torch.where((ids == 1).any(1), -2 * total, total)

    return frame.planted("negation", rule, draw, seed)


def _clipped(width: int) -> Tensor:
    """relu(x) - relu(x - 1) = min(x, 1), of the neurons for x and those for x - 1."""
    return torch.cat([torch.eye(width), -torch.eye(width)])
