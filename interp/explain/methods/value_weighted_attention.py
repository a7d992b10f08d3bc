"""Attention weighed by what it carries: a pattern times the length of the values it moves."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from interp.explain.finding import Finding
from interp.explain.methods.attention_maps import (
    Maps,
    Site,
    attention_sites,
    by_kind,
    read_activations,
    readout,
    rollout,
)
from interp.explain.points import Point


def value_weighted_attention(point: Point) -> Finding:
    """Rollout of the length of what each layer moves from key to query, over all heads together:
    |sum over heads of pattern x (value, as the head writes it)| (Kobayashi et al. 2020, arXiv
    2004.10102), each row divided by its sum.

    Without sign and without the target's value, as `attention_rollout`; but a token that is looked
    at and says nothing has no share.
    """
    sites, patterns, written = _read(point)
    weights = {}
    for site in sites:
        vectors, pattern = written[site.name], patterns[site.name]
        # |sum of heads|^2 by the products of their vectors; the vectors themselves would be
        # d_model numbers for every pair of positions.
        products = torch.einsum("hkd,gkd->khg", vectors, vectors)
        squares = torch.einsum("hqk,khg,gqk->qk", pattern, products, pattern)
        lengths = squares.clamp(min=0).sqrt()
        total = lengths.sum(-1, keepdim=True)
        even = pattern.mean(0)  # where nothing at all is moved, the pattern is as good as any
        weights[site.name] = torch.where(total > 0, lengths / total.clamp(min=1e-300), even)
    flow = rollout(sites, weights, len(point.embedded))
    return Finding(point.by_unit(readout(point) @ flow * point.moves))


def value_weighted_maps(point: Point) -> Maps:
    """By head, the length of what it moves from each key to each query: [layer, head, query, key],
    in the unit of the stream.

    Raises:
        InputError: the model is another library's.
    """
    sites, patterns, written = _read(point)
    lengths = {
        site.name: patterns[site.name] * written[site.name].norm(dim=-1)[:, None] for site in sites
    }
    return by_kind(sites, lengths)


def _read(point: Point) -> tuple[list[Site], dict[str, Tensor], dict[str, Tensor]]:
    """Patterns [head, query, key], and values as they are written to the stream
    [head, key, d_model], by site; float64."""
    point.require_taps()
    sites = attention_sites(point)
    names = [site.sibling(leaf) for site in sites for leaf in ("hook_pattern", "hook_v")]
    kept = {name: value.double() for name, value in read_activations(point, names).items()}
    written = {}
    for site in sites:
        out = _attention(point, site).W_O.detach().double()  # [head, d_head, d_model]
        values = kept[site.sibling("hook_v")].transpose(0, 1)
        values = values.repeat_interleave(len(out) // len(values), 0)
        written[site.name] = values @ out
    return sites, kept, written


def _attention(point: Point, site: Site) -> Any:
    stack, layer, part, _ = site.name.split(".")
    return getattr(point.model.stack(stack).blocks[int(layer)], part)
