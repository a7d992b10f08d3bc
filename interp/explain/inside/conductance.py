"""Conductance: how much of the difference between a text and its baseline flows through a unit.

Dhamdhere et al. 2018, arXiv 1805.12233, equation 2, along the straight path from the baseline to
the text: cond(u) = integral of dF/du . du/d(place). By the chain rule the conductances of a full
cut, such as the stream between two blocks, add up to F(text) - F(baseline); those of a part of a
cut, such as the neurons of one layer, to what flows through that part.

du/d(place) is computed exactly, by forward-mode differentiation; dF/du by a backward. The total
slope dF/d(place) comes from the same backward, and by it the quadrature measures its error,
whatever the units are.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from interp.errors import InputError
from interp.explain.attribute import read_target
from interp.explain.baseline import Baseline
from interp.explain.finding import rounding
from interp.explain.inside.flow import Flow
from interp.explain.inside.run import block_of
from interp.explain.points import Point
from interp.explain.quadrature import COARSE, integrate
from interp.explain.reading import finite
from interp.explain.target import Target
from interp.model.hook_points import HookPoint, NamesFilter, select


def conductance(
    model: Any,
    text: str | Tensor | list[int],
    names: NamesFilter,
    target: Target | Callable[[Tensor], Tensor] | None = None,
    baseline: Baseline | None = None,
    *,
    inputs: dict[str, Any] | None = None,
    tolerance: float = 0.01,
    max_evaluations: int = 1500,
    batch_size: int | None = None,
) -> Flow:
    """What flows through the units of some activations, all from the same forwards and backwards.

    Args:
        model: of any shape, another library's too.
        text: one text, or its ids.
        names: of activations within blocks, as for `run_with_cache`:
            `blocks.1.hook_resid_pre`, or several, or a predicate.
        target: as for `interp.attribute`.
        baseline: where the path starts; by default the mean embedding. Of several, the mean.
        inputs: further inputs of the forward.
        tolerance: the largest error of the integral, relative to the difference.
        max_evaluations: of the gradient, for each baseline together; a warning says when they did
            not suffice.
        batch_size: copies of the text in one forward.

    Raises:
        HookError: there is no such activation.
        InputError: an activation outside the blocks, or what `interp.attribute` refuses.
    """
    if not 0 < tolerance < 1:
        raise InputError(f"tolerance is {tolerance}; it must lie between 0 and 1.")
    points = {name: model.hook_points[name] for name in select(model.hook_points, names)}
    for name in points:
        block_of(name)
    baseline = baseline or Baseline.mean()
    with torch.inference_mode(False):
        point = Point.read(
            model, text, read_target(target), baseline, inputs or {}, batch_size=batch_size
        )
        scores, gap = _integrated(point, points, tolerance, max_evaluations)
    allowed = max(tolerance * abs(point.value - point.baseline_value), rounding(point))
    if gap > allowed:
        warnings.warn(
            f"Conductance used {point.backwards} evaluations and its integral may still be off by "
            f"{gap:.3g}, of a difference of {point.value - point.baseline_value:.3g}. Allow more "
            "with max_evaluations, or choose a baseline further from the text.",
            stacklevel=2,
        )
    return Flow(
        points=points,
        scores=scores,
        tokens=tuple(point.token_texts()),
        sides=tuple(point.side),
        target=point.target.description,
        baseline=baseline.description,
        value=point.value,
        baseline_value=point.baseline_value,
        gap=gap,
        converged=gap <= allowed,
        forwards=point.forwards,
        backwards=point.backwards,
    )


def _integrated(
    point: Point, points: Mapping[str, HookPoint], tolerance: float, max_evaluations: int
) -> tuple[dict[str, Tensor], float]:
    """Conductances by name, [pos, ...], and by how much the integrals may be off."""
    paths = len(point.baselines)
    if max_evaluations < (COARSE + 1) * paths:
        raise InputError(
            f"max_evaluations is {max_evaluations}; {paths} path(s) take {COARSE + 1} each at "
            "least."
        )
    allowed = max(tolerance * abs(point.value - point.baseline_value), rounding(point))
    total, gap = torch.zeros(1, dtype=torch.float64), 0.0
    shapes: dict[str, torch.Size] = {}
    for baseline, value in zip(point.baselines, point.baseline_values, strict=True):
        path = _Path(point, tuple(points), baseline, point.embedded - baseline, shapes)
        panels = integrate(path, value, point.value, allowed, max_evaluations // paths)
        total = total + torch.stack([panel.scores for panel in panels]).sum(0) / paths
        gap += sum(panel.gap for panel in panels) / paths
    parts = total[:-1].split([shape.numel() for shape in shapes.values()])
    named = zip(shapes, parts, strict=True)
    return {name: part.view(shapes[name]) for name, part in named}, gap


@dataclass(frozen=True)
class _Path:
    """The slopes of the target along one straight path, by unit.

    Attributes:
        names: of the activations.
        start, step: embeddings [pos, d_model] of the baseline, and what leads to the text.
        shapes: receives the shape of each activation, without batch.
    """

    point: Point
    names: tuple[str, ...]
    start: Tensor
    step: Tensor
    shapes: dict[str, torch.Size]

    def __call__(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Places on the path [n] -> the target there [n], and its slope by unit, [n, unit]; a last
        share is the rest of the slope, what flows past all of them (or through several)."""
        at = self.start + places.to(self.step)[:, None, None] * self.step
        parts = [self._slopes(chunk) for chunk in at.split(self.point.rows)]
        values, slopes = (torch.cat(x) for x in zip(*parts, strict=True))
        return values, slopes

    def _slopes(self, at: Tensor) -> tuple[Tensor, Tensor]:
        values, total, gradients = self._backward(at)
        tangents = self._forward(at)
        shares = []
        for name in self.names:
            share = (gradients[name] * tangents[name]).double()
            self.shapes[name] = share.shape[1:]
            shares.append(finite(share, f"slope through {name}").flatten(1))
        rest = total - sum(share.sum(1) for share in shares)
        return values, torch.cat([*shares, rest[:, None]], 1)

    def _backward(self, at: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The target [n], its slope [n], and its gradient with respect to each activation."""
        kept: dict[str, Tensor] = {}

        def keep(value: Tensor, hook: Any) -> None:
            kept[hook.name] = value

        with torch.enable_grad():
            leaf = at.detach().requires_grad_()
            values = self.point.values(leaf, hooks=[(self.names, keep)])
            wanted = [leaf, *kept.values()]
            found = torch.autograd.grad(values.sum(), wanted, allow_unused=True)
        self.point.backwards += len(at)
        # The target need not depend on an activation: one behind all positions that it reads.
        gradients = [
            torch.zeros_like(x) if g is None else g for x, g in zip(wanted, found, strict=True)
        ]
        slope = (gradients[0] * self.step).double().flatten(1).sum(1)
        by_name = dict(zip(kept, gradients[1:], strict=True))
        return values.detach().double(), finite(slope, "gradient of the target"), by_name

    def _forward(self, at: Tensor) -> dict[str, Tensor]:
        """How each activation moves along the path, in the activation's own shape."""
        tangents: dict[str, Tensor] = {}

        def keep(value: Tensor, hook: Any) -> None:
            tangent = forward_ad.unpack_dual(value).tangent
            tangents[hook.name] = torch.zeros_like(value) if tangent is None else tangent

        # Only the plain kernel of the attention is differentiable forwards.
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), forward_ad.dual_level():
            moving = forward_ad.make_dual(at, self.step.expand_as(at).contiguous())
            self.point.values(moving, hooks=[(self.names, keep)])
        return tangents
