"""The target where only some units of a text are present, the others as in the baseline."""

from __future__ import annotations

import torch
from torch import Tensor

from interp.explain.head import read_entering, read_terms
from interp.explain.points import SOURCE, Point
from interp.explain.reading import finite
from interp.model.tap import Tap


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

    What precedes the first missing unit of a coalition is not computed again in a causal model:
    its keys and values are those of the text itself. Coalitions are sorted by it, and those that
    miss nothing cost nothing.
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
    order = torch.argsort(first, stable=True)
    order = order[((first < n_pos) & ~bare)[order]]
    while len(order):
        start = int(first[order[0]])
        rows = point.rows
        if _resumes(point, start):
            # Fewer together, so that those that miss later units do not begin with the first.
            rows = max(1, rows * n_pos // (4 * (n_pos - start)))
        chunk, order = order[:rows], order[rows:]
        absent = missing[chunk][..., None].to(baseline.device)
        mixed = torch.where(absent, baseline, point.embedded)
        found = terms_from(point, start, mixed)
        values[chunk] = finite(found, "target").double().cpu()
    if _resumes(point, n_pos):  # a causal model's earlier predictions stay what they were, exactly
        assert point.target.positions is not None
        last = list(point.parts.values())[-1].shape[1]
        read = torch.tensor(point.target.positions) + n_pos - last
        values = torch.where((read < first[:, None])[:, : values.shape[1]], whole, values)
    return values


def _resumes(point: Point, first: int) -> bool:
    """Whether the positions before `first` need not be computed again."""
    if point.cache is None or point.target.positions is None or first == 0:
        return False
    if point.model.cfg.shape == "encoder_decoder":
        return first >= point.parts[SOURCE].shape[1]
    causal: bool = point.model.cfg.shape == "decoder"
    return causal and point.model.cfg.head != "classification"


def terms_from(point: Point, first: int, embeddings: Tensor) -> Tensor:
    """The target [n, term] at embeddings [n, pos, d_model] that are the text itself before
    `first`."""
    if not _resumes(point, first):
        return point.terms(embeddings)
    model, (written, ids) = point.model, list(point.parts.items())[-1]
    before = len(point.embedded) - ids.shape[1]  # an encoder-decoder's source
    positions = point.target.positions
    assert positions is not None
    start = min(first - before, *positions)
    point.forwards += len(embeddings)
    part = model.stack(model.last_stack)
    trace = point.cache.require_replay().traces[part.name]
    n = len(embeddings)
    segments = point.inputs.get("token_type_ids")
    resid = part.begin(
        ids[:, start:].expand(n, -1),
        trace.position_ids[:, start:],
        None if segments is None else segments[:, start:].expand(n, -1),
        _Put(written, embeddings[:, before + start :]),
    )
    last = max(0, len(part.blocks) - 1)
    stream = model.resume(point.cache, 0, start, resid=resid, stop_at_layer=last, stack=part.name)
    if not part.blocks:
        return read_terms(model, point.target, stream[:, [i - start for i in positions]])
    return read_entering(model, point.target, stream, point.cache)


class _Put(Tap):
    """Sets one activation."""

    def __init__(self, name: str, value: Tensor):
        self.name, self.value = name, value

    def wants(self, name: str) -> bool:
        return name == self.name

    edits = wants

    def visit(self, name: str, value: Tensor) -> Tensor:
        return self.value
