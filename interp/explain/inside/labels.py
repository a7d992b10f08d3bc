"""The labels of a cache's decomposition, taken apart into columns of a frame."""

from __future__ import annotations

import re
from typing import Any

_UNITS = {"H": ("attn", "head"), "C": ("cross_attn", "head"), "N": ("mlp", "neuron")}
_ORDER = ("embed", "attn", "cross_attn", "mlp", "bias")


def named(label: str) -> dict[str, Any]:
    """A label of the cache's decomposition, taken apart: component, part, layer, head, neuron,
    source (of a label with ` < SOURCE` behind it)."""
    out: dict[str, Any] = {"component": label, "part": "embed"}
    out |= dict.fromkeys(("layer", "head", "neuron", "source"))
    if label == "bias":
        return out | {"part": "bias"}
    layer = re.fullmatch(r"(\d+)_(attn|cross_attn|mlp)_out", label)
    if layer:
        return out | {"part": layer[2], "layer": int(layer[1])}
    unit = re.fullmatch(r"L(\d+)([HCN])(\d+)(?: < (\d+))?", label)
    if unit is None:
        return out
    part, kind = _UNITS[unit[2]]
    out |= {"part": part, "layer": int(unit[1]), kind: int(unit[3])}
    return out if unit[4] is None else out | {"source": int(unit[4])}


def when(row: dict[str, Any]) -> tuple[bool, int, int]:
    """When a component wrote; biases come last."""
    layer = -1 if row["layer"] is None else row["layer"]
    return row["part"] == "bias", layer, _ORDER.index(row["part"])
