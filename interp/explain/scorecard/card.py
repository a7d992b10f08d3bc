"""The scorecard of an attribution: how far it can be trusted, on this text and this model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.attribution import Attribution, Origin
from interp.explain.baseline import Baseline
from interp.explain.game import Game
from interp.explain.methods.shapley import shapley_values
from interp.explain.scorecard.agreement import (
    correlation_line,
    leave_one_out,
    rationale_lines,
)
from interp.explain.scorecard.controls import control_scores
from interp.explain.scorecard.deletion import area_line, eraser_lines, random_areas
from interp.explain.scorecard.distribution import gap_line, perplexity_line
from interp.explain.scorecard.line import Line, averaged
from interp.explain.scorecard.perturbation import infidelity_line, random_masks, soft_lines
from interp.explain.scorecard.stability import baseline_line, randomised_lines, sensitivity_line
from interp.explain.scorecard.variants import probability, with_baseline, with_target

if TYPE_CHECKING:
    import pandas as pd

Depth = Literal["light", "full"]


@dataclass(frozen=True)
class Effort:
    """How much is drawn."""

    orders: int
    masks: int
    draws: int
    moves: int
    shapley: int  # exact values up to so many players
    cascade: bool


EFFORT: dict[str, Effort] = {
    "light": Effort(orders=20, masks=64, draws=16, moves=2, shapley=8, cascade=False),
    "full": Effort(orders=100, masks=256, draws=64, moves=10, shapley=12, cascade=True),
}


@dataclass(frozen=True)
class Scorecard:
    """What the checks found, in no single number.

    Attributes:
        frame: a row per method and metric: method, kind (`method` or `control`), metric, value,
            ci_low, ci_high (NaN where the figure is exact for this text), n, better, note.
        target: facts of what is explained: value, baseline value, probability, rank.
    """

    frame: pd.DataFrame
    target: dict[str, float]

    def of(self, method: str) -> pd.DataFrame:
        """The rows of one method or control."""
        return self.frame[self.frame["method"] == method]

    def table(self) -> pd.DataFrame:
        """Metrics down, methods and controls across."""
        order = list(dict.fromkeys(self.frame["method"]))
        metrics = list(dict.fromkeys(self.frame["metric"]))
        wide = self.frame.pivot(index="metric", columns="method", values="value")
        return wide.loc[metrics, order]


def scorecard(
    attributions: Attribution | Sequence[Attribution],
    depth: Depth = "light",
    *,
    rationale: Sequence[bool] | None = None,
    seed: int = 0,
) -> Scorecard:
    """Checks attributions of one text and target, beside three controls.

    Args:
        attributions: as `attribute` returned them in this process, all of one text, target and
            baseline.
        depth: `light` takes about a hundred batched forwards, `full` some thousand.
        rationale: [unit], the units that people marked as the reason.

    Raises:
        InputError: attributions of different texts, targets, baselines or units, or read from a
            file, which have no model behind them.
    """
    import pandas as pd

    if depth not in EFFORT:
        raise InputError(f"depth is {depth!r}; it must be 'light' or 'full'.")
    given = [attributions] if isinstance(attributions, Attribution) else list(attributions)
    origins = _origins(given)
    point, effort = origins[0].point, EFFORT[depth]
    with torch.inference_mode(False):
        checks = _Checks(Game(point), effort, seed, rationale)
        rows: list[dict[str, Any]] = []
        for found, origin in zip(given, origins, strict=True):
            scores = torch.tensor(found.scores, dtype=torch.float64)
            lines = [*checks.own(found, origin, scores), *checks.shared(scores), *_cost(found)]
            rows += _rows(found.method, "method", lines)
        for name, draws in control_scores(point, seed).items():
            runs = [checks.shared(scores) for scores in draws]
            rows += _rows(name, "control", averaged(runs) if len(runs) > 1 else runs[0])
        facts = checks.facts()
    return Scorecard(pd.DataFrame(rows), facts)


class _Checks:
    """The lines of one text; what they have in common is computed once."""

    def __init__(self, game: Game, effort: Effort, seed: int, rationale: Sequence[bool] | None):
        self.game, self.effort, self.seed, self.rationale = game, effort, seed, rationale
        point = game.point
        self.second = _second_baseline(point.baselines)
        self.other = Game(with_baseline(point, self.second))
        chance = probability(point.target)
        self.chance = None if chance is None else Game(with_target(point, chance))
        self.masks = random_masks(len(game), effort.masks, seed)
        enough = game.moves and len(game) > 1
        self.random = random_areas(game, effort.orders, seed) if enough else []
        self.other_random = (
            random_areas(self.other, effort.orders, seed)
            if enough and self.other.moves and effort.cascade
            else []
        )
        self.left_out = leave_one_out(game) if len(game) else torch.empty(0)
        small = 1 < len(game) <= effort.shapley
        self.shapley = shapley_values(game.values, len(game)) if small else None

    def shared(self, scores: Tensor) -> list[Line]:
        """The lines of any scores [unit], controls' too."""
        game, lines = self.game, list[Line]()
        players = scores[game.players]
        supports = game.difference >= 0
        if self.random:
            lines.append(area_line(game, players, self.random))
            if self.other_random:
                suffix = f", {self.second.kind} replacement"
                lines.append(area_line(self.other, players, self.other_random, suffix))
        if len(game) > 1:
            lines.append(
                correlation_line("tau, leave-one-out", players, self.left_out, kendall=True)
            )
            if self.shapley is not None:
                lines.append(
                    correlation_line("rho, exact Shapley", players, self.shapley, kendall=False)
                )
            lines.append(infidelity_line(game, players, self.masks))
        if self.chance is not None and len(game):
            lines += eraser_lines(self.chance, players, supports)
            lines += soft_lines(
                self.chance.point,
                players if supports else -players,
                game.players,
                self.effort.draws,
                self.seed,
            )
        if self.rationale is not None:
            lines += rationale_lines(scores.tolist(), self.rationale)
        return lines

    def own(self, found: Attribution, origin: Origin, scores: Tensor) -> list[Line]:
        """The lines for which the method has to be run again."""
        lines = []
        if found.completeness_error is not None:
            lines.append(Line("completeness error", found.completeness_error, "lower"))
        if not len(self.game):
            return lines
        point, method, options = origin.point, origin.method, origin.options
        lines.append(sensitivity_line(point, method, options, scores, self.effort.moves, self.seed))
        lines += randomised_lines(
            point, method, options, scores, cascade=self.effort.cascade, seed=self.seed
        )
        if len(self.game) > 1:
            lines.append(baseline_line(point, self.second, method, options, scores))
        return lines

    def facts(self) -> dict[str, float]:
        """What is explained, and how unlike real texts the perturbed ones are."""
        game, point = self.game, self.game.point
        facts = {
            "value": point.value,
            "baseline value": point.baseline_value,
            "difference": game.difference,
        }
        if self.chance is not None:
            facts["probability"] = self.chance.point.value
        if game.moves and len(game):
            facts["replacement gap"] = gap_line(game, self.other, self.masks).value
            ratio = perplexity_line(game, self.masks)
            if ratio is not None:
                facts["perplexity ratio"] = ratio.value
        return facts


