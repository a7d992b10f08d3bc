"""Writes `docs/hooks.md`: every hook point of the three shapes, as the models themselves list them.

python -m manual.hook_table
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interp.atomic import writing
from interp.model.config import TransformerConfig
from interp.model.hook_points import HookPoint
from interp.model.transformer import HookedTransformer

PAGE = Path(__file__).parent.parent / "docs" / "hooks.md"

_ROTARY: dict[str, Any] = {"positional_embedding_type": "rotary", "normalization_type": "RMS"}
_POOLED: dict[str, Any] = {"head": "classification", "n_classes": 2, "pooler_act": "tanh"}
# Title -> what to call each variant -> its fields. Between them they have every point there is.
SHAPES: dict[str, dict[str, dict[str, Any]]] = {
    "Decoder": {
        "learned positions": {},
        "rotary": {**_ROTARY, "gated_mlp": True},
        "grouped keys": {**_ROTARY, "gated_mlp": True, "n_key_value_heads": 1},
        "parallel": {**_ROTARY, "parallel_attn_mlp": True},
        "attention only": {"attn_only": True},
    },
    "Encoder": {
        "post-norm": {"norm_position": "post", "embed_norm": True, "n_segments": 2, "head": "mlm"},
        "classifier": {"norm_position": "post", "n_segments": 2, **_POOLED},
        "pre-norm": {"head": "none"},
    },
    "Encoder-decoder": {
        "sinusoidal": {"norm_position": "post", "positional_embedding_type": "sinusoidal"},
        "relative positions": {
            "positional_embedding_type": "relative_positional_bias",
            "normalization_type": "RMS",
        },
    },
}

HEAD = """\
# Hook points

Every activation that a model names, in the order in which it is computed. `{i}` counts blocks from
0. The page is written by the models themselves (`python -m manual.hook_table`);
`model.hook_points` is the table of the model at hand, with its own layers. Names and shapes are
those of TransformerLens 2.x.

- **Shape**: `pos` are the positions of the text, `head` the heads of the attention. Where keys and
  values are grouped, `kv_head` is their number.
- **Fires**: `always` is part of every run with hooks. `on demand` costs memory or time, and is
  computed only where it is asked for by name.
- **An edit changes**: what else is computed from a value that is put there.
- **Only in**: variants of the shape that have the point; an empty cell means all of them.

```python
import interp

model = interp.load("stories")
model.hook_points["blocks.0.attn.hook_pattern"].shape  # batch head query_pos key_pos
model.run_with_cache("Once upon", names_filter=["pattern0", "blocks.3.hook_resid_post"])
```
"""


def page() -> str:
    """The whole page as Markdown."""
    return HEAD + "".join(map(_section, SHAPES))


def _section(title: str) -> str:
    variants = {name: _points(title, fields) for name, fields in SHAPES[title].items()}
    rows = ["| name | shape | fires | an edit changes | only in |", "|---|---|---|---|---|"]
    for name, point in merged(variants).items():
        having = [variant for variant, points in variants.items() if name in points]
        only = "" if len(having) == len(variants) else ", ".join(having)
        rows.append(f"| `{name}` | `{point.shape}` | {point.fires} | {point.edit} | {only} |")
    names = ", ".join(variants)
    return f"\n## {title}\n\nVariants: {names}.\n\n" + "\n".join(rows) + "\n"


def _points(title: str, fields: Mapping[str, Any]) -> dict[str, HookPoint]:
    cfg = TransformerConfig(
        d_model=8,
        n_layers=1,
        n_heads=2,
        d_vocab=8,
        n_ctx=8,
        shape=title.lower().replace("-", "_"),  # type: ignore[arg-type]
        **fields,
    )
    points = HookedTransformer(cfg).hook_points
    return {re.sub(r"\.0\.", ".{i}.", name): point for name, point in points.items()}


def merged(variants: Mapping[str, Mapping[str, HookPoint]]) -> dict[str, HookPoint]:
    """The points of all variants in firing order: one that is new goes behind its neighbour."""
    names: list[str] = []
    found: dict[str, HookPoint] = {}
    for points in variants.values():
        place = 0
        for name, point in points.items():
            if name in found:
                place = names.index(name) + 1
            else:
                names.insert(place, name)
                found[name] = point
                place += 1
    return {name: found[name] for name in names}


def main() -> None:
    with writing(PAGE) as file:
        file.write(page())


if __name__ == "__main__":
    main()
