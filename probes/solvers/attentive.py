"""Edge probes that pool the tokens of a stretch by themselves (Tenney et al. 2019, arXiv
1905.06316, section 3.1).

Each end e of a row is a stretch of tokens x_t. It is projected, z_t = P x_t + q, and pooled by an
attention that knows the tokens alone, h = sum_t a_t z_t with a = softmax_t(s . z_t); P, q and s are
its own. The pooled ends side by side go through one hidden layer, V relu(U [h_1, h_2] + a) + b. The
penalty is strength / 2 times the sum of the squares of P, s, U and V.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from interp.errors import InputError
from probes.solvers.lbfgs import minimise
from probes.solvers.logistic import Problems
from probes.solvers.smooth import ROWS, Smooth
from probes.solvers.spans import Spans


@dataclass(frozen=True)
class AttentiveFit:
    """Fitted probes: P [problem, end, size, d], q and s [problem, end, size], U [problem, size,
    end * size], a [problem, size], V [problem, class, size], b [problem, class]; `loss` [problem]
    in nats a row, penalty included."""

    problems: Problems
    parts: tuple[Tensor, ...]
    loss: Tensor

    def logits(self, rows: Spans, problem: int) -> Tensor:
        """Scores [row, class] of one problem for the rows of its site."""
        one = [part[problem, None] for part in self.parts]
        blocks = range(0, len(rows), ROWS)
        return torch.cat([_scores(rows, slice(i, i + ROWS), one)[0] for i in blocks])


def fit_attentive(
    rows: Spans,
    labels: Tensor,
    problems: Problems,
    *,
    n_classes: int,
    size: int,
    weights: Tensor | None = None,
    tolerance: float = 1e-5,
    max_iterations: int = 100,
    seed: int = 0,
) -> AttentiveFit:
    """Fits all problems from the same seeded start, by L-BFGS on all rows.

    The start weighs the tokens of a stretch evenly. The loss is not convex; where it ends depends
    on the start.

    Args:
        rows: of all sites; their tokens standardised, [site, token, d].
        labels: [table, row]; weights: [table, row].
        size: of the projections and of the hidden layer.

    Raises:
        InputError: shapes that contradict each other, or a size below one.
    """
    n, ends = rows.start.shape
    if rows.tokens.ndim != 3 or labels.shape[1] != n or size < 1:
        raise InputError(
            f"Tokens of shape {list(rows.tokens.shape)}, {n} rows, {labels.shape[1]} labels and a "
            f"size of {size} are no probe; tokens are [site, token, d]."
        )
    tokens = rows.tokens
    problems, labels = problems.to(tokens.device), labels.to(tokens.device)
    weights = torch.ones_like(labels[:1], dtype=tokens.dtype) if weights is None else weights
    d = tokens.shape[2]
    shapes = (
        (ends, size, d), (ends, size), (ends, size),
        (size, ends * size), (size,), (n_classes, size), (n_classes,),
    )  # fmt: skip
    generator = torch.Generator().manual_seed(seed)
    first = [torch.zeros(shape, dtype=tokens.dtype) for shape in shapes]
    # The projections and the hidden layer are random; attention is even, scores are zero.
    for part, inputs in ((first[0], d), (first[3], ends * size)):
        part.copy_(torch.randn(part.shape, generator=generator, dtype=part.dtype) / inputs**0.5)
    sites = [Spans(one, rows.start, rows.stop) for one in tokens]
    work = Smooth(
        lambda site, part, parts: _scores(sites[site], part, parts),
        _size,
        n,
        labels,
        weights.to(tokens),
        problems,
        shapes,
    )
    start = torch.cat([part.flatten() for part in first]).to(tokens.device)
    found = minimise(
        work,
        start.repeat(len(problems), 1),
        tolerance=tolerance,
        max_iterations=max_iterations,
    )
    return AttentiveFit(problems, work.parts(found.x), found.value)


def pool(z: Tensor, scores: Tensor, owner: Tensor, rows: int) -> Tensor:
    """Means of each row's tokens, weighted by the softmax of their scores.

    Args:
        z: [problem, entry, size]; scores: [problem, entry].
        owner: the row of each entry, [entry]; each row has one at least.

    Returns:
        [problem, row, size].
    """
    k = len(z)
    index = owner.expand(k, -1)
    top = scores.new_full((k, rows), -torch.inf)
    top = top.scatter_reduce(1, index, scores.detach(), "amax")
    raised = (scores - top.gather(1, index)).exp()
    total = raised.new_zeros(k, rows).scatter_add(1, index, raised)
    share = raised / total.gather(1, index)
    return z.new_zeros(k, rows, z.shape[2]).index_add(1, owner, z * share[..., None])


def _scores(rows: Spans, part: slice, parts: Sequence[Tensor]) -> Tensor:
    """[problem, row, class] of some rows of one site."""
    projection, shift, query, u, a, v, b = parts
    pooled = []
    for end in range(rows.start.shape[1]):
        tokens, owner = rows.listed(part, end)
        z = rows.tokens[tokens] @ projection[:, end].mT + shift[:, None, end]
        scores = torch.einsum("ker,kr->ke", z, query[:, end])
        pooled.append(pool(z, scores, owner, len(rows.start[part])))
    hidden = (torch.cat(pooled, 2) @ u.mT + a[:, None]).relu()
    return hidden @ v.mT + b[:, None]


def _size(parts: Sequence[Tensor]) -> Tensor:
    projection, _, query, u, _, v, _ = parts
    sizes = [part.square().flatten(1).sum(1) for part in (projection, query, u, v)]
    return torch.stack(sizes).sum(0)