def _second_baseline(baselines: Tensor) -> Baseline:
    """Another replacement than the attribution's own."""
    return Baseline.uniform(2) if len(baselines) == 1 else Baseline.mean()


def _cost(found: Attribution) -> list[Line]:
    cost = found.cost
    lines = [
        Line("forwards", cost.forwards, "lower"),
        Line("backwards", cost.backwards, "lower"),
        Line("seconds", cost.seconds, "lower"),
    ]
    return lines if cost.bytes is None else [*lines, Line("peak MiB", cost.bytes / 2**20, "lower")]


def _rows(method: str, kind: str, lines: Sequence[Line]) -> list[dict[str, Any]]:
    return [{"method": method, "kind": kind, **dataclasses.asdict(line)} for line in lines]


def _origins(given: Sequence[Attribution]) -> list[Origin]:
    if not given:
        raise InputError("There is no attribution to check.")
    origins = []
    for found in given:
        if found.origin is None:
            raise InputError(
                "This attribution was read from a file and has no model behind it; explain the "
                "text again with `attribute`."
            )
        origins.append(found.origin)
    same: tuple[Callable[[Attribution], Any], ...] = (
        lambda a: a.tokens_hash,
        lambda a: a.weights_hash,
        lambda a: a.target,
        lambda a: a.baseline,
        lambda a: a.groups,
    )
    if any(len({key(found) for found in given}) > 1 for key in same):
        raise InputError(
            "A scorecard compares attributions of one text, model, target, baseline and division "
            "into units; these differ."
        )
    names = [found.method for found in given]
    if len(set(names)) < len(names):
        raise InputError(f"A scorecard has one row for a method; given are {', '.join(names)}.")
    return origins
