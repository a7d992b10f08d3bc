"""The target where only some units of a text are present, the others as in the baseline."""

from __future__ import annotations

import torch
from torch import Tensor

from interp.explain.points import SOURCE, Point
from interp.explain.reading import finite
from interp.model.tap import Tap


def coalition_values(point: Point, present: Tensor) -> Tensor:
    """The target of every coalition, the mean over baselines: v(S) in Shapley's terms.

    What precedes the first missing unit of a coalition is not computed again in a causal model:
    its keys and values are those of the text itself. Coalitions are sorted by it, and those that
    miss nothing cost nothing.

    Args:
        present: [coalition, unit], True where the unit is as in the text.

    Returns:
        [coalition], float64.
    """
    groups = point.units.groups
    owner = torch.empty(len(point.embedded), dtype=torch.long)
    for i, group in enumerate(groups):
        owner[list(group)] = i
    at = present.cpu().bool()[:, owner]  # [coalition, pos]
    total = torch.zeros(len(at), dtype=torch.float64)
    with torch.no_grad():
        for baseline, value in zip(point.baselines, point.baseline_values, strict=True):
            total += _values(point, at, baseline, value)
    return total / len(point.baselines)


def _values(point: Point, at: Tensor, baseline: Tensor, baseline_value: float) -> Tensor:
    moves = (baseline != point.embedded).any(-1).cpu()
    missing = ~at & moves
    n_pos = at.shape[1]
    first = torch.where(missing.any(1), missing.int().argmax(1), n_pos)
    values = torch.full((len(at),), point.value, dtype=torch.float64)
    values[(missing == moves).all(1) & moves.any()] = baseline_value
    todo = (first < n_pos) & ~(missing == moves).all(1)
    order = torch.argsort(first, stable=True)
    order = order[todo[order]]
    while len(order):
        start = int(first[order[0]])
        rows = (
            max(1, point.rows * n_pos // (n_pos - start)) if _resumes(point, start) else point.rows
        )
        chunk, order = order[:rows], order[rows:]
        mixed = torch.where(missing[chunk][..., None].to(baseline.device), baseline, point.embedded)
        found = values_from(point, start, mixed)
        values[chunk] = finite(found, "target").double().cpu()
    return values


def _resumes(point: Point, first: int) -> bool:
    """Whether the positions before `first` need not be computed again."""
    if point.cache is None or point.target.positions is None or first == 0:
        return False
    if point.model.cfg.shape == "encoder_decoder":
        return first >= point.parts[SOURCE].shape[1]
    causal: bool = point.model.cfg.shape == "decoder"
    return causal and point.model.cfg.head != "classification"


def values_from(point: Point, first: int, embeddings: Tensor) -> Tensor:
    """The target [n] at embeddings [n, pos, d_model] that are the text's own before `first`."""
    if not _resumes(point, first):
        return point.values(embeddings)
    model, (last, ids) = point.model, list(point.parts.items())[-1]
    before = len(point.embedded) - ids.shape[1]  # an encoder-decoder's source
    assert point.target.positions is not None
    start = min(first - before, *point.target.positions)
    point.forwards += len(embeddings)
    part = model.stack(model.last_stack)
    trace = point.cache.require_replay().traces[part.name]
    n = len(embeddings)
    segments = point.inputs.get("token_type_ids")
    resid = part.begin(
        ids[:, start:].expand(n, -1),
        trace.position_ids[:, start:],
        None if segments is None else segments[:, start:].expand(n, -1),
        _Put(last, embeddings[:, before + start :]),
    )
    stream = model.resume(
        point.cache, 0, start, resid=resid, stop_at_layer=len(part.blocks), stack=part.name
    )
    return point.read_stream(stream, first=start)


class _Put(Tap):
    """Sets one activation."""

    def __init__(self, name: str, value: Tensor):
        self.name, self.value = name, value

    def wants(self, name: str) -> bool:
        return name == self.name

    edits = wants

    def visit(self, name: str, value: Tensor) -> Tensor:
        return self.value
