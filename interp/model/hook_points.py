"""Hook points: what a name means, and how a user's way of writing it becomes that name.

Every component lists its own points in the order in which they fire; `HookedTransformer`
gathers them into one table. Names and shapes are TransformerLens's classic (2.x) ones.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from interp.errors import HookError

NamesFilter = str | Iterable[str] | Callable[[str], bool] | None


@dataclass(frozen=True)
class HookPoint:
    """One named activation of a model.

    Attributes:
        name: full name, such as `blocks.3.attn.hook_q`.
        shape: names of the dimensions, such as `batch pos head d_head`.
        fires: `always`, or `on demand`: computed only if a tap asks for this very name.
        edit: what a value put here changes.
    """

    name: str
    shape: str
    edit: str
    fires: Literal["always", "on demand"] = "always"

    def scope(self, prefix: str) -> HookPoint:
        return dataclasses.replace(self, name=f"{prefix}.{self.name}")

    def layer(self) -> int:
        """Index of the block this point lies in.

        Raises:
            HookError: the point lies outside the blocks.
        """
        found = re.search(r"\.(\d+)\.", self.name)
        if found is None:
            raise HookError(f"{self.name} lies outside the blocks, so it has no layer.")
        return int(found[1])


class HookTable(dict[str, HookPoint]):
    """The points of a model by name, in firing order; prints as a table."""

    def rows(self) -> list[dict[str, str]]:
        """One row a point: name, shape, when it fires, what an edit changes."""
        return [
            {"name": p.name, "shape": p.shape, "fires": p.fires, "an edit changes": p.edit}
            for p in self.values()
        ]

    def __repr__(self) -> str:
        rows = self.rows()
        columns = list(rows[0]) if rows else []
        table = [columns, *(list(row.values()) for row in rows)]
        widths = [max(len(row[i]) for row in table) for i in range(len(columns))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in table
        )


def scoped(prefix: str, points: Iterable[HookPoint]) -> Iterator[HookPoint]:
    """The points of a part, named as seen from the whole."""
    return (point.scope(prefix) for point in points)


# Short names that lie in a part of the block; the rest are points of the block itself.
_PART = {
    **dict.fromkeys(
        ("q", "k", "v", "z", "rot_q", "rot_k", "attn_scores", "pattern", "result"), "attn"
    ),
    **dict.fromkeys(("pre", "post", "pre_linear"), "mlp"),
    **dict.fromkeys(("scale", "normalized"), "ln1"),
}
_SYNONYM = {
    "attn": "pattern",
    "attn_logits": "attn_scores",
    "key": "k",
    "query": "q",
    "value": "v",
    "mlp_pre": "pre",
    "mlp_post": "post",
}
_PART_SYNONYM = {"a": "attn", "m": "mlp", "b": "", "block": "", "blocks": "", "attention": "attn"}
# BERT's embedding points sit inside the `embed` module in TransformerLens.
_ALIAS = {
    f"embed.{name}": name for name in ("hook_embed", "hook_pos_embed", "hook_token_type_embed")
}
# TransformerLens 4 moved the inputs of single heads from the block into its attention.
_IN_ATTENTION = re.compile(r"\.attn\.(hook_attn_in|hook_[qkv]_input)$")


def get_act_name(name: str, layer: int | None = None, part: str | None = None) -> str:
    """The full name of a short one: `get_act_name("q", 3)` is `blocks.3.attn.hook_q`.

    Follows TransformerLens: `("resid_post", 3)`, `("scale", 3, "ln2")`, `("normalized",)` for the
    final norm, `("pattern", 3, "attn")`; a full name is returned as it is.
    """
    if "." in name or name.startswith("hook_"):
        return _ALIAS.get(name, _IN_ATTENTION.sub(r".\1", name))
    glued = re.match(r"^([a-z_]+?)(\d+)([a-z]?.*)$", name) if layer is None else None
    if glued:  # "q3", "scale4ln1": the short form of old notebooks
        name, layer, part = glued[1], int(glued[2]), glued[3] or part
    name = _SYNONYM.get(name, name)
    if layer is None:
        return f"ln_final.hook_{name}" if name in ("scale", "normalized") else f"hook_{name}"
    part = _PART.get(name, "") if part is None else _PART_SYNONYM.get(part, part)
    return f"blocks.{layer}." + (f"{part}." if part else "") + f"hook_{name}"


def select(points: Mapping[str, HookPoint], names: NamesFilter) -> list[str]:
    """The names a user asked for, in firing order.

    `names` is a name or short name, several of them, a predicate over full names, or None for
    every point that always fires.

    Raises:
        HookError: a name is not a point of this model, or a predicate matches none.
    """
    if names is None:
        return [name for name, point in points.items() if point.fires == "always"]
    if callable(names):
        chosen = [name for name in points if names(name)]
        if not chosen:
            raise HookError(
                "The predicate given as a name matches no hook point that is computed. "
                "Print `model.hook_points` for the table."
            )
        return chosen
    wanted = {resolve(points, name) for name in ([names] if isinstance(names, str) else names)}
    return [name for name in points if name in wanted]


def by_name(names: NamesFilter) -> bool:
    """Whether points are asked for by their names, and not as whatever a predicate matches."""
    return names is not None and not callable(names)


def resolve(points: Mapping[str, HookPoint], name: str) -> str:
    """The full name behind `name`, or a HookError that lists the nearest ones."""
    full = get_act_name(name)
    if full in points:
        return full
    raise unknown(points, full)


_IN_BLOCK = re.compile(r"(blocks|encoder|decoder)\.(\d+)\.")


def unknown(points: Mapping[str, HookPoint], name: str) -> HookError:
    """The error for a name this model does not compute: says why where it is known."""
    message = f"{name!r} is not a hook point of this model."
    leaf = name.rsplit(".", 1)[-1]
    inside = _IN_BLOCK.match(name)
    layers = {
        found[2]
        for point in points
        if (found := _IN_BLOCK.match(point)) and inside and found[1] == inside[1]
    }
    if inside and layers and inside[2] not in layers:
        message += f" The stack {inside[1]!r} has the layers 0 to {len(layers) - 1}."
    elif leaf in _ABSENT and not any(point.endswith("." + leaf) for point in points):
        message += f" {_ABSENT[leaf]}"
    near = difflib.get_close_matches(name, points, n=4, cutoff=0.5)
    if near:
        message += f" Nearest: {', '.join(near)}."
    return HookError(message + " Print `model.hook_points` for the table.")


_NO_CROSS = "Only an encoder-decoder has cross-attention."
_NO_MLP = "This configuration is attention-only: it has no feed-forward layers."
_ABSENT = {
    "hook_resid_mid": "Parallel and attention-only blocks have no stream between two sub-layers, "
    "so there is nothing an edit could mean.",
    "hook_attn_in": "Keys and values are grouped here: they and the queries have inputs of their "
    "own, hook_q_input, hook_k_input and hook_v_input.",
    "hook_cross_attn_in": _NO_CROSS,
    "hook_cross_attn_out": _NO_CROSS,
    "hook_resid_mid_cross": _NO_CROSS,
    "hook_rot_q": "Only rotary models rotate queries and keys.",
    "hook_rot_k": "Only rotary models rotate queries and keys.",
    "hook_pos_embed": "Its positions enter in the attention, not as an embedding.",
    "hook_pre_linear": "Only gated feed-forward layers have a linear branch.",
    "hook_mlp_in": _NO_MLP,
    "hook_mlp_out": _NO_MLP,
    "hook_pre": _NO_MLP,
    "hook_post": _NO_MLP,
    "hook_normalized_resid_post": "Only post-norm blocks normalise the stream itself.",
    "hook_token_type_embed": "It has no segment embedding.",
    "hook_pooler_out": "It has no classification head with a pooler.",
}
