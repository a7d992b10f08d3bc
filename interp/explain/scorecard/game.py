"""The evaluations that the lines of a scorecard share: each coalition is computed once."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from interp.explain.baseline import Baseline
from interp.explain.coalitions import coalition_values
from interp.explain.finding import rounding
from interp.explain.points import DECODER, Point
from interp.explain.resolved import ResolvedTarget


class Game:
    """A text as a cooperative game of its units.

    Coalitions are over the units that can move, [coalition, player]; the others are always
    present.

    Attributes:
        point: the text on the model.
        players: index of each movable unit.
    """

    def __init__(self, point: Point):
        self.point = point
        self.players = point.movable.nonzero()[:, 0].cpu()
        self._known: dict[bytes, float] = {}

    def __len__(self) -> int:
        return len(self.players)

    @property
    def difference(self) -> float:
        """F(text) - F(baseline)."""
        return self.point.value - self.point.baseline_value

    @property
    def moves(self) -> bool:
        """Whether there is a difference to explain."""
        return abs(self.difference) > rounding(self.point)

    def values(self, present: Tensor) -> Tensor:
        """v(S) of coalitions [coalition, player], [coalition] float64."""
        rows = present.bool().cpu()
        keys = [row.numpy().tobytes() for row in rows]
        fresh: dict[bytes, int] = {}
        for i, key in enumerate(keys):
            if key not in self._known:
                fresh.setdefault(key, i)
        if fresh:
            chosen = rows[list(fresh.values())]
            whole = torch.ones(len(chosen), len(self.point.units), dtype=torch.bool)
            whole[:, self.players] = chosen
            found = coalition_values(self.point, whole).tolist()
            self._known.update(zip(fresh, found, strict=True))
        return torch.tensor([self._known[key] for key in keys], dtype=torch.float64)

    def shares(self, values: Tensor) -> Tensor:
        """Values of the target as shares of the difference: 1 at the text, 0 at the baseline."""
        return (values - self.point.baseline_value) / self.difference


def with_baseline(point: Point, baseline: Baseline) -> Point:
    """The same text compared with something else."""
    lengths = [ids.shape[1] for ids in point.parts.values()]
    pieces = dict(zip(point.parts, point.embedded[None].split(lengths, 1), strict=True))
    start = [
        pieces[name]
        if baseline.of_source and name == DECODER
        else baseline.resolve(point.model, ids, pieces[name])
        for name, ids in point.parts.items()
    ]
    n = max(len(x) for x in start)
    baselines = torch.cat([x.expand(n, -1, -1) for x in start], 1)
    return dataclasses.replace(point, baselines=baselines).settle()


def with_target(point: Point, target: ResolvedTarget) -> Point:
    """The same text with another number to explain."""
    return dataclasses.replace(point, target=target).settle()


def probability(target: ResolvedTarget) -> ResolvedTarget | None:
    """The probability of what a target asks for: of its token, class or answer; of several tokens,
    the geometric mean. None for a function of the logits, which has none."""
    if target.kind in ("sequence", "span_start", "span_end"):
        n = max(1, len(target.tokens)) if target.kind == "sequence" else 1

        def mean_probability(logits: Tensor) -> Tensor:
            return (target(logits) / n).exp()

        return ResolvedTarget("callable", "probability", function=mean_probability)
    if target.kind == "callable":
        return None
    return dataclasses.replace(target, kind="probability", foil=None, description="probability")


def log_odds(p: Tensor) -> Tensor:
    """log p / (1 - p), of probabilities kept away from 0 and 1 by 1e-9."""
    p = p.clamp(1e-9, 1 - 1e-9)
    return (p / (1 - p)).log()
