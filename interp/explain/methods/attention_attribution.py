"""Attention attribution: what each entry of an attention pattern added to the target."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.finding import Finding, rounding
from interp.explain.methods.attention_maps import (
    Maps,
    Site,
    attention_sites,
    by_kind,
    read_activations,
)
from interp.explain.points import Point
from interp.explain.quadrature import COARSE, integrate
from interp.explain.reading import finite


@dataclass(frozen=True)
class AttentionAttribution:
    """Shares of attention entries in the target, in its unit.

    Attributes:
        maps: by kind, [layer, head, query, key]. Those of a layer add up to its difference.
        differences: by kind, [layer]: the target minus its value when that layer attends to
            nothing.
        converged: whether every layer adds up within the tolerance.
    """

    maps: Maps
    differences: dict[str, Tensor]
    converged: bool


def attention_attribution(
    point: Point, *, tolerance: float = 0.01, max_evaluations: int = 300
) -> Finding:
    """The share of each token as a key, over all heads and queries, in the mean layer; see
    `attention_attribution_maps`.

    Signed, in the target's unit. A key of a later layer is a position that already holds more than
    its token. Tokens that the baseline keeps are left out.
    """
    found = attention_attribution_maps(point, tolerance=tolerance, max_evaluations=max_evaluations)
    sites = attention_sites(point)
    keys = {site.kind: site.keys for site in sites}
    scores = torch.zeros(len(point.embedded), dtype=torch.float64)
    for kind, shares in found.maps.items():
        scores[keys[kind]] += shares.sum((0, 1, 2)).cpu() / len(sites)
    return Finding(point.by_unit(scores * point.moves.cpu()), converged=found.converged)


def attention_attribution_maps(
    point: Point, *, tolerance: float = 0.01, max_evaluations: int = 300
) -> AttentionAttribution:
    """A x integral of dF/dA along a A, for a from 0 to 1, with A the pattern of one layer in all
    its heads, one layer at a time (Hao et al. 2021, arXiv 2004.11207, equation 4). The integral is
    taken as in `integrated_gradients`, with a measured error.

    Args:
        tolerance: the largest error of a layer's sum, relative to its difference.
        max_evaluations: of the gradient, for each layer; when they are used up, the error is what
            it is, and a warning says so.
    """
    if not 0 < tolerance < 1:
        raise InputError(f"tolerance is {tolerance}; it must lie between 0 and 1.")
    if max_evaluations <= COARSE:
        raise InputError(
            f"max_evaluations is {max_evaluations}; a path takes {COARSE + 1} at least."
        )
    sites = attention_sites(point)
    patterns = read_activations(point, [site.name for site in sites])
    shares, differences, late = {}, {}, []
    for site in sites:
        pattern = patterns[site.name]
        start = _without(point, site)
        difference = point.value - start
        allowed = max(tolerance * abs(difference), rounding(point))

        def evaluate(
            places: Tensor, site: Site = site, pattern: Tensor = pattern
        ) -> tuple[Tensor, Tensor]:
            return _shares(point, site, pattern, places)

        panels = integrate(evaluate, start, point.value, allowed, max_evaluations)
        total = torch.stack([panel.scores for panel in panels]).sum(0)
        shares[site.name] = total.view_as(pattern)
        differences[site.name] = torch.tensor(difference, dtype=torch.float64)
        if sum(panel.gap for panel in panels) > allowed:
            late.append(site.name.removesuffix(".hook_pattern"))
    if late:
        warnings.warn(
            f"Attention attribution used up its evaluations in {', '.join(late)}, where the shares "
            f"miss their sum by more than {tolerance:.1%}. Allow more with max_evaluations.",
            stacklevel=3,
        )
    return AttentionAttribution(by_kind(sites, shares), by_kind(sites, differences), not late)


def _without(point: Point, site: Site) -> float:
    """The target where a layer attends to nothing."""

    def silence(value: Tensor, hook: Any) -> Tensor:
        return torch.zeros_like(value)

    with torch.no_grad():
        return float(point.values(point.embedded[None], hooks=[(site.name, silence)])[0])


def _shares(point: Point, site: Site, pattern: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
    """The target [n] at places on the path, and A x dF/dA there [n, entry]."""
    values, slopes = [], []
    for chunk in places.split(point.rows):
        with torch.enable_grad():
            scaled = (chunk.to(pattern)[:, None, None, None] * pattern).requires_grad_()

            def put(value: Tensor, hook: Any, scaled: Tensor = scaled) -> Tensor:
                return scaled

            rows = point.embedded.expand(len(chunk), -1, -1)
            found = point.values(rows, hooks=[(site.name, put)])
            (slope,) = torch.autograd.grad(found.sum(), scaled)
        point.backwards += len(chunk)
        values.append(found.detach().double())
        slopes.append((finite(slope, "gradient") * pattern).double().flatten(1))
    return torch.cat(values), torch.cat(slopes)
