"""A probe that pools: of one token it is the token, even weights are the mean, and it finds which
token of a stretch decides."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from interp.errors import InputError
from probes.solvers.attentive import AttentiveFit, fit_attentive, pool
from probes.solvers.logistic import Problems
from probes.solvers.spans import Spans


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def stretches(n: int = 60, longest: int = 4, d: int = 5, ends: int = 2) -> Spans:
    """Two sites of tokens, and rows of stretches at random places of them."""
    generator = torch.Generator().manual_seed(1)
    start = torch.randint(0, 200, (n, ends), generator=generator)
    length = torch.randint(1, longest + 1, (n, ends), generator=generator)
    return Spans(normal(2, 200 + longest, d), start, start + length)


def labels(n: int = 60, classes: int = 3) -> Tensor:
    return torch.randint(classes, (1, n), generator=torch.Generator().manual_seed(2))


def fitted(rows: Spans, truth: Tensor, iterations: int = 20, **options: object) -> AttentiveFit:
    problems = Problems.cross(len(rows.tokens), 1, 1, (1e-3,))
    return fit_attentive(
        rows, truth, problems, n_classes=3, size=4, max_iterations=iterations, **options
    )  # type: ignore[arg-type]


def test_a_pooled_token_is_the_token_and_even_scores_are_the_mean() -> None:
    z, owner = normal(2, 7, 3), torch.tensor([0, 1, 1, 1, 2, 3, 3])
    even = pool(z, torch.full((2, 7), 50.0, dtype=z.dtype), owner, 4)
    expected = torch.stack([z[:, owner == row].mean(1) for row in range(4)], 1)
    torch.testing.assert_close(even, expected, atol=1e-12, rtol=0)
    scores = 30 * normal(2, 7, seed=3)
    found = pool(z, scores, owner, 4)
    assert torch.equal(found[:, 0], z[:, 0]) and torch.equal(found[:, 2], z[:, 4])
    share = scores[:, 1:4].softmax(1)
    torch.testing.assert_close(found[:, 1], (share[..., None] * z[:, 1:4]).sum(1))


def test_the_scores_are_the_formula_written_out() -> None:
    rows, truth = stretches(), labels()
    fit = fitted(rows, truth, 5)
    projection, shift, query, u, a, v, b = (part[1] for part in fit.parts)
    assert float(query.norm()) > 0
    found = fit.logits(replace(rows, tokens=rows.tokens[1]), 1)
    for i in (0, 17, 59):
        pooled = []
        for end in range(2):
            x = rows.tokens[1, rows.start[i, end] : rows.stop[i, end]]
            z = x @ projection[end].T + shift[end]
            pooled.append((z @ query[end]).softmax(0) @ z)
        by_hand = v @ (u @ torch.cat(pooled) + a).relu() + b
        torch.testing.assert_close(found[i], by_hand, atol=1e-12, rtol=0)


def test_the_order_of_the_rows_does_not_matter() -> None:
    rows, truth = stretches(), labels()
    order = torch.randperm(60, generator=torch.Generator().manual_seed(4))
    turned = Spans(rows.tokens, rows.start[order], rows.stop[order])
    one, other = fitted(rows, truth, 8), fitted(turned, truth[:, order], 8)
    for mine, theirs in zip(one.parts, other.parts, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-8, rtol=0)


def test_a_weight_of_zero_leaves_a_row_out() -> None:
    rows, truth = stretches(), labels()
    half = torch.arange(60) < 30
    weighted = fitted(rows, truth, 8, weights=half[None].double())
    alone = fitted(Spans(rows.tokens, rows.start[half], rows.stop[half]), truth[:, half], 8)
    torch.testing.assert_close(weighted.loss, alone.loss, atol=1e-10, rtol=0)


def test_it_attends_to_the_token_that_decides() -> None:
    """One token of each stretch is marked, and it alone says the class: the mean over the stretch
    is drowned by the others."""
    n, length, d = 600, 8, 6
    tokens = 2 * normal(n * length, d, seed=5)
    truth = torch.randint(2, (n,), generator=torch.Generator().manual_seed(6))
    at = torch.arange(n) * length
    marked = at + torch.randint(length, (n,), generator=torch.Generator().manual_seed(7))
    tokens[:, 0] = 0.0
    tokens[marked, 0] = 6.0
    tokens[marked, 1] = (2.0 * truth - 1).double()
    rows = Spans(tokens[None], at[:, None], at[:, None] + length)
    fit = fit_attentive(
        Spans(rows.tokens, rows.start[:400], rows.stop[:400]),
        truth[None, :400],
        Problems.cross(1, 1, 1, (1e-4,)),
        n_classes=2,
        size=4,
    )
    said = fit.logits(replace(rows, tokens=tokens), 0).argmax(1)
    assert float((said == truth)[400:].double().mean()) > 0.95
    mean = tokens.view(n, length, d).mean(1)[:, 1]
    assert float(((mean > 0) == truth)[400:].double().mean()) < 0.8


def test_what_does_not_fit_is_refused() -> None:
    rows = stretches()
    with pytest.raises(InputError, match="are no probe"):
        fitted(rows, labels(59))
    with pytest.raises(InputError, match="are no probe"):
        fitted(replace(rows, tokens=rows.tokens[0]), labels())
