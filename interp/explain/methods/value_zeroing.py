"""Value zeroing: how far each position moves when the value of one token is taken away."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from interp.explain.finding import Finding
from interp.explain.methods.attention_maps import attention_sites, readout
from interp.explain.points import Point


def value_zeroing(point: Point) -> Finding:
    """The row of the product of `value_zeroing_maps` over layers, where the target is read
    (Mohebbi et al. 2023, arXiv 2301.12971).

    Without sign and without the target's value. The shares of all positions sum to 1; those that
    the baseline keeps are left out.
    """
    flow = torch.eye(len(point.embedded), dtype=torch.float64, device=point.embedded.device)
    for layer in value_zeroing_maps(point):
        flow = layer @ flow
    return Finding(point.by_unit(readout(point) @ flow * point.moves))


def value_zeroing_maps(point: Point) -> Tensor:
    """[layer, pos, pos]: how far the output of a block at a position (rows) turns, by cosine, when
    the values of one position (columns) are 0 in all its heads, with the block's input as it was;
    rows are divided by their sum. The whole block is measured, so no skip path has to be added.

    Of an encoder-decoder, the encoder's layers come first; a block of the decoder loses the values
    of its own positions and of the source's. Positions that a block does not compute keep
    themselves.

    One forward of as many rows as positions serves all layers: what leaves a block is measured,
    and then put back.

    Raises:
        HookError: the model, another library's, has no values or outputs that can be edited.
    """
    sites = attention_sites(point)
    ends = {site.block(_output(point, site.block)): site.queries for site in sites}
    keys = {site.sibling("hook_v"): site.keys for site in sites}
    n = len(point.embedded)
    moved: dict[str, list[Tensor]] = {name: [] for name in ends}
    for zeroed in torch.arange(n).split(max(1, point.rows - 1)):

        def zero(value: Tensor, hook: Any, zeroed: Tensor = zeroed) -> Tensor:
            own = keys[hook.name]
            rows = ((zeroed >= own.start) & (zeroed < own.stop)).nonzero()[:, 0]
            value = value.clone()
            value[rows, zeroed[rows] - own.start] = 0
            return value

        def measure(value: Tensor, hook: Any) -> Tensor:
            turned, own = normalize(value[:-1], dim=-1), normalize(value[-1:], dim=-1)
            moved[hook.name].append((turned - own).double().square().sum(-1) / 2)
            return value[-1:].expand_as(value)

        rows = point.embedded.expand(len(zeroed) + 1, -1, -1)  # the last loses nothing
        with torch.no_grad():
            point.values(rows, hooks=[(list(keys), zero), (list(ends), measure)])
    maps = []
    for name, queries in ends.items():
        distance = torch.cat(moved[name]).T  # [query, zeroed]
        # Rows of a batch may round differently.
        nothing = distance < (16 * torch.finfo(point.embedded.dtype).eps) ** 2
        distance = distance.masked_fill(nothing, 0)
        total = distance.sum(-1, keepdim=True)
        layer = torch.eye(n, dtype=torch.float64, device=distance.device)
        layer[queries] = torch.where(total > 0, distance / total.clamp(min=1e-300), layer[queries])
        maps.append(layer)
    return torch.stack(maps)


def _output(point: Point, block: Any) -> str:
    """The point where the stream leaves the blocks of a model."""
    normed = "hook_normalized_resid_post"
    return normed if block(normed) in point.model.hook_points else "hook_resid_post"
