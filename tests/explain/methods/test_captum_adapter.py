"""Captum's methods on a model, beside the same methods made here, and what is refused."""

from __future__ import annotations

import math
import warnings
from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
from torch import Tensor

from interp import InputError, UnsupportedModelError
from interp.explain import Baseline, Target, attribute
from interp.explain.methods.captum_adapter import captum as by_captum
from interp.explain.methods.integrated_gradients import integrated_gradients
from interp.explain.methods.occlusion import leave_one_out, occlusion
from interp.explain.methods.shapley import exact_shapley
from interp.explain.points import Point
from tests.explain.readings import read
from tests.model.configurations import EACH_KIND


def close(found: Tensor, expected: Tensor, share: float) -> bool:
    """Whether scores agree to a share of the largest."""
    size = float(expected.abs().max())
    return size > 0 and torch.allclose(found, expected, rtol=0, atol=share * size)


@EACH_KIND
def test_integrated_gradients_are_ours(name: str) -> None:
    point = read(name)
    found = by_captum(point, algorithm=captum.attr.IntegratedGradients, n_steps=200)
    assert close(found.scores, integrated_gradients(point, tolerance=1e-4).scores, 1e-2)
    assert found.complete and found.seed is None


@EACH_KIND
def test_feature_ablation_is_leaving_one_out(name: str) -> None:
    point = read(name)
    found = by_captum(point, algorithm="FeatureAblation")
    assert close(found.scores, leave_one_out(point).scores, 1e-6)
    assert not found.complete


def test_input_times_gradient_is_what_autograd_says() -> None:
    """Captum's has no baseline: it multiplies by the embedding itself."""
    point = read("decoder")
    values, gradient = point.gradients(point.embedded[None])
    expected = (gradient[0] * point.embedded).sum(-1)
    found = by_captum(point, algorithm="InputXGradient")
    assert close(found.scores, expected, 1e-10) and not found.complete
    saliency = by_captum(point, algorithm="Saliency", abs=False)
    assert close(saliency.scores, gradient[0].sum(-1), 1e-10)
    assert float(values) == pytest.approx(point.value)


@pytest.mark.parametrize("window", [1, 2])
def test_occlusion_is_ours(window: int) -> None:
    point = read("decoder")
    shape = (window, point.embedded.shape[1])
    found = by_captum(point, algorithm="Occlusion", sliding_window_shapes=shape)
    assert close(found.scores, occlusion(point, window=window).scores, 1e-6)
    if window == 1:
        assert close(by_captum(point, algorithm="Occlusion").scores, found.scores, 1e-9)


@pytest.mark.parametrize(
    ("algorithm", "options", "share"),
    [
        ("ShapleyValues", {}, 1e-4),  # captum adds up in float32 whatever the model is in
        ("ShapleyValueSampling", {"n_samples": 300}, 0.2),
        ("KernelShap", {"n_samples": 2000}, 0.2),
    ],
)
def test_shapley_values_are_near_the_exact_ones(
    algorithm: str, options: dict[str, Any], share: float
) -> None:
    point = read("encoder-bert", pos=5)
    found = by_captum(point, algorithm=algorithm, **options)
    assert close(found.scores, exact_shapley(point).scores, share)
    assert found.complete


def test_lime_fits_what_adds_up() -> None:
    point = read("decoder", n_layers=0, final_norm=False)
    found = by_captum(point, algorithm="Lime", n_samples=500)
    assert found.scores[:5].abs().max() < 0.1 * found.scores[5].abs()
    assert found.seed == 0 and not found.complete


@pytest.mark.parametrize("n_steps", [5, 50])
def test_our_completeness_error_is_captums_delta(n_steps: int) -> None:
    point = read("decoder")

    def value(embeddings: Tensor) -> Tensor:
        return point.values(embeddings)

    text, base = point.embedded[None], point.baselines[:1]
    _, delta = captum.attr.IntegratedGradients(value).attribute(
        text, base, n_steps=n_steps, return_convergence_delta=True
    )
    found = by_captum(point, algorithm="IntegratedGradients", n_steps=n_steps)
    gap = float(found.scores.sum()) - (point.value - point.baseline_value)
    assert gap == pytest.approx(float(delta), abs=1e-10) and abs(gap) > 1e-12


def test_several_baselines_are_averaged() -> None:
    model, ids = read("decoder").model, torch.arange(6)
    several = Baseline.uniform(3)
    mean, ours = (
        attribute(model, ids, method, Target.logit(3), several, **options)
        for method, options in (
            ("captum", {"algorithm": "FeatureAblation"}),
            ("leave_one_out", {}),
        )
    )
    assert mean.scores == pytest.approx(ours.scores, abs=1e-6)


@pytest.mark.parametrize("algorithm", ["FeatureAblation", "IntegratedGradients", "Occlusion"])
def test_scores_are_of_units_and_fixed_ones_have_none(algorithm: str) -> None:
    model, ids = read("decoder").model, torch.arange(6)
    base = Baseline.text(torch.tensor([9, 8, 2, 3, 7, 6]))
    spans = [(0, 2), (2, 4)]

    def scores(units: Any) -> list[float]:
        found = attribute(
            model,
            ids,
            "captum",
            Target.logit(3),
            base,
            units=units,
            algorithm=algorithm,
        )
        return list(found.scores)

    found = scores(spans)
    assert len(found) == 4 and found[1] == 0
    if algorithm == "FeatureAblation":
        ours = attribute(model, ids, "leave_one_out", Target.logit(3), base, units=spans)
        assert found == pytest.approx(ours.scores, abs=1e-6)
    else:  # scores of positions, put together
        alone = scores("tokens")
        assert found == pytest.approx([alone[0] + alone[1], 0, alone[4], alone[5]], abs=1e-10)


