"""Probes from moments are what scikit-learn finds on the rows, and merge as moments do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from interp.activations import Moments, MomentsFitter
from interp.errors import InputError
from probes.solvers.discriminant import (
    Linear,
    difference_of_means,
    discriminant,
    nearest_mean,
    ridge,
)

N, D, CLASSES = 500, 6, 3


def planted(classes: int = CLASSES) -> tuple[Tensor, Tensor]:
    """Rows [N, D] with a mean far from zero, labels [N]."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(classes, (N,), generator=generator)
    means = torch.randn(classes, D, generator=generator, dtype=torch.float64)
    noise = torch.randn(N, D, generator=generator, dtype=torch.float64)
    mixed = noise @ torch.randn(D, D, generator=generator, dtype=torch.float64)
    return mixed + means[labels] + 50.0, labels


def moments_of(rows: Tensor, labels: Tensor, classes: int = CLASSES) -> Moments:
    fitter = MomentsFitter(classes)
    fitter.update(rows, labels)
    return fitter.moments


def test_ridge_is_that_of_scikit_learn() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    rows, labels = planted()
    strengths = (1e-4, 1e-1, 10.0)
    for strength, probe in zip(strengths, ridge(moments_of(rows, labels), strengths), strict=True):
        peer = linear_model.Ridge(alpha=strength * N).fit(rows, np.eye(CLASSES)[labels])
        np.testing.assert_allclose(probe.coefficients, peer.coef_, atol=1e-8)
        np.testing.assert_allclose(probe.intercepts, peer.intercept_, atol=1e-7)


def test_the_discriminant_is_that_of_scikit_learn() -> None:
    peers = pytest.importorskip("sklearn.discriminant_analysis")
    rows, labels = planted()
    peer = peers.LinearDiscriminantAnalysis(solver="lsqr").fit(rows, labels)
    found = torch.log_softmax(discriminant(moments_of(rows, labels)).logits(rows), 1)
    np.testing.assert_allclose(found, peer.predict_log_proba(rows), atol=1e-8)


def test_the_discriminant_passes_over_directions_in_which_no_class_varies() -> None:
    generator = torch.Generator().manual_seed(2)
    labels = torch.randint(CLASSES, (N,), generator=generator)
    noise = torch.randn(N, D, generator=generator, dtype=torch.float64)
    # Beside the noise, directions that the classes alone decide, in axes of which none is plain.
    means = 3 * torch.randn(CLASSES, 2 * D, generator=generator, dtype=torch.float64)
    means[:, :2] *= 3
    rows = means[labels]
    rows[:, :2] += noise[:, :2]
    rows = rows @ torch.linalg.qr(torch.randn(2 * D, 2 * D, generator=generator).double())[0]
    assert (
        discriminant(moments_of(rows, labels)).logits(rows).argmax(1) == labels
    ).double().mean() > 0.9


def test_the_nearest_mean_is_that_of_scikit_learn() -> None:
    neighbors = pytest.importorskip("sklearn.neighbors")
    rows, labels = planted()
    peer = neighbors.NearestCentroid().fit(rows, labels)
    found = nearest_mean(moments_of(rows, labels)).logits(rows)
    np.testing.assert_array_equal(found.argmax(1), peer.predict(rows))
    distances = torch.cdist(rows, torch.from_numpy(peer.centroids_)).square()
    expected = -distances / 2
    # Scores say the distance up to what all classes of a row share.
    torch.testing.assert_close(
        found - found[:, :1], expected - expected[:, :1], atol=1e-8, rtol=1e-10
    )


def test_of_two_classes_the_difference_of_means_is_the_nearest_mean() -> None:
    rows, labels = planted(2)
    moments = moments_of(rows, labels, 2)
    difference, nearest = difference_of_means(moments), nearest_mean(moments)
    direction = rows[labels == 1].mean(0) - rows[labels == 0].mean(0)
    torch.testing.assert_close(difference.coefficients[1], direction)
    same = difference.logits(rows).argmax(1) == nearest.logits(rows).argmax(1)
    assert same.all()


@pytest.mark.parametrize("fit", [discriminant, nearest_mean, difference_of_means])
def test_shards_merge_to_the_whole(fit: Callable[[Moments], Linear]) -> None:
    rows, labels = planted()
    merged = moments_of(rows[:200], labels[:200]) + moments_of(rows[200:], labels[200:])
    whole = fit(moments_of(rows, labels))
    torch.testing.assert_close(fit(merged).coefficients, whole.coefficients, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("fit", [discriminant, nearest_mean, difference_of_means])
def test_a_class_without_rows_is_never_said(fit: Callable[[Moments], Linear]) -> None:
    rows, labels = planted()
    logits = fit(moments_of(rows, labels, CLASSES + 1)).logits(rows)
    assert (logits[:, CLASSES] == -torch.inf).all()
    assert logits[:, :CLASSES].isfinite().all()


def test_rows_without_a_class_are_refused() -> None:
    rows, labels = planted()
    labels[3] = -1
    with pytest.raises(InputError, match="1 of 500 rows"):
        discriminant(moments_of(rows, labels))
    with pytest.raises(InputError, match="two classes"):
        nearest_mean(moments_of(rows, labels.clamp(max=0), 1))
