"""Every kind of probe finds what is planted, and agrees with the kinds that it contains."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from interp.errors import InputError
from probes.solvers.families import family
from probes.solvers.hidden import fit_hidden
from probes.solvers.logistic import Problems, fit_logistic

N, D, CLASSES = 400, 5, 3
KINDS = ("logistic", "ridge", "lda", "nearest_mean", "difference_of_means", "low_rank:2", "mlp:8")


def planted() -> tuple[Tensor, Tensor]:
    """Standardised rows [2, N, D], of which the first site has well separated classes."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(CLASSES, (N,), generator=generator)
    rows = torch.randn(2, N, D, generator=generator)
    rows[0] += 3 * torch.eye(CLASSES, D)[labels]
    return (rows - rows.mean(1, keepdim=True)) / rows.std(1, keepdim=True), labels


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_planted_is_found_and_nothing_else(kind: str) -> None:
    rows, labels = planted()
    half = torch.arange(N) < N // 2  # the other half is judged
    problems = Problems.cross(2, 1, 1, (1e-2,))
    fit = family(kind).fit(rows[:, half], labels[None, half], problems, n_classes=CLASSES)
    right = [
        float((fit.logits(rows[i, ~half], i).argmax(1) == labels[~half]).float().mean())
        for i in range(2)
    ]
    assert right[0] > 0.9
    assert abs(right[1] - 1 / CLASSES) < 0.13  # five standard errors would be 0.17


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_of_zero_leaves_a_row_out(kind: str) -> None:
    rows, labels = planted()
    half = torch.arange(N) < N // 2
    problems = Problems.cross(1, 1, 1, (1e-1,))
    weighted = family(kind).fit(
        rows[:1], labels[None], problems, n_classes=CLASSES, weights=half[None].float()
    )
    alone = family(kind).fit(rows[:1, half], labels[None, half], problems, n_classes=CLASSES)
    found = [torch.log_softmax(fit.logits(rows[0], 0), 1) for fit in (weighted, alone)]
    torch.testing.assert_close(*found, atol=2e-2, rtol=0)


def test_low_rank_with_all_ranks_is_the_logistic_probe() -> None:
    rows, labels = (x.double() if x.is_floating_point() else x for x in planted())
    problems = Problems.cross(1, 1, 1, (1e-2,))
    whole = fit_logistic(rows[:1], labels[None], problems, n_classes=CLASSES)
    ranked = fit_hidden(
        rows[:1], labels[None], problems, n_classes=CLASSES, size=CLASSES - 1,
        activation="none", tolerance=1e-14, max_iterations=1000,
    )  # fmt: skip
    torch.testing.assert_close(ranked.loss, whole.loss, atol=1e-9, rtol=0)
    product = ranked.parts[2][0] @ ranked.parts[0][0]
    torch.testing.assert_close(product, whole.coefficients[0], atol=1e-4, rtol=0)


def test_a_perceptron_learns_what_no_line_can() -> None:
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(1, N, 2, generator=generator)
    labels = (rows[0].prod(1) > 0).long()  # exclusive or
    right = {}
    for kind in ("logistic", "mlp:8"):
        fit = family(kind).fit(rows, labels[None], Problems.cross(1), n_classes=2)
        right[kind] = float((fit.logits(rows[0], 0).argmax(1) == labels).float().mean())
    assert right["logistic"] < 0.65
    assert right["mlp:8"] > 0.95


@pytest.mark.parametrize("name", ["quadratic", "mlp", "mlp:0", "low_rank:x"])
def test_an_unknown_kind_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="There is no probe"):
        family(name)
