"""Moments: equal to those of all rows at once, however the rows came, were split or merged."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from interp.activations import CrossMoments, CrossMomentsFitter, Moments, MomentsFitter
from interp.errors import InputError

Parts = st.lists(st.integers(0, 40), min_size=1, max_size=5).filter(lambda sizes: sum(sizes) > 0)


def rows(n: int, d: int = 6, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Rows as a Transformer's: far from zero, one dimension enormous, widths of all sizes."""
    random = torch.Generator().manual_seed(seed)
    scale = torch.logspace(-2, 3, d, dtype=torch.float64)
    out = torch.randn(n, d, generator=random, dtype=torch.float64) * scale + 30 * scale
    return out.to(dtype)


def fit(
    x: Tensor, labels: Tensor | None = None, n_classes: int = 0, sizes: list[int] | None = None
) -> Moments:
    fitter = MomentsFitter(n_classes)
    sizes = [len(x)] if sizes is None else sizes
    ends = [0, *itertools.accumulate(sizes)]
    for start, stop in itertools.pairwise(ends):
        fitter.update(x[start:stop], None if labels is None else labels[start:stop])
    return fitter.moments


def close(a: Moments, b: Moments, tolerance: float = 1e-10) -> None:
    assert a.n == b.n
    for name in ("mean", "scatter", "class_n", "class_sums"):
        one, other = getattr(a, name), getattr(b, name)
        size = other.abs().max().item() if other.numel() else 0.0
        torch.testing.assert_close(one, other, rtol=0, atol=tolerance * max(size, 1.0))


@given(sizes=Parts, seed=st.integers(0, 5))
def test_streamed_split_and_merged_moments_are_those_of_the_whole(
    sizes: list[int], seed: int
) -> None:
    x = rows(sum(sizes), seed=seed)
    labels = torch.arange(len(x)) % 5 - 1  # one in five without a class
    whole = fit(x, labels, 4)
    mean = x.mean(0)
    exact = Moments(
        len(x),
        mean,
        (x - mean).T @ (x - mean),
        torch.bincount(labels + 1, minlength=5)[1:].double(),
        torch.stack([x[labels == c].sum(0) for c in range(4)]),
    )
    close(whole, exact)
    close(fit(x, labels, 4, sizes), exact)
    parts = [
        fit(p, q, 4) for p, q in zip(x.split(sizes), labels.split(sizes), strict=True) if len(p)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    close(total, exact)
    for part in parts[1:]:
        total = total - part
    # What was taken away was larger: that much is rounded.
    close(total, parts[0], 1e-10 * max(exact.scatter.abs().max().item(), 1.0))


def test_what_follows_from_them() -> None:
    x, labels = rows(300), torch.randint(0, 3, (300,), generator=torch.Generator().manual_seed(1))
    found = fit(x, labels, 3)
    torch.testing.assert_close(found.sum, x.sum(0))
    torch.testing.assert_close(found.second_moment, x.T @ x)
    torch.testing.assert_close(found.covariance, torch.cov(x.T, correction=0))
    means = torch.stack([x[labels == c].mean(0) for c in range(3)])
    torch.testing.assert_close(found.class_means, means)
    within = sum((x[labels == c] - means[c]).T @ (x[labels == c] - means[c]) for c in range(3))
    torch.testing.assert_close(found.scatter - found.between, within)
    assert fit(x, torch.zeros(300), 2).class_means[1].isnan().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_low_precision_rows_lose_nothing_in_the_sums(dtype: torch.dtype) -> None:
    """Of rows a thousand times as far from zero as they are wide, and many batches."""
    random = torch.Generator().manual_seed(0)
    x = (torch.randn(40_000, 8, generator=random) + 1000).to(dtype)
    close(fit(x, sizes=[500] * 80), fit(x.double()), 1e-5)


@given(sizes=Parts)
def test_cross_moments(sizes: list[int]) -> None:
    x, y = rows(sum(sizes), 4), rows(sum(sizes), 3, seed=1)
    fitter, parts = CrossMomentsFitter(), []
    for a, b in zip(x.split(sizes), y.split(sizes), strict=True):
        fitter.update(a, b)
        if len(a):
            alone = CrossMomentsFitter()
            alone.update(a, b)
            parts.append(alone.moments)
    exact = (x - x.mean(0)).T @ (y - y.mean(0))
    size = max(exact.abs().max().item(), 1.0)
    total: CrossMoments = sum(parts[1:], start=parts[0])
    for found in (fitter.moments, total):
        torch.testing.assert_close(found.scatter, exact, rtol=0, atol=1e-9 * size)
        torch.testing.assert_close(found.covariance * len(x), exact, rtol=0, atol=1e-9 * size)
        torch.testing.assert_close(found.mean_x, x.mean(0))
        torch.testing.assert_close(found.mean_y, y.mean(0))


def test_moments_can_be_read_on_the_way() -> None:
    x = rows(20)
    fitter = MomentsFitter()
    fitter.update(x[:7])
    first = fitter.moments
    fitter.update(x[7:])
    close(first, fit(x[:7]))  # later rows do not reach into what was handed out
    close(fitter.moments, fit(x))


def test_all_rows_taken_away_leave_nothing() -> None:
    found = fit(rows(5), torch.zeros(5), 1)
    nothing = found - found
    assert nothing.n == 0 and not nothing.scatter.any() and not nothing.class_n.any()
    close(nothing + found, found)


def test_refusals() -> None:
    fitter = MomentsFitter(2)
    with pytest.raises(InputError, match="no rows"):
        _ = fitter.moments
    with pytest.raises(InputError, match="a label each"):
        fitter.update(rows(4))
    with pytest.raises(InputError, match="a label each"):
        fitter.update(rows(4), torch.zeros(3))
    with pytest.raises(InputError, match="label 2; the classes are 0 to 1"):
        fitter.update(rows(4), torch.tensor([0, 1, 2, 0]))
    fitter = MomentsFitter()
    fitter.update(rows(4))
    with pytest.raises(InputError, match="widths"):
        fitter.update(rows(4, 5))
    with pytest.raises(InputError, match="no pairs"):
        CrossMomentsFitter().update(rows(4), rows(3))
    with pytest.raises(InputError, match="cannot be taken out"):
        _ = fit(rows(3)) - fit(rows(4))
