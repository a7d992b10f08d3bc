"""Captum's methods on the embeddings of a text.

Captum (Kokhlikyan et al. 2020, arXiv 2009.07896) explains functions of tensors. Here that function
is the target as a function of the embeddings that can move; units are captum's features.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from interp.errors import InputError, UnsupportedModelError
from interp.explain.finding import Finding
from interp.explain.methods.sampling import generator
from interp.explain.points import Point
from interp.explain.reading import finite

_OURS = {
    "self",
    "forward_func",
    "inputs",
    "baselines",
    "feature_mask",
    "target",
    "additional_forward_args",
    "return_convergence_delta",
    "return_input_shape",
}
_ORDERED = 7  # 7! orders are 5040


def captum(point: Point, *, algorithm: Any = None, seed: int = 0, **options: Any) -> Finding:
    """The scores of one of captum's classes of attribution; of several baselines, their mean.

    Any class that needs only a function will do: those of gradients (`IntegratedGradients`,
    `InputXGradient`, `Saliency`, `GradientShap`, ...) and those that leave features out
    (`FeatureAblation`, `ShapleyValueSampling`, `KernelShap`, `Lime`, `Occlusion`, ...). Classes
    that put hooks on modules are refused: `DeepLift`, `LRP` and guided backpropagation have no
    rule for the products of attention or for a norm of layers, and pass plain gradients there
    without a word. So are those of layers and neurons.

    The scores of a position are summed over d_model by methods of gradients; those that leave out
    give one score to a whole unit. Captum's own convergence delta is the gap behind
    `Attribution.completeness_error`.

    Args:
        algorithm: a class of `captum.attr`, or its name.
        seed: of torch's draws, which are put back afterwards.
        **options: of the class or of its `attribute`. As many perturbations go into one forward as
            are efficient, unless these say otherwise; windows of `Occlusion` are of one position.

    Raises:
        InputError: no such class or option, captum refuses the input, or scores are not finite.
        UnsupportedModelError: the class needs modules, layers or another method.
    """
    made = _class(algorithm)
    at_init, at_call = _names(made.__init__), _names(made.attribute)
    _refuse(made, at_call)
    known = (at_init | at_call) - _OURS
    if unknown := sorted(set(options) - known):
        raise InputError(
            f"captum's {made.__name__} does not take {', '.join(unknown)} here; it takes "
            f"{', '.join(sorted(known)) or 'no options'}."
        )
    devices = [point.embedded.device] if point.embedded.is_cuda else []
    generator(seed)  # refuses what is no seed
    if not bool(point.moves.any()):
        return Finding(torch.zeros(len(point.units), dtype=torch.float64))
    problem = _Moving(point, made)
    call = problem.arguments(at_call) | {k: v for k, v in options.items() if k in at_call}
    _check_work(made, call, problem.features)
    method = made(problem.values, **{k: v for k, v in options.items() if k in at_init})
    scores = []
    for baseline in point.baselines:
        if "baselines" in at_call:
            call["baselines"] = problem.part(baseline)
        with _seeded(seed, devices):
            try:
                found = method.attribute(problem.text, **call)
            except InputError:
                raise
            except (AssertionError, ValueError, TypeError, ImportError) as refusal:
                raise InputError(f"captum's {made.__name__} refuses this: {refusal}.") from refusal
        scores.append(problem.by_unit(finite(found.detach(), "attribution by captum")))
    return Finding(
        torch.stack(scores).mean(0),
        complete=_adds_up(method),
        seed=seed if "n_samples" in at_call else None,
    )


class _Moving:
    """The target as a function of the embeddings that can move, [n, moving, d_model].

    Attributes:
        text: these embeddings in the text, [1, moving, d_model].
        features: units that move.
        leaves_out: whether captum leaves out whole features.
        in_windows: whether it does so by windows over positions.
    """

    def __init__(self, point: Point, made: Any):
        from captum.attr import Occlusion

        self.point = point
        self.leaves_out = _leaves_out(made)
        self.in_windows = issubclass(made, Occlusion)
        owner = torch.empty(len(point.embedded), dtype=torch.long)
        for i, group in enumerate(point.units.groups):
            owner[list(group)] = i
        self.places = point.moves.nonzero()[:, 0].cpu()
        units, self.feature = owner[self.places].unique(return_inverse=True)
        self.features = len(units)
        # Captum warns of a text that needs no gradient where it takes one.
        self.text = self.part(point.embedded).requires_grad_(not self.leaves_out)

    def part(self, embeddings: Tensor) -> Tensor:
        """The moving ones of embeddings [pos, d_model]."""
        return embeddings[self.places][None]

    def values(self, moving: Tensor) -> Tensor:
        if (
            moving.requires_grad and torch.is_grad_enabled()
        ):  # captum will ask for the gradient of each
            self.point.backwards += len(moving)
        whole = self.point.embedded.expand(len(moving), -1, -1).clone()
        whole[:, self.places] = moving
        return self.point.values(whole)

    def arguments(self, names: set[str]) -> dict[str, Any]:
        """What captum is given unless asked otherwise."""
        width = self.text.shape[-1]
        mask = self.feature.to(self.text.device)[None, :, None].expand_as(self.text).contiguous()
        given: dict[str, Any] = {
            "feature_mask": mask,
            "perturbations_per_eval": self.point.rows,
            "internal_batch_size": self.point.rows,
            "sliding_window_shapes": (1, width),
        }
        return {name: value for name, value in given.items() if name in names}

    def by_unit(self, found: Tensor) -> Tensor:
        """Captum's scores [1, moving, d_model] by unit, [unit]."""
        positions = found[0].double().cpu()
        positions = positions.mean(-1) if self.leaves_out else positions.sum(-1)
        whole = torch.zeros(len(self.point.embedded), dtype=torch.float64)
        whole[self.places] = positions
        total = self.point.by_unit(whole)
        if self.leaves_out and not self.in_windows:  # each position of a unit carries its score
            total = total / self.point.by_unit(self.point.moves.double().cpu()).clamp(min=1)
        return total


