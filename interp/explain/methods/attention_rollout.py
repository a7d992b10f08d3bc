"""Attention rollout: how attention would carry tokens to the target, if it were all there is."""

from __future__ import annotations

from torch import Tensor

from interp.explain.finding import Finding
from interp.explain.methods.attention_maps import (
    attention_sites,
    read_activations,
    readout,
    rollout,
)
from interp.explain.points import Point


def attention_rollout(point: Point) -> Finding:
    """The row of `rollout_matrix` where the target is read (Abnar & Zuidema 2020, arXiv
    2005.00928).

    Without sign and without the target's value: the same for every token that could be predicted
    there. The shares of all positions sum to 1; those that the baseline keeps are left out.
    """
    return Finding(point.by_unit(readout(point) @ rollout_matrix(point) * point.moves))


def rollout_matrix(point: Point) -> Tensor:
    """[pos, pos], which share of each position (rows) is from each token: the product of
    (A + 1) / 2 over all layers, with A the mean pattern of the heads. Rows sum to 1.

    The decoder of an encoder-decoder takes one half from itself in each attention, and from the
    encoder's result the other half in each cross-attention.
    """
    sites = attention_sites(point)
    patterns = read_activations(point, [site.name for site in sites])
    means = {name: pattern.mean(0) for name, pattern in patterns.items()}
    return rollout(sites, means, len(point.embedded))
