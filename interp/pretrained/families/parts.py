"""Lines that the tables of most families share."""

from __future__ import annotations

from collections.abc import Iterable

from interp.model.config import TransformerConfig
from interp.pretrained.tables import SAME, TRANSPOSE, Entry, Transform


def both(ours: str, theirs: str, transform: Transform = SAME) -> list[Entry]:
    """Weight and bias of a layer. A line of a parameter that the model lacks falls out later."""
    bias = SAME if transform is TRANSPOSE else transform
    return [
        Entry(f"{ours}.weight", f"{theirs}.weight", transform),
        Entry(f"{ours}.bias", f"{theirs}.bias", bias),
    ]


def layers(pairs: Iterable[tuple[str, str]]) -> list[Entry]:
    """Weights and biases of several layers."""
    return [entry for ours, theirs in pairs for entry in both(ours, theirs)]


def apart(cfg: TransformerConfig, ours: str, theirs: Iterable[str]) -> list[Entry]:
    """Queries, keys and values that are three layers there and the rows of one here."""
    entries = []
    begin = 0
    heads = (cfg.n_heads, cfg.n_key_value_heads, cfg.n_key_value_heads)
    for n, name in zip(heads, theirs, strict=True):
        rows = slice(begin, begin + n * cfg.d_head)
        begin = rows.stop
        entries += [
            Entry(f"{ours}.{kind}", f"{name}.{kind}", rows=rows) for kind in ("weight", "bias")
        ]
    return entries
