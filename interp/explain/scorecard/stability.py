"""Whether scores change when they should, and stay when they should."""

from __future__ import annotations

import copy
import dataclasses
import math
from typing import Any

import torch
from torch import Tensor

from interp.errors import InterpError
from interp.explain.baseline import Baseline
from interp.explain.methods import METHODS
from interp.explain.points import Point
from interp.explain.scorecard.agreement import correlation_line
from interp.explain.scorecard.line import Line
from interp.explain.scorecard.variants import with_baseline
from interp.model.core import Transformer
from interp.model.init import init_weights

RADIUS = 0.02  # of the mean norm of the text's embeddings


def scores_at(point: Point, method: str, options: dict[str, Any]) -> Tensor:
    """Scores [unit] of a method on another point."""
    return METHODS[method](point, **options).scores.double().cpu()


def sensitivity_line(
    point: Point, method: str, options: dict[str, Any], scores: Tensor, draws: int, seed: int
) -> Line:
    """Max-sensitivity (Yeh et al. 2019): the largest relative change of the scores [unit] when
    every embedding that can move is moved by 2 % of the mean norm, in random directions."""
    generator = torch.Generator().manual_seed(seed)
    norm = float(point.embedded.norm(dim=-1).mean())
    movable = torch.zeros(len(point.embedded), 1, dtype=torch.bool)
    for i in point.movable.nonzero()[:, 0].tolist():
        movable[list(point.units.groups[i])] = True
    changes = []
    for _ in range(draws):
        direction = torch.randn(point.embedded.shape, generator=generator).to(point.embedded)
        step = RADIUS * norm * direction / direction.norm(dim=-1, keepdim=True)
        moved = _moved(point, point.embedded + step * movable.to(point.embedded.device))
        change = scores_at(moved, method, options) - scores
        changes.append(float(change.norm() / scores.norm()) if scores.norm() else math.nan)
    worst = max(changes)
    return Line("max-sensitivity", worst, "lower", n=draws, note="at 2 % of the embeddings' norm")


def _moved(point: Point, embedded: Tensor) -> Point:
    return dataclasses.replace(point, embedded=embedded, cache=None).settle()


def randomised_lines(
    point: Point, method: str, options: dict[str, Any], scores: Tensor, *, cascade: bool, seed: int
) -> list[Line]:
    """Correlation of |scores| with those of the model with random weights (Adebayo et al. 2018,
    arXiv 1810.03292): near 0 for a method that explains the model and not the text alone.

    Args:
        cascade: also with only the upper half of the blocks and the head random.
    """
    if not isinstance(point.model, Transformer):
        return []
    lines = []
    depths = {"all weights": 0.0, "upper half": 0.5} if cascade else {"all weights": 0.0}
    for name, depth in depths.items():
        model = _randomised(point.model, depth, seed)
        other = dataclasses.replace(point, model=model, cache=None, edited=False).settle()
        try:
            found = scores_at(other, method, options)
        except InterpError:
            continue
        line = correlation_line(f"randomised {name}", scores.abs(), found.abs(), kendall=False)
        lines.append(dataclasses.replace(line, better="near 0"))
    return lines


def _randomised(model: Transformer, depth: float, seed: int) -> Transformer:
    """A copy whose blocks from a share `depth` of the stack on, final norm and head are fresh."""
    other = copy.deepcopy(model, {id(model.tokenizer): model.tokenizer})
    fresh = copy.deepcopy(other)
    init_weights(fresh, fresh.cfg, seed + 1)
    tables = {"embed.", "input.", "decoder_input."}
    weights = dict(other.named_parameters())
    with torch.no_grad():
        for name, value in fresh.named_parameters():
            if any(name.startswith(table) for table in tables):
                continue  # the text stays what it is
            parts = name.split(".")
            deep = True
            if parts[0] in other.stack_names():
                deep = int(parts[1]) >= depth * len(other.stack(parts[0]).blocks)
            if deep:
                weights[name].copy_(value)
    return other


def baseline_line(
    point: Point, other: Baseline, method: str, options: dict[str, Any], scores: Tensor
) -> Line:
    """Correlation with the scores against another baseline."""
    found = scores_at(with_baseline(point, other), method, options)
    players = point.movable.cpu()
    line = correlation_line("baseline stability", scores[players], found[players], kendall=False)
    return dataclasses.replace(line, note=f"against {other.description}")
