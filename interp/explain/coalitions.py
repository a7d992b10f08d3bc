"""The target where only some units of a text are present, the others as in the baseline."""

from __future__ import annotations

import torch
from torch import Tensor

from interp.explain.branches import branched_terms
from interp.explain.points import SOURCE, Point
from interp.explain.reading import finite


def coalition_values(point: Point, present: Tensor) -> Tensor:
    """The target of every coalition, the mean over baselines: v(S) in Shapley's terms.

    Args:
        present: [coalition, unit], True where the unit is as in the text.

    Returns:
        [coalition], float64.
    """
    return coalition_terms(point, present).sum(-1)


def coalition_terms(point: Point, present: Tensor) -> Tensor:
    """The same by term of the target, [coalition, term].

    In a causal model, what coalitions have in common at their beginning is computed once; what
    they have in common with the text is known. Those that miss nothing, or all, cost nothing.
    """
    owner = torch.empty(len(point.embedded), dtype=torch.long)
    for i, group in enumerate(point.units.groups):
        owner[list(group)] = i
    at = present.cpu().bool()[:, owner]  # [coalition, pos]
    ends = point.ends.cpu()
    with torch.no_grad():
        found = [
            _terms(point, at, baseline, ends[0], end)
            for baseline, end in zip(point.baselines, ends[1:], strict=True)
        ]
    return torch.stack(found).mean(0)


def _terms(point: Point, at: Tensor, baseline: Tensor, whole: Tensor, nothing: Tensor) -> Tensor:
    """[coalition, term] against one baseline.

    Args:
        at: [coalition, pos], True where the text is itself.
        whole, nothing: the target at the text and at the baseline, [term].
    """
    moves = (baseline != point.embedded).any(-1).cpu()
    missing = ~at & moves
    n_pos = at.shape[1]
    first = torch.where(missing.any(1), missing.int().argmax(1), n_pos)
    bare = (missing == moves).all(1) & moves.any()
    values = torch.where(bare[:, None], nothing, whole)
    fresh = (first < n_pos) & ~bare
    causal = _causal_from(point)
    late = (fresh & (first >= causal)).nonzero()[:, 0]
    rest = (fresh & (first < causal)).nonzero()[:, 0]
    for chunk in rest.split(point.rows) if len(rest) else ():
        absent = missing[chunk][..., None].to(baseline.device)
        found = point.terms(torch.where(absent, baseline, point.embedded))
        values[chunk] = finite(found, "target").double().cpu()
    if len(late):
        for some, found in branched_terms(point, baseline[causal:], missing[late, causal:]):
            values[late[some]] = finite(found, "target").double().cpu()
    if causal < n_pos:  # a causal model's earlier predictions stay what they were, exactly
        assert point.target.positions is not None
        read = causal + torch.tensor(point.target.positions)
        values = torch.where((read < first[:, None])[:, : values.shape[1]], whole, values)
    return values


def _causal_from(point: Point) -> int:
    """From which position on a change leaves everything before it as it was; the number of
    positions if there is none, or if what was is not known."""
    shape = point.model.cfg.shape
    if point.cache is None or point.target.positions is None or shape == "encoder":
        return len(point.embedded)
    if shape == "encoder_decoder":
        return point.parts[SOURCE].shape[1]
    return len(point.embedded) if point.model.cfg.head == "classification" else 0
