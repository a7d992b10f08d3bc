"""All logistic problems at once have the optimum that each has alone, and scikit-learn's."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from torch import Tensor

from interp.errors import InputError
from probes.solvers.logistic import LogisticFit, Problems, fit_logistic

N, D, CLASSES, SITES = 300, 7, 4, 2
STRENGTHS = (1e-3, 1e-1)


def planted(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Standardised rows [site, row, d] of uneven scales and strong correlations, labels [2, row]:
    one follows the rows of the first site, one follows nothing."""
    generator = torch.Generator().manual_seed(0)
    mixed = torch.randn(SITES, N, D, generator=generator, dtype=torch.float64)
    mixed = mixed @ torch.randn(D, D, generator=generator, dtype=torch.float64)
    rows = (mixed - mixed.mean(1, keepdim=True)) / mixed.std(1, keepdim=True, unbiased=False)
    true = 2 * torch.randn(CLASSES, D, generator=generator, dtype=torch.float64)
    task = torch.multinomial(torch.softmax(rows[0] @ true.T, 1), 1, generator=generator)[:, 0]
    control = torch.randint(CLASSES, (N,), generator=generator)
    return rows.to(dtype), torch.stack([task, control])


def resamples() -> Tensor:
    """All rows once, and a bootstrap draw; [2, row]."""
    drawn = torch.randint(N, (N,), generator=torch.Generator().manual_seed(1))
    return torch.stack([torch.ones(N), torch.bincount(drawn, minlength=N).float()])


@functools.cache
def everything() -> tuple[Problems, LogisticFit]:
    rows, labels = planted()
    problems = Problems.cross(SITES, 2, 2, STRENGTHS)
    return problems, fit_logistic(rows, labels, problems, n_classes=CLASSES, weights=resamples())


def test_the_optimum_is_that_of_scikit_learn() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    rows, labels = planted()
    problems, fit = everything()
    for i in range(len(problems)):
        weights = resamples()[problems.weights[i]].numpy()
        peer = linear_model.LogisticRegression(
            C=1 / (float(problems.strength[i]) * weights.sum()),
            solver="newton-cholesky",
            tol=1e-12,
            max_iter=1000,
        )
        peer.fit(rows[problems.site[i]], labels[problems.labels[i]], sample_weight=weights)
        np.testing.assert_allclose(fit.coefficients[i], peer.coef_, atol=1e-6)
        centred = peer.intercept_ - peer.intercept_.mean()
        np.testing.assert_allclose(fit.intercepts[i], centred, atol=1e-6)


def test_together_as_alone() -> None:
    rows, labels = planted()
    problems, fit = everything()
    for i in range(len(problems)):
        alone = fit_logistic(
            rows[problems.site[i], None],
            labels[problems.labels[i], None],
            Problems.cross(1, 1, 1, (float(problems.strength[i]),)),
            n_classes=CLASSES,
            weights=resamples()[problems.weights[i], None],
        )
        torch.testing.assert_close(fit.coefficients[i], alone.coefficients[0], atol=1e-7, rtol=0)
        torch.testing.assert_close(fit.loss[i], alone.loss[0], atol=1e-12, rtol=0)


def test_a_weight_is_a_number_of_copies() -> None:
    rows, labels = planted()
    copies = resamples()[1].long()
    repeated = rows.repeat_interleave(copies, 1), labels.repeat_interleave(copies, 1)
    problems = Problems.cross(1, 1, 1, STRENGTHS)
    weighted = fit_logistic(
        rows[:1], labels, problems, n_classes=CLASSES, weights=copies[None].double()
    )
    copied = fit_logistic(repeated[0][:1], repeated[1], problems, n_classes=CLASSES)
    torch.testing.assert_close(weighted.coefficients, copied.coefficients, atol=1e-6, rtol=0)


def test_the_gap_in_float32_is_the_distance_to_the_optimum() -> None:
    problems, exact = everything()
    rows, labels = planted(torch.float32)
    fit = fit_logistic(rows, labels, problems, n_classes=CLASSES, weights=resamples())
    double = (fit.coefficients.double(), fit.intercepts.double())
    rows, _ = planted()
    for i in range(len(problems)):
        logits = rows[problems.site[i]] @ double[0][i].T + double[1][i]
        weights = resamples()[problems.weights[i]].double()
        loss = torch.nn.functional.cross_entropy(
            logits, labels[problems.labels[i]], reduction="none"
        )
        loss = (loss * weights).sum() / weights.sum()
        loss += float(problems.strength[i]) / 2 * double[0][i].square().sum()
        above = float(loss - exact.loss[i])
        assert -1e-9 < above < 1e-4
        assert above < 30 * float(fit.gap[i]) + 1e-8
    assert (fit.gap < 2e-5).all()


def test_a_start_near_the_end_saves_steps() -> None:
    rows, labels = planted()
    problems, fit = everything()
    again = fit_logistic(rows, labels, problems, n_classes=CLASSES, weights=resamples(), start=fit)
    assert (again.iterations <= 1).all()
    torch.testing.assert_close(again.coefficients, fit.coefficients, atol=1e-7, rtol=0)


def test_rows_that_say_nothing_give_the_prior() -> None:
    _, labels = planted()
    problems = Problems.cross(1, 1)
    fit = fit_logistic(torch.zeros(1, N, D).double(), labels, problems, n_classes=CLASSES)
    shares = torch.bincount(labels[0], minlength=CLASSES) / N
    found = torch.softmax(fit.logits(torch.zeros(1, D).double(), 0)[0], 0)
    torch.testing.assert_close(found, shares.double(), atol=1e-6, rtol=0)


def test_a_class_without_examples_is_never_said() -> None:
    rows, labels = planted()
    problems = Problems.cross(SITES, 2, 1, STRENGTHS)
    wider = fit_logistic(rows, labels, problems, n_classes=CLASSES + 1)
    fit = fit_logistic(rows, labels, problems, n_classes=CLASSES)
    assert (wider.intercepts[:, CLASSES] == -torch.inf).all()
    torch.testing.assert_close(wider.coefficients[:, :CLASSES], fit.coefficients, atol=1e-7, rtol=0)


def test_what_cannot_be_solved_is_refused() -> None:
    rows, labels = planted()
    one = Problems.cross(1, 1)

    def fit(rows: Tensor = rows, labels: Tensor = labels, problems: Problems = one) -> None:
        fit_logistic(rows, labels, problems, n_classes=CLASSES)

    with pytest.raises(InputError, match="300 rows"):
        fit(labels=labels[:, 1:])
    with pytest.raises(InputError, match="found 9"):
        fit(labels=labels.clone().fill_(9))
    with pytest.raises(InputError, match="not positive"):
        fit(problems=Problems.cross(1, 1, 1, (0.0,)))
    bad = rows.clone()
    bad[1, 3, 2] = torch.nan
    with pytest.raises(InputError, match="Site 1"):
        fit(rows=bad)
    with pytest.raises(InputError, match="not all zero"):
        fit_logistic(rows, labels, one, n_classes=CLASSES, weights=torch.zeros(1, N))
