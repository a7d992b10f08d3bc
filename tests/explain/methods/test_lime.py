"""LIME: the weighted ridge of scikit-learn, and exact where the target is linear."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from interp import InputError
from interp.explain import Baseline, Target, attribute
from interp.explain.game import Game
from interp.explain.methods.lime import lime, neighbours, weighted_ridge
from tests.explain.readings import read
from tests.model.configurations import EACH_KIND


def draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cosine_kernel(present: Tensor, width: float) -> Tensor:
    """As the authors' explainer of texts has it, in percent of cosine distance."""
    whole = torch.ones(present.shape[1], dtype=torch.float64)
    x = present.double()
    cosine = (x @ whole) / (x.norm(dim=1) * whole.norm()).clamp(min=1e-300)
    distance = (1 - cosine) * 100
    return (-(distance**2) / (100 * width) ** 2).exp().sqrt()


@pytest.mark.parametrize("ridge", [0.0, 1.0, 30.0])
def test_scikit_learn_fits_the_same(ridge: float) -> None:
    from sklearn import linear_model

    x = (torch.rand(200, 9, generator=draws(0)) < 0.6).double()
    y = torch.randn(200, generator=draws(1), dtype=torch.float64) + x[:, 0] * x[:, 1]
    weights = torch.rand(200, generator=draws(2), dtype=torch.float64)
    scores, fit = weighted_ridge(x, y, weights, ridge)
    theirs = linear_model.Ridge(ridge).fit(x.numpy(), y.numpy(), weights.numpy())
    np.testing.assert_allclose(scores, theirs.coef_, rtol=0, atol=1e-10)
    assert fit == pytest.approx(theirs.score(x.numpy(), y.numpy(), weights.numpy()), abs=1e-10)


@EACH_KIND
def test_it_is_the_ridge_of_the_target_around_the_text(name: str) -> None:
    from sklearn import linear_model

    point = read(name)
    n = len(Game(point))
    found = lime(point, max_evaluations=300, seed=4)
    present = neighbours(n, 300, draws(4))
    values, weights = Game(point).values(present), cosine_kernel(present, 0.25)
    theirs = linear_model.Ridge(1).fit(present.double().numpy(), values.numpy(), weights.numpy())
    np.testing.assert_allclose(found.scores, theirs.coef_, rtol=0, atol=1e-8)
    expected = theirs.score(present.double().numpy(), values.numpy(), weights.numpy())
    assert found.details["R^2 of the local fit"] == pytest.approx(expected, abs=1e-8)
    assert not found.complete and found.seed == 4


def test_what_adds_up_is_found_exactly() -> None:
    """Without blocks and norm only the last token counts, and all that it does is linear."""
    point = read("decoder", n_layers=0, final_norm=False)
    found = lime(point, ridge=0.0)
    assert found.details["R^2 of the local fit"] == pytest.approx(1, abs=1e-12)
    expected = [0.0] * 5 + [point.value - point.baseline_value]
    assert found.scores.tolist() == pytest.approx(expected, abs=1e-8)


def test_neighbours_are_the_text_and_every_number_of_missing_units_as_often() -> None:
    present = neighbours(5, 10_001, draws(0))
    assert bool(present[0].all())
    counts = torch.bincount(5 - present[1:].sum(1), minlength=6)
    assert counts[0] == 0 and bool(((counts[1:] - 2000).abs() < 200).all())
    each = present[1:].double().mean(0)
    assert torch.allclose(each, torch.full((5,), 0.4, dtype=torch.float64), rtol=0, atol=0.02)


def test_a_poor_fit_is_said() -> None:
    """Around a text whose units only count together, nothing is linear."""

    class Together(Game):
        def values(self, present: Tensor) -> Tensor:
            return (present.sum(1) % 2).double()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[lime.__module__], "Game", Together)
        with pytest.warns(UserWarning, match="say little"):
            found = lime(read("decoder"))
    assert found.details["R^2 of the local fit"] < 0.5


def test_the_fit_is_part_of_the_result() -> None:
    found = attribute(read("decoder").model, torch.arange(6), "lime", Target.logit(3))
    assert "R^2 of the local fit" in found.facts() and found.seed == 0
    assert '"R^2 of the local fit"' in found.to_json()
    assert found.completeness_error is None


def test_draws_are_those_of_the_seed() -> None:
    point = read("decoder", pos=12)
    one, same, other = (lime(point, max_evaluations=100, seed=seed).scores for seed in (1, 1, 2))
    assert torch.allclose(one, same, rtol=0, atol=1e-12) and not torch.allclose(
        one, other, rtol=0, atol=1e-6
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_evaluations": 7}, "8 at least"),
        ({"kernel_width": 0}, "kernel_width"),
        ({"ridge": -1.0}, "ridge"),
        ({"seed": 1.0}, "seed"),
    ],
)
def test_what_makes_no_fit_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        lime(read("decoder", pos=6), **options)


def test_a_text_that_cannot_move_has_no_scores() -> None:
    model, ids = read("decoder").model, torch.arange(4)
    found = attribute(model, ids, "lime", Target.logit(3), Baseline.text(ids))
    assert found.scores == (0.0,) * 4 and found.details["R^2 of the local fit"] == 1
