"""After LEACE there is nothing linear left, and no less is changed than must be."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from interp.activations import Moments, MomentsFitter
from interp.errors import InputError
from probes.erasers import Eraser, inlp, leace, random_eraser
from probes.solvers.discriminant import discriminant

D, CLASSES = 10, 3


def data(n: int = 600, d: int = D, seed: int = 0, *, flat: int = 0) -> tuple[Tensor, Tensor]:
    """Correlated rows with classes in some directions; `flat` of them do not vary."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (n,), generator=generator)
    mix = torch.randn(d, d, generator=generator, dtype=torch.float64)
    rows = torch.randn(n, d, generator=generator, dtype=torch.float64) @ mix
    rows += 3 * torch.randn(CLASSES, d, generator=generator, dtype=torch.float64)[labels] + 5
    rows[:, :flat] = 1.0
    return rows, labels


def moments(rows: Tensor, labels: Tensor) -> Moments:
    fitter = MomentsFitter(CLASSES)
    fitter.update(rows, labels)
    return fitter.moments


def means(rows: Tensor, labels: Tensor) -> Tensor:
    return torch.stack([rows[labels == c].mean(0) for c in range(CLASSES)])


@pytest.mark.parametrize("flat", [0, 4])
def test_class_means_are_equal_after_leace(flat: int) -> None:
    rows, labels = data(flat=flat)
    erased = leace(moments(rows, labels))(rows)
    assert (means(rows, labels) - rows.mean(0)).abs().max() > 0.5
    assert (means(erased, labels) - rows.mean(0)).abs().max() < 1e-10
    said = discriminant(moments(erased, labels)).logits(erased).argmax(1)
    assert len(said.unique()) == 1  # always the commonest class


@pytest.mark.parametrize(
    "make", [leace, lambda m: inlp(m, 2)[-1], lambda m: random_eraser(m, 4, 0)]
)
def test_erasing_twice_is_erasing_once(make: object) -> None:
    rows, labels = data()
    eraser: Eraser = make(moments(rows, labels))  # type: ignore[operator]
    once = eraser(rows)
    assert torch.allclose(eraser(once), once, atol=1e-10)
    assert torch.allclose(once.mean(0), rows.mean(0), atol=1e-10)
    away = rows - rows.mean(0)
    assert torch.linalg.matrix_rank(once - rows.mean(0)) == D - eraser.rank
    assert (once - rows.mean(0)).shape == away.shape


def test_leace_agrees_with_concept_erasure() -> None:
    theirs = pytest.importorskip("concept_erasure")
    rows, labels = data()
    onehot = torch.nn.functional.one_hot(labels, CLASSES).double()
    plain = {"shrinkage": False, "constrain_cov_trace": False}  # both bend the covariance
    peer = theirs.LeaceEraser.fit(rows, onehot, svd_tol=1e-8, **plain)
    assert torch.allclose(leace(moments(rows, labels))(rows), peer(rows), atol=1e-8)


def test_no_other_map_that_erases_changes_less() -> None:
    """Against INLP-like orthogonal projections, and against LEACE followed by small other ones."""
    rows, labels = data()
    m = moments(rows, labels)
    best = leace(m)
    cost = (best(rows) - rows).square().sum()
    covariance = (m.class_sums - m.class_n[:, None] * m.mean).T  # what must be mapped to zero
    basis = torch.linalg.svd(covariance, full_matrices=False)[0][:, : CLASSES - 1]
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        tilt = 0.3 * torch.randn(CLASSES - 1, D, generator=generator, dtype=torch.float64)
        right = basis.T + tilt if seed else basis.T
        right = torch.linalg.solve(right @ basis, right)  # right basis = 1: it erases
        other = Eraser(m.mean, basis, right)
        assert (means(other(rows), labels) - rows.mean(0)).abs().max() < 1e-8
        assert (other(rows) - rows).square().sum() >= cost


def test_moments_after_erasing_are_those_of_erased_rows() -> None:
    rows, labels = data()
    before = moments(rows, labels)
    eraser = inlp(before, 1)[0]
    found, expected = eraser.of_moments(before), moments(eraser(rows), labels)
    for name in ("mean", "scatter", "class_sums", "class_n"):
        assert torch.allclose(getattr(found, name), getattr(expected, name), atol=1e-7), name


def test_inlp_takes_out_what_least_squares_uses_until_nothing_is_left() -> None:
    rows, labels = data()
    erasers = inlp(moments(rows, labels), 50)
    ranks = [eraser.rank for eraser in erasers]
    assert ranks[0] == CLASSES - 1 and ranks == sorted(set(ranks)) and ranks[-1] <= D
    onehot = np.eye(CLASSES)[labels.numpy()]

    def explained(values: Tensor) -> float:
        x = values.numpy() - values.numpy().mean(0)
        if np.abs(x).max() < 1e-9:  # rounding is all that is left
            return 0.0
        weights = np.linalg.lstsq(x, onehot - onehot.mean(0), rcond=1e-8)[0]
        return float(np.square(x @ weights).sum() / np.square(onehot - onehot.mean(0)).sum())

    shares = [explained(rows), *(explained(eraser(rows)) for eraser in erasers)]
    assert shares[0] > 0.2 and shares[-1] < 1e-6
    assert all(later <= earlier + 1e-9 for earlier, later in itertools.pairwise(shares))


def test_on_white_rows_one_step_of_inlp_is_leace() -> None:
    rows, labels = data()
    away = rows - rows.mean(0)
    variance, axes = torch.linalg.eigh(away.T @ away / len(rows))
    white = away @ axes / variance.sqrt()
    m = moments(white, labels)
    assert torch.allclose(leace(m)(white), inlp(m, 1)[0](white), atol=1e-8)


def test_random_subspaces_are_of_their_seed_and_rank() -> None:
    rows, labels = data()
    m = moments(rows, labels)
    one, again, other = (random_eraser(m, 4, seed) for seed in (0, 0, 1))
    assert torch.equal(one.left, again.left) and not torch.equal(one.left, other.left)
    assert one.rank == 4 and torch.allclose(one.right @ one.left, torch.eye(4).double())
    assert torch.equal(random_eraser(m, 0, 0)(rows), rows)
    with pytest.raises(InputError, match="rank"):
        random_eraser(m, D + 1, 0)


def test_what_has_one_class_or_none_is_refused() -> None:
    rows, labels = data(50)
    with pytest.raises(InputError, match="two classes"):
        leace(moments(rows, labels * 0))
    labels[3] = -1
    with pytest.raises(InputError, match="no class"):
        inlp(moments(rows, labels), 1)
