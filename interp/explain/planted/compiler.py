"""From a program to the weights of a Transformer that runs it.

An operation gets a space of the stream. Select and aggregate become one attention head, whose
scores are SHARP where a key fits the query and 0 elsewhere; the text's first token, at half of
that, takes the attention where nothing fits. A width is a head in which the first token always
fits, so that it gets the share 1 / (1 + width), and neurons that tell those shares apart. A
function is one layer of neurons, one for each of its inputs' values or pairs of values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from interp.explain.planted.programs import LENGTH, LETTERS, Program
from interp.explain.planted.rasp import (
    Aggregate,
    Indices,
    Map,
    Op,
    Select,
    Side,
    Tokens,
    Width,
    run,
)
from interp.explain.planted.record import Planted
from interp.explain.planted.wiring import SHARP, Disguise, Head, Neurons, Space, Terms, Wiring
from interp.model.config import Shape

FIRST = LETTERS
"""Id of the token with which every text begins."""
TARGET = 4
"""Tokens of a pair's target after its first; with the source's, few enough for exact truth."""
PLAIN = Disguise(heads=0, neurons=0, noise=0, rotate=False)
"""No disguise: each coordinate of the stream means something."""
_SHUT = 1e3  # more than any neuron's input


@dataclass
class Compiler:
    """Collects the weights of a program.

    Attributes:
        first: the space that marks the first token.
        placed: each operation's space, and the sub-layer from which on it is there: attention of
            layer l is 2l, its neurons 2l + 1; -1 is the embedding.
    """

    wiring: Wiring
    first: Space
    placed: dict[Op, tuple[Space, int]] = field(default_factory=dict)

    def place(self, op: Op) -> tuple[Space, int]:
        """Where an operation is, computing it first if need be."""
        if op not in self.placed:
            self.placed[op] = self._compute(op)
        return self.placed[op]

    def _compute(self, op: Op) -> tuple[Space, int]:
        if isinstance(op, Tokens):
            return self.wiring.token_table(torch.eye(self.wiring.d_vocab)[:, : op.width]), -1
        if isinstance(op, Indices):
            table = torch.cat([torch.zeros(1, op.width), torch.eye(op.width)])
            return self.wiring.position_table(table, op.side), -1
        if isinstance(op, Map):
            return self._function(op)
        if isinstance(op, Aggregate):
            return self._mean(op)
        assert isinstance(op, Width)
        return self._count(op)

    def _function(self, op: Map) -> tuple[Space, int]:
        found = [self.place(each) for each in op.inputs]
        at = _next(max(stage for _, stage in found), 1)
        out = self.wiring.space(op.width)
        # A neuron fires 1 where all its inputs are 1, and is far from firing otherwise.
        n = [each.width for each in op.inputs]
        grid = torch.cartesian_prod(*(torch.arange(k) for k in n)).view(-1, len(n))
        read = [
            (space, 2 * torch.eye(k)[:, column])
            for (space, _), k, column in zip(found, n, grid.t(), strict=True)
        ]
        bias = torch.full((len(grid),), 1.0 - 2 * len(n))
        table = op.table.reshape(-1, op.width).float()
        self._add_neurons(op.side, at, read, bias, [(out, table)])
        return out, at

    def _mean(self, op: Aggregate) -> tuple[Space, int]:
        values, when = self.place(op.values)
        if op.select.crosses:
            when = -1  # the source has been read to its end
        out = self.wiring.space(op.width)
        same = torch.eye(op.width)
        at = self._attend(op.select, when, SHARP / 2, [(values, same)], [(out, same)])
        return out, at

    def _count(self, op: Width) -> tuple[Space, int]:
        share, out = self.wiring.space(1), self.wiring.space(op.width)
        one = torch.ones(1, 1)
        at = self._attend(op.select, -1, SHARP, [(self.first, one)], [(share, one)]) + 1
        shares = 1 / (1 + torch.arange(op.width + 1.0))  # of 0, 1, 2, ... selected
        between, gap = (shares[1:] + shares[:-1]) / 2, shares[:-1] - shares[1:]
        slope = 2 / gap
        # relu(a) - relu(a - 1) steps from 0 to 1 at each border; a count lies between two steps.
        bias = torch.stack([0.5 - slope * between, -0.5 - slope * between]).flatten()
        read = [(share, slope.repeat(2)[None]), (self.first, torch.full((1, len(bias)), -_SHUT))]
        steps = torch.eye(op.width) - torch.eye(op.width).roll(1, 1).triu(1)
        self._add_neurons(op.side, at, read, bias, [(out, torch.cat([steps, -steps]))])
        return out, at

    def _attend(
        self, chosen: Select, when: int, first_score: float, value: Terms, write: Terms
    ) -> int:
        """Adds a head and says from which sub-layer on it has written."""
        keys, keys_when = self.place(chosen.keys)
        queries, queries_when = self.place(chosen.queries)
        ready = [when, queries_when, -1 if chosen.crosses else keys_when]
        at = _next(max(ready), 0)
        n = chosen.keys.width
        mark = torch.zeros(1, n + 1)
        mark[0, n] = 1
        looks = torch.cat([chosen.fits * SHARP, torch.zeros(len(chosen.fits), 1)], 1)
        kind = "cross_attn" if chosen.crosses else "attn"
        self.wiring.heads.append(
            Head(
                f"{chosen.queries.side}.{at // 2}.{kind}",
                query=[(queries, looks)],
                key=[(keys, torch.eye(n, n + 1)), (self.first, mark)],
                value=value,
                write=write,
                query_bias=mark[0] * first_score,
            )
        )
        return at

    def _add_neurons(self, side: Side, at: int, read: Terms, bias: Tensor, write: Terms) -> None:
        self.wiring.neurons.append(Neurons(f"{side}.{at // 2}.mlp", read, bias, write))


def _next(stage: int, parity: int) -> int:
    """The first sub-layer after a stage that is an attention (0) or neurons (1)."""
    return stage + 1 if (stage + 1) % 2 == parity else stage + 2


def compile_program(program: Program, seed: int = 0, disguise: Disguise | None = None) -> Planted:
    """A model that runs a program, exactly but for rounding.

    Args:
        seed: of the disguise, and of the order of the heads.
        disguise: by default all of it: a rotated stream, heads and neurons that do something else,
            and noise. `PLAIN` is none.
    """
    pair = program.shape == "encoder_decoder"
    wiring = Wiring(LETTERS + 1, LENGTH + 1, program.shape)
    mark = torch.zeros(LETTERS + 1, 1)
    mark[FIRST] = 1
    compiler = Compiler(wiring, wiring.token_table(mark))
    space, _ = compiler.place(program.output)
    wiring.outputs = [(space, torch.eye(program.output.width))]
    output = program.output.width
    settings: dict[Shape, dict[str, Any]] = {
        "decoder": {"d_vocab_out": output, "bos_token_id": FIRST},
        "encoder": {
            "head": "token_classification",
            "n_classes": output,
            "classifier_bias": False,
            "bos_token_id": FIRST,
        },
        "encoder_decoder": {
            "d_vocab_out": output,
            "bos_token_id": FIRST,
            "decoder_start_token_id": FIRST,
        },
    }
    disguise = disguise or Disguise()
    model, heads, mlps = wiring.build(disguise, seed, **settings[program.shape])
    steps = torch.tensor(program.places) - 1  # the interpreter does without the first token
    part = torch.ones(LENGTH + 1, LETTERS + 1, dtype=torch.bool)
    part[:, FIRST] = False
    part[0] = torch.arange(LETTERS + 1) == FIRST
    causal = frozenset({"blocks"} if program.shape == "decoder" else {"decoder"})

    def mechanism(ids: Tensor) -> Tensor:
        texts = {"blocks": ids[:, 1:]}
        if pair:
            texts = {"encoder": ids[:, 1 : LENGTH + 1], "decoder": ids[:, LENGTH + 2 :]}
        return run(program.output, texts, causal)[:, steps]

    def draw(n: int, generator: torch.Generator) -> Tensor:
        def letters() -> Tensor:
            return torch.randint(1, LETTERS, (n, LENGTH), generator=generator)

        texts = letters() if program.draw is None else program.draw(n, generator)
        first = torch.full((n, 1), FIRST)
        return torch.cat([first, texts, *([first, letters()[:, :TARGET]] if pair else [])], 1)

    return Planted(
        name=program.name,
        level="normed" if disguise.norm else "compiled",
        model=model,
        mechanism=mechanism,
        places=program.places,
        alphabet=torch.cat([part, part[: TARGET + 1]]) if pair else part,
        blank=0,
        draw=draw,
        heads=heads,
        mlps=mlps,
        n_source=LENGTH + 1 if pair else 0,
    )
