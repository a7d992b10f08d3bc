"""Attention as maps between the positions of a text: where they are, how they follow each other,
and which position a target is read from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from interp.errors import InputError, UnsupportedModelError
from interp.explain.points import SOURCE, Point

Maps = dict[str, Tensor]
"""Kind of attention (`blocks.attn`, or `encoder.attn`, `decoder.attn`, `decoder.cross_attn`) -> one
value per pair of positions, [layer, head, query, key]."""


@dataclass(frozen=True)
class Site:
    """The attention of one layer, between positions of a text whose parts stand behind one another.

    Attributes:
        name: of its pattern's hook point.
        kind: stack and part, such as `decoder.cross_attn`.
        queries, keys: the positions of both, of all positions of a `Point`.
    """

    name: str
    kind: str
    queries: slice
    keys: slice

    @property
    def crosses(self) -> bool:
        """Whether it reads another part of the text."""
        return self.queries != self.keys

    def sibling(self, leaf: str) -> str:
        """The name of another point of the same attention."""
        return self.name.replace("hook_pattern", leaf)

    def block(self, leaf: str) -> str:
        """The name of a point of the block."""
        return ".".join([*self.name.split(".")[:2], leaf])


def attention_sites(point: Point) -> list[Site]:
    """The attention of all layers, in the order in which they are computed.

    Raises:
        UnsupportedModelError: the model shows no attention patterns.
    """
    n = len(point.embedded)
    source = point.parts[SOURCE].shape[1]
    of_stack = {"encoder": slice(0, source), "decoder": slice(source, n), "blocks": slice(0, n)}
    sites = []
    for name in point.model.hook_points:
        found = re.fullmatch(
            r"(blocks|encoder|decoder)\.\d+\.(attn|cross_attn)\.hook_pattern", name
        )
        if found:
            stack, part = found.groups()
            keys = of_stack["encoder" if part == "cross_attn" else stack]
            sites.append(Site(name, f"{stack}.{part}", of_stack[stack], keys))
    if not sites:
        raise UnsupportedModelError(
            f"{point.model.cfg.model_name} shows no attention patterns, so there is nothing that "
            "this method could read. Use one that needs gradients only."
        )
    return sites


def by_kind(sites: Iterable[Site], values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Values by the name of their site, stacked by kind: [layer, ...]."""
    found: dict[str, list[Tensor]] = {}
    for site in sites:
        found.setdefault(site.kind, []).append(values[site.name])
    return {kind: torch.stack(layers) for kind, layers in found.items()}


def read_activations(point: Point, names: Iterable[str]) -> dict[str, Tensor]:
    """Activations of the text, without the batch dimension."""
    kept: dict[str, Tensor] = {}

    def keep(value: Tensor, hook: Any) -> None:
        kept[hook.name] = value.detach()[0]

    with torch.no_grad():
        point.values(point.embedded[None], hooks=[(list(names), keep)])
    return kept


def attention_patterns(point: Point) -> Maps:
    """The attention patterns of the text: rows sum to 1."""
    sites = attention_sites(point)
    return by_kind(sites, read_activations(point, [site.name for site in sites]))


def rollout(sites: Iterable[Site], weights: Mapping[str, Tensor], n_pos: int) -> Tensor:
    """What each position has of each token after all layers, [pos, pos], if every attention gives
    one half and the skip path the other: the product of (A + 1) / 2 over layers.

    Args:
        weights: name of a site -> [query, key], whose rows sum to 1; those of the result then do.
    """
    some = next(iter(weights.values()))
    flow = torch.eye(n_pos, dtype=torch.float64, device=some.device)
    for site in sites:
        arrived = weights[site.name].double() @ flow[site.keys]
        flow[site.queries] = (flow[site.queries] + arrived) / 2
    return flow


def readout(point: Point) -> Tensor:
    """The positions that the target is read from, as weights [pos] that sum to 1.

    Raises:
        InputError: the target is a function of all logits, which does not say.
        UnsupportedModelError: it is not known what another library's classifier reads.
    """
    target, cfg = point.target, point.model.cfg
    n, last = len(point.embedded), list(point.parts.values())[-1].shape[1]
    if target.kind in ("span_start", "span_end"):
        assert target.position is not None
        places = [target.position]
    elif target.positions is not None:
        places = list(target.positions)
    elif cfg.head == "classification":
        places = _pooled(point, last)
    else:
        raise InputError(
            "Attention flows to positions, and a function of all logits does not say which. Give a "
            "target with a position, such as Target.logit(token, position)."
        )
    weights = torch.zeros(n, dtype=torch.float64, device=point.embedded.device)
    for place in places:
        weights[n - last + place] += 1 / len(places)
    return weights


def _pooled(point: Point, n: int) -> list[int]:
    pooling = getattr(point.model.cfg, "pooling", None)
    if pooling is None:
        raise UnsupportedModelError(
            f"It is not known which positions {type(point.model).__name__} classifies by."
        )
    mask = point.inputs.get("attention_mask")
    real = [i for i in range(n) if mask is None or bool(mask[0, i])]
    return {"first": real[:1], "last": real[-1:], "mean": real}[pooling]