def test_draws_are_those_of_the_seed_and_nobody_elses_are_touched() -> None:
    point = read("decoder")
    torch.manual_seed(5)
    np.random.seed(5)
    expected = torch.rand(1), np.random.rand()
    torch.manual_seed(5)
    np.random.seed(5)
    one, same, other = (by_captum(point, algorithm="GradientShap", seed=seed) for seed in (1, 1, 2))
    assert (torch.rand(1), np.random.rand()) == expected
    assert torch.allclose(one.scores, same.scores, rtol=0, atol=1e-12)
    assert not torch.allclose(one.scores, other.scores, rtol=0, atol=1e-6)
    assert one.seed == 1


def test_several_perturbations_share_a_forward_and_nobody_is_warned() -> None:
    calls: list[int] = []

    def counted(self: Point, embeddings: Tensor, **options: Any) -> Tensor:
        calls.append(len(embeddings))
        return values(self, embeddings, **options)

    point, values = read("decoder", pos=8), Point.values
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error")
        patch.setattr(Point, "values", counted)
        by_captum(point, algorithm="FeatureAblation")
        assert calls == [1, 8]  # the text, and all of its perturbations
        by_captum(point, algorithm="IntegratedGradients", n_steps=30)
        assert calls[2:] == [30]
        by_captum(point, algorithm="FeatureAblation", perturbations_per_eval=4)
        assert calls[3:] == [1, 4, 4]


def test_the_cost_counts_passes() -> None:
    found = attribute(
        read("decoder").model,
        torch.arange(6),
        "captum",
        Target.logit(3),
        algorithm=captum.attr.IntegratedGradients,
        n_steps=20,
    )
    assert found.cost.backwards == 20 and found.cost.forwards >= 20
    assert found.parameters["algorithm"] == "IntegratedGradients"
    assert found.completeness_error is not None and found.completeness_error < 0.01


@pytest.mark.parametrize(
    "algorithm",
    [
        "DeepLift",
        "DeepLiftShap",
        "LRP",
        "GuidedBackprop",
        "Deconvolution",
        "GuidedGradCam",
        "LayerIntegratedGradients",
        "NeuronGradient",
        "NoiseTunnel",
        "FeaturePermutation",
    ],
)
def test_what_a_function_of_embeddings_is_not_enough_for_is_refused(algorithm: str) -> None:
    with pytest.raises(UnsupportedModelError, match=algorithm):
        by_captum(read("decoder"), algorithm=algorithm)


def test_deep_lift_has_no_rule_for_what_a_transformer_is_made_of() -> None:
    """Why it is refused: on a norm of layers, captum's rescale rule gives the plain gradient, and
    its scores miss what they claim to add up to."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.LayerNorm(4), torch.nn.GELU(), torch.nn.Linear(4, 1))
    x, base = torch.randn(1, 4), torch.randn(1, 4) * 3
    scores, delta = captum.attr.DeepLift(module).attribute(x, base, return_convergence_delta=True)
    difference = float((module(x) - module(base)).detach())
    assert abs(float(delta)) > 0.05 * abs(difference)
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(module(leaf).sum(), leaf)
    assert torch.allclose(scores, (x - base) * gradient, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give a class"),
        ({"algorithm": "NoSuchMethod"}, "give a class"),
        ({"algorithm": torch.nn.Linear}, "give a class"),
        ({"algorithm": "FeatureAblation", "n_steps": 3}, "n_steps"),
        ({"algorithm": "FeatureAblation", "baselines": 0}, "baselines"),
        ({"algorithm": "FeatureAblation", "feature_mask": None}, "feature_mask"),
        ({"algorithm": "FeatureAblation", "perturbations_per_eval": 0}, "refuses this"),
        ({"algorithm": "KernelShap", "n_samples": 8}, "n_samples"),
        ({"algorithm": "Lime", "n_samples": 3}, "n_samples"),
        ({"algorithm": "ShapleyValues"}, "8! orders"),
        ({"algorithm": "Occlusion", "sliding_window_shapes": (99, 1)}, "refuses this"),
        ({"algorithm": "GradientShap", "seed": -1}, "seed"),
    ],
)
def test_what_captum_cannot_do_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        by_captum(read("decoder", pos=8), **options)


def test_captums_default_of_samples_is_too_few_for_a_longer_text() -> None:
    with pytest.raises(InputError, match="n_samples is"):
        by_captum(read("decoder", pos=24), algorithm="Lime", n_samples=24)


def test_numbers_that_are_not_finite_are_refused() -> None:
    point = read("decoder")
    with torch.no_grad():
        point.model.blocks[0].mlp.up.weight[0, 0] = math.nan
    with pytest.raises(InputError, match="not finite"):
        by_captum(point, algorithm="IntegratedGradients")


def test_a_text_that_cannot_move_has_no_scores() -> None:
    model, ids = read("decoder").model, torch.arange(4)
    base = Baseline.text(ids)
    found = attribute(model, ids, "captum", Target.logit(3), base, algorithm="KernelShap")
    assert found.scores == (0.0,) * 4
