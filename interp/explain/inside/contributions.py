"""How what the tokens bring travels to the prediction: a part for each step between streams.

Hold what the text does to the norms' scales, the attention patterns and the slopes of the
activation functions (`interp.explain.methods.frozen`). Each block is then affine in the streams
that it reads, and the target is affine in every stream. The value of a stream x_i at a level is
g_i . x_i, with g the gradient of the frozen target there; the value of the step from i to a stream
j of the next level is g_j . J_ji x_i, with J the block's Jacobian. Two laws hold by the chain rule,
so that the steps are a flow that can be followed in both directions:

- what leaves a stream adds up to its value;
- what enters a stream adds up to its value, but for what the biases of the block add.

Over a whole network this is layer-wise relevance propagation with constant patterns (Ali et al.
2022, arXiv 2202.07304), written as a graph as in Ferrando and Voita 2024 (arXiv 2403.00824).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from interp.explain.attribute import read_target
from interp.explain.baseline import Baseline
from interp.explain.points import Point
from interp.explain.rules import backward_rules
from interp.explain.target import Target
from interp.model.core import Transformer
from interp.model.tap import Tap, chain

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Contributions:
    """What travels from the tokens to a prediction.

    Attributes:
        tokens: their texts; of an encoder-decoder the source, and behind it what is written.
        target: in words.
        value: of the target.
        nodes: a row per stream: `level` (0 is the lowest in the picture; a decoder stands on its
            encoder), `stack`, `layer` (blocks that have written into it), `position` (in
            `tokens`), `token`, `value`, `bias` (the part that entered with the block below it).
        edges: a row per step, zeros left out: `level`, `position`, `to_level`, `to_position`,
            `value`.
        bias: the part of the target from the biases of the head and its norm.
    """

    tokens: tuple[str, ...]
    target: str
    value: float
    nodes: pd.DataFrame
    edges: pd.DataFrame
    bias: float


def contributions(
    model: Any,
    text: str | Tensor | list[int],
    target: Target | None = None,
    *,
    inputs: dict[str, Any] | None = None,
) -> Contributions:
    """The steps by which every token's part reaches a target that is linear in the logits.

    Takes one forward and one backward of a copy of the text for each of its tokens.

    Args:
        model: of any shape.
        text: one text, or its ids.
        target: by default the logit of the model's own prediction at the end.
        inputs: further inputs of the forward.

    Raises:
        UnsupportedModelError: a part of the model has no rule, or it is another library's.
        InputError: what the model or the target refuses.
    """
    point = Point.read(model, text, read_target(target), Baseline.mean(), dict(inputs or {}))
    levels = _levels(point)
    run = _Run(point, levels, 1)
    slopes = run.slopes()
    streams = [leaf[0].detach() for leaf in run.leaves]
    steps = _steps(point, levels, slopes, streams)
    return _result(point, levels, slopes, streams, steps)


@dataclass(frozen=True)
class _Level:
    """The streams between two blocks of a stack.

    Attributes:
        name: of their hook point.
        layer: blocks of the stack that have written into them.
        height: in the picture.
        start, stop: their positions among all of a `Point`.
        reads: the levels that the block below reads; none at the bottom of a stack.
    """

    name: str
    stack: str
    layer: int
    height: int
    start: int
    stop: int
    reads: tuple[int, ...]


def _levels(point: Point) -> list[_Level]:
    model = point.require_taps()
    pair = len(point.parts) == 2
    levels: list[_Level] = []
    start, height = 0, 0
    memory: tuple[int, ...] = ()  # the top of the encoder, which every block of a decoder reads
    for stack, ids in zip(
        ("encoder", "decoder") if pair else (model.last_stack,), point.parts.values(), strict=True
    ):
        n = len(model.stack(stack).blocks)
        stop = start + ids.shape[1]
        for layer in range(n + 1):
            below = (len(levels) - 1, *memory) if layer else ()
            name = f"{stack}.{layer}.hook_resid_pre" if layer < n else _top(model, stack, n)
            levels.append(_Level(name, stack, layer, height + layer, start, stop, below))
        start, height, memory = stop, height + n, (len(levels) - 1,)
    return levels


def _top(model: Transformer, stack: str, n: int) -> str:
    """The stream that a stack hands on: behind the norm of a block that ends with one."""
    normed = f"{stack}.{n - 1}.hook_normalized_resid_post"
    return normed if normed in model.hook_points else f"{stack}.{n - 1}.hook_resid_post"


class _Run:
    """A forward of copies of the text in which each block is a graph of its own."""

    def __init__(self, point: Point, levels: list[_Level], copies: int):
        self.levels = levels
        cut = _Cut({level.name for level in levels})
        rules = backward_rules(point.model, "frozen")
        with torch.enable_grad():
            embedded = point.embedded.detach().expand(copies, -1, -1)
            self.value = point.values(embedded, chain(cut, rules))
        self.arrived = [cut.arrived[level.name] for level in levels]
        self.leaves = [cut.leaves[level.name] for level in levels]

    def slopes(self) -> list[Tensor]:
        """The gradient of the frozen target at every level, [pos, d_model] each."""
        found = [torch.zeros_like(leaf) for leaf in self.leaves]
        (found[-1],) = torch.autograd.grad(self.value.sum(), self.leaves[-1])
        for i in reversed(range(len(self.levels))):
            for below, slope in zip(self.levels[i].reads, self.back(i, found[i]), strict=True):
                found[below] = found[below] + slope
        return [slope[0] for slope in found]

    def back(self, i: int, slope: Tensor) -> list[Tensor]:
        """Through the block below a level, to the levels that it reads: [copy, pos, d_model]."""
        reads = [self.leaves[below] for below in self.levels[i].reads]
        if not reads:
            return []
        return list(torch.autograd.grad(self.arrived[i], reads, slope, retain_graph=True))


class _Cut(Tap):
    """Ends the graph at some points and begins a new one there."""

    def __init__(self, names: set[str]):
        self.names = names
        self.arrived: dict[str, Tensor] = {}
        self.leaves: dict[str, Tensor] = {}

    def wants(self, name: str) -> bool:
        return name in self.names

    edits = wants

    def visit(self, name: str, value: Tensor) -> Tensor:
        self.arrived[name] = value
        self.leaves[name] = value.detach().requires_grad_()
        return self.leaves[name]


_Steps = dict[tuple[int, int], Tensor]
"""Levels from and to -> values [from, to]."""


def _steps(
    point: Point, levels: list[_Level], slopes: list[Tensor], streams: list[Tensor]
) -> _Steps:
    """Copy j of the text carries back what arrives at position j alone."""
    found: dict[tuple[int, int], list[Tensor]] = {}
    longest = max(level.stop - level.start for level in levels)
    for chunk in torch.arange(longest).split(point.rows):
        run = _Run(point, levels, len(chunk))
        for i, level in enumerate(levels):
            places = chunk[chunk < level.stop - level.start]
            slope = torch.zeros_like(run.leaves[i])
            slope[range(len(places)), places] = slopes[i][places]
            for below, back in zip(level.reads, run.back(i, slope), strict=True):
                values = (back[: len(places)] * streams[below]).sum(-1)
                found.setdefault((below, i), []).append(values.double())
    return {between: torch.cat(values).T for between, values in found.items()}


def _result(
    point: Point,
    levels: list[_Level],
    slopes: list[Tensor],
    streams: list[Tensor],
    steps: _Steps,
) -> Contributions:
    import pandas as pd

    tokens = tuple(point.token_texts())
    nodes, edges = [], []
    for i, (level, slope, stream) in enumerate(zip(levels, slopes, streams, strict=True)):
        values = (slope.double() * stream.double()).sum(-1)
        entered = [step.sum(0) for (_, to), step in steps.items() if to == i]
        bias = values - torch.stack(entered).sum(0) if entered else torch.zeros_like(values)
        nodes.append(
            pd.DataFrame(
                {
                    "level": level.height,
                    "stack": level.stack,
                    "layer": level.layer,
                    "position": range(level.start, level.stop),
                    "token": tokens[level.start : level.stop],
                    "value": values.tolist(),
                    "bias": bias.tolist(),
                }
            )
        )
    for (below, i), step in steps.items():
        start, end = step.nonzero().T.tolist()
        edges.append(
            pd.DataFrame(
                {
                    "level": levels[below].height,
                    "position": [levels[below].start + place for place in start],
                    "to_level": levels[i].height,
                    "to_position": [levels[i].start + place for place in end],
                    "value": step[start, end].tolist(),
                }
            )
        )
    top = nodes[-1]["value"].sum()
    return Contributions(
        tokens=tokens,
        target=point.target.description,
        value=point.value,
        nodes=pd.concat(nodes, ignore_index=True),
        edges=pd.concat(edges, ignore_index=True),
        bias=float(point.value - top),
    )
