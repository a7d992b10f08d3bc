"""Relevance carried along attention, where attention and its gradient agree."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from interp.errors import UnsupportedModelError
from interp.explain.finding import Finding
from interp.explain.methods.attention_maps import Site, attention_sites, readout
from interp.explain.points import Point
from interp.explain.reading import finite


def attention_relevance(point: Point) -> Finding:
    """The row of `relevance_matrix` where the target is read (Chefer et al. 2021, arXiv
    2103.15679).

    Without sign: what speaks against the target is cut off in every layer. No unit, and no sum is
    kept. Tokens that the baseline keeps are left out.
    """
    return Finding(point.by_unit(readout(point) @ relevance_matrix(point) * point.moves))


def relevance_matrix(point: Point) -> Tensor:
    """[pos, pos], the relevance of each token (columns) to each position (rows).

    It begins with the identity. Each self-attention adds E R, with E the mean over heads of the
    positive part of pattern x its gradient (equations 5 to 7); each cross-attention adds the
    source's relevance through it, both sides without their own share's weight (equations 8 to 10).
    """
    sites = attention_sites(point)
    patterns, gradients = pattern_gradients(point, sites)
    n = len(point.embedded)
    relevance = torch.eye(n, dtype=torch.float64, device=point.embedded.device)
    for site in sites:
        agreed = (patterns[site.name] * gradients[site.name]).clamp(min=0).mean(0).double()
        q, k = site.queries, site.keys
        if site.crosses:
            through = _mixed(relevance[q, q]).T @ agreed @ _mixed(relevance[k, k])
            relevance[q, k] += through
        else:
            relevance[q] += agreed @ relevance[k]
    return relevance


def pattern_gradients(
    point: Point, sites: list[Site]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Patterns and the target's gradient at them, [head, query, key], by the name of their site.

    Raises:
        UnsupportedModelError: the model shows patterns, but does not compute with them.
    """
    kept: dict[str, Tensor] = {}

    def keep(value: Tensor, hook: Any) -> None:
        kept[hook.name] = value

    names = [site.name for site in sites]
    with torch.enable_grad():
        leaf = point.embedded[None].detach().requires_grad_()
        value = point.values(leaf, hooks=[(names, keep)]).sum()
        found = torch.autograd.grad(value, [kept[name] for name in names], allow_unused=True)
    point.backwards += 1
    if all(gradient is None for gradient in found):
        raise UnsupportedModelError(
            f"The attention patterns of {point.model.cfg.model_name} can be read, but the model "
            "does not compute with them, so the target has no gradient there."
        )
    gradients = {
        name: torch.zeros_like(kept[name][0]) if slope is None else finite(slope[0], "gradient")
        for name, slope in zip(names, found, strict=True)
    }
    return {name: value.detach()[0] for name, value in kept.items()}, gradients


def _mixed(relevance: Tensor) -> Tensor:
    """What attention has mixed in, with rows of sum 1, and the positions themselves; equations 8
    and 9. Where nothing was mixed in, the position alone."""
    own = torch.eye(len(relevance), dtype=relevance.dtype, device=relevance.device)
    mixed = relevance - own
    total = mixed.sum(-1, keepdim=True)
    return torch.where(total > 0, mixed / total.clamp(min=1e-300), 0.0) + own