def _class(algorithm: Any) -> Any:
    import captum.attr

    if isinstance(algorithm, str):
        algorithm = getattr(captum.attr, algorithm, algorithm)
    if not inspect.isclass(algorithm) or not hasattr(algorithm, "attribute"):
        raise InputError(
            f"The algorithm is {algorithm!r}; give a class of captum.attr or its name, such as "
            "'FeatureAblation'."
        )
    return algorithm


def _refuse(made: Any, at_call: set[str]) -> None:
    """Raises an UnsupportedModelError for a class that needs more than a function of one text."""
    needed = [
        name
        for name, parameter in inspect.signature(made.__init__).parameters.items()
        if parameter.default is parameter.empty and name != "self"
    ]
    if needed != ["forward_func"]:
        raise UnsupportedModelError(
            f"captum's {made.__name__} is made of {', '.join(needed)}, and only a function of "
            "embeddings is there. Use a class made of forward_func alone, such as "
            "IntegratedGradients or ShapleyValueSampling."
        )
    if _leaves_out(made) and "baselines" not in at_call:
        raise UnsupportedModelError(
            f"captum's {made.__name__} exchanges features between the texts of a batch, and there "
            "is one. Use FeatureAblation, which compares with the baseline."
        )


def _leaves_out(made: Any) -> bool:
    from captum.attr._utils.attribution import PerturbationAttribution

    return issubclass(made, PerturbationAttribution)


def _check_work(made: Any, call: dict[str, Any], features: int) -> None:
    """Raises an InputError for a regression on fewer samples than it has unknowns (captum's own
    default is 25), and for Shapley values by all orders of many features."""
    from captum.attr import Lime, ShapleyValues

    if issubclass(made, ShapleyValues) and features > _ORDERED:
        raise InputError(
            f"captum's {made.__name__} tries all {features}! orders of {features} units; "
            f"{_ORDERED} are the most here. Use exact_shapley, which takes 2^{features} "
            "evaluations, or permutation_shapley."
        )
    if issubclass(made, Lime):  # KernelShap is one
        default = inspect.signature(made.attribute).parameters["n_samples"].default
        samples = call.get("n_samples", default)
        if type(samples) is not int or samples <= features:
            raise InputError(
                f"n_samples is {samples!r}; {features} units that move are as many unknowns, so "
                f"captum's {made.__name__} needs more samples. Give n_samples."
            )


def _names(function: Any) -> set[str]:
    return set(inspect.signature(function).parameters)


def _adds_up(method: Any) -> bool:
    """Whether the method claims that its scores add up to the difference."""
    from captum.attr import KernelShap, ShapleyValueSampling

    if isinstance(method, KernelShap | ShapleyValueSampling):
        return True
    return bool(method.has_convergence_delta()) and bool(method.multiplies_by_inputs)


@contextmanager
def _seeded(seed: int, devices: list[torch.device]) -> Iterator[None]:
    """Draws of torch and numpy from a seed; where they were before, they go on afterwards."""
    import numpy as np

    before = np.random.get_state()
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            np.random.set_state(before)
