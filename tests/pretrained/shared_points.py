"""Which module of the transformers library computes which of our named activations.

A `Spot` names a module by its path inside the bare model (`{i}` is the layer), one side of it, and
our hook point. Values are compared as [batch, pos, features], heads flattened.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from interp.model.transformer import HookedTransformer


@dataclass(frozen=True)
class Spot:
    """`side` is `in` or `out`; `part` picks one of three equal parts of a fused projection, and
    `by_head` says that the three lie inside each head."""

    path: str
    side: str
    point: str
    part: int | None = None
    by_head: bool = False

    def at(self, layer: int) -> Spot:
        i = str(layer)
        return replace(self, path=self.path.replace("{i}", i), point=self.point.replace("{i}", i))

    def read(self, value: Tensor, n_heads: int) -> Tensor:
        if self.part is None:
            return value.flatten(2)
        if self.by_head:
            return value.unflatten(-1, (n_heads, 3, -1))[:, :, :, self.part].flatten(2)
        return value.chunk(3, -1)[self.part]


def _attention(path: str, names: tuple[str, str, str, str], point: str) -> list[Spot]:
    q, k, v, out = names
    return [
        Spot(f"{path}.{q}", "out", f"{point}.hook_q"),
        Spot(f"{path}.{k}", "out", f"{point}.hook_k"),
        Spot(f"{path}.{v}", "out", f"{point}.hook_v"),
        Spot(f"{path}.{out}", "in", f"{point}.hook_z"),
    ]


def _fused(path: str, out: str, by_head: bool) -> list[Spot]:
    return [
        *(
            Spot(path, "out", f"blocks.{{i}}.attn.hook_{x}", part, by_head)
            for part, x in enumerate("qkv")
        ),
        Spot(out, "in", "blocks.{i}.attn.hook_z"),
    ]


def _mlp(up: str, down: str, point: str, linear: str | None = None) -> list[Spot]:
    spots = [
        Spot(up, "out", f"{point}.mlp.hook_pre"),
        Spot(down, "in", f"{point}.mlp.hook_post"),
        Spot(down, "out", f"{point}.hook_mlp_out"),
    ]
    return spots + ([Spot(linear, "out", f"{point}.mlp.hook_pre_linear")] if linear else [])


_B = "blocks.{i}"
_LLAMA = [
    Spot("embed_tokens", "out", "hook_embed"),
    *_attention("layers.{i}.self_attn", ("q_proj", "k_proj", "v_proj", "o_proj"), f"{_B}.attn"),
    Spot("layers.{i}.input_layernorm", "in", f"{_B}.hook_resid_pre"),
    Spot("layers.{i}.self_attn.o_proj", "out", f"{_B}.hook_attn_out"),
    Spot("layers.{i}.post_attention_layernorm", "in", f"{_B}.hook_resid_mid"),
    *_mlp("layers.{i}.mlp.gate_proj", "layers.{i}.mlp.down_proj", _B, "layers.{i}.mlp.up_proj"),
    Spot("layers.{i}", "out", f"{_B}.hook_resid_post"),
]
_NEOX = [
    Spot("embed_in", "out", "hook_embed"),
    *_fused("layers.{i}.attention.query_key_value", "layers.{i}.attention.dense", by_head=True),
    Spot("layers.{i}.input_layernorm", "in", f"{_B}.hook_resid_pre"),
    Spot("layers.{i}.attention.dense", "out", f"{_B}.hook_attn_out"),
    *_mlp("layers.{i}.mlp.dense_h_to_4h", "layers.{i}.mlp.dense_4h_to_h", _B),
    Spot("layers.{i}", "out", f"{_B}.hook_resid_post"),
]
_GPT2 = [
    Spot("wte", "out", "hook_embed"),
    Spot("wpe", "out", "hook_pos_embed"),
    *_fused("h.{i}.attn.c_attn", "h.{i}.attn.c_proj", by_head=False),
    Spot("h.{i}.ln_1", "in", f"{_B}.hook_resid_pre"),
    Spot("h.{i}.attn.c_proj", "out", f"{_B}.hook_attn_out"),
    Spot("h.{i}.ln_2", "in", f"{_B}.hook_resid_mid"),
    *_mlp("h.{i}.mlp.c_fc", "h.{i}.mlp.c_proj", _B),
    Spot("h.{i}", "out", f"{_B}.hook_resid_post"),
]


def _post_norm(ln1: str, ln2: str, attn_out: str) -> list[Spot]:
    return [
        Spot(attn_out, "out", f"{_B}.hook_attn_out"),
        Spot(ln1, "in", f"{_B}.hook_resid_mid"),
        Spot(ln2, "in", f"{_B}.hook_resid_post"),
        Spot(ln2, "out", f"{_B}.hook_normalized_resid_post"),
        Spot("embeddings.LayerNorm", "out", "hook_full_embed"),
        Spot("embeddings.word_embeddings", "out", "hook_embed"),
        Spot("embeddings.position_embeddings", "out", "hook_pos_embed"),
    ]


_LAYER = "encoder.layer.{i}"
_BERT = [
    *_attention(
        f"{_LAYER}.attention",
        ("self.query", "self.key", "self.value", "output.dense"),
        f"{_B}.attn",
    ),
    *_mlp(f"{_LAYER}.intermediate.dense", f"{_LAYER}.output.dense", _B),
    *_post_norm(
        f"{_LAYER}.attention.output.LayerNorm",
        f"{_LAYER}.output.LayerNorm",
        f"{_LAYER}.attention.output.dense",
    ),
    Spot("embeddings.token_type_embeddings", "out", "hook_token_type_embed"),
]
_LAYER = "transformer.layer.{i}"
_DISTILBERT = [
    *_attention(f"{_LAYER}.attention", ("q_lin", "k_lin", "v_lin", "out_lin"), f"{_B}.attn"),
    *_mlp(f"{_LAYER}.ffn.lin1", f"{_LAYER}.ffn.lin2", _B),
    *_post_norm(
        f"{_LAYER}.sa_layer_norm",
        f"{_LAYER}.output_layer_norm",
        f"{_LAYER}.attention.out_lin",
    ),
]


def _marian(stack: str) -> list[Spot]:
    theirs, ours = f"{stack}.layers.{{i}}", f"{stack}.{{i}}"
    names = ("q_proj", "k_proj", "v_proj", "out_proj")
    spots = [
        *_attention(f"{theirs}.self_attn", names, f"{ours}.attn"),
        Spot(f"{theirs}.self_attn_layer_norm", "in", f"{ours}.hook_resid_mid"),
        *_mlp(f"{theirs}.fc1", f"{theirs}.fc2", ours),
        Spot(f"{theirs}.final_layer_norm", "in", f"{ours}.hook_resid_post"),
        Spot(f"{theirs}.final_layer_norm", "out", f"{ours}.hook_normalized_resid_post"),
    ]
    if stack == "decoder":
        spots += _attention(f"{theirs}.encoder_attn", names, f"{ours}.cross_attn")
        norm = f"{theirs}.encoder_attn_layer_norm"
        spots.append(Spot(norm, "in", f"{ours}.hook_resid_mid_cross"))
    return spots


def _t5(stack: str, gated: bool) -> list[Spot]:
    theirs, ours = f"{stack}.block.{{i}}", f"{stack}.{{i}}"
    last = 2 if stack == "decoder" else 1
    dense = f"{theirs}.layer.{last}.DenseReluDense"
    spots = [
        *_attention(f"{theirs}.layer.0.SelfAttention", ("q", "k", "v", "o"), f"{ours}.attn"),
        Spot(f"{theirs}.layer.0.layer_norm", "in", f"{ours}.hook_resid_pre"),
        Spot(f"{theirs}.layer.1.layer_norm", "in", f"{ours}.hook_resid_mid"),
        *_mlp(
            f"{dense}.wi_0" if gated else f"{dense}.wi",
            f"{dense}.wo",
            ours,
            f"{dense}.wi_1" if gated else None,
        ),
    ]
    if stack == "decoder":
        path = f"{theirs}.layer.1.EncDecAttention"
        spots += _attention(path, ("q", "k", "v", "o"), f"{ours}.cross_attn")
        norm = f"{theirs}.layer.2.layer_norm"
        spots.append(Spot(norm, "in", f"{ours}.hook_resid_mid_cross"))
    return spots


_FAMILIES = {
    "gpt2": _GPT2,
    "neox": _NEOX,
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3"), _LLAMA),
    **dict.fromkeys(("bert", "roberta"), _BERT),
    "distilbert": _DISTILBERT,
    "marian": _marian("encoder") + _marian("decoder"),
}


def spots(family: str, model: HookedTransformer) -> Iterator[Spot]:
    """Every shared activation of a model, layer by layer."""
    table = _FAMILIES.get(family)
    if table is None:
        table = [*_t5("encoder", model.cfg.gated_mlp), *_t5("decoder", model.cfg.gated_mlp)]
    for spot in table:
        layers = 1
        if "{i}" in spot.path:
            layers = model.cfg.n_decoder_layers if "decoder" in spot.path else model.cfg.n_layers
        for layer in range(layers):
            placed = spot.at(layer)
            if placed.point in model.hook_points:
                yield placed


def record(theirs: Any, wanted: list[Spot], n_heads: int, **inputs: Any) -> tuple[Any, dict]:
    """Runs their model; its result, and the values at the spots by our names."""
    values: dict[str, Tensor] = {}
    bare = theirs.base_model
    handles = []
    for spot in wanted:

        def hook(_: Any, args: Any, out: Any, spot: Spot = spot) -> None:
            value = args[0] if spot.side == "in" else out
            value = value[0] if isinstance(value, tuple) else value
            values[spot.point] = spot.read(value.detach(), n_heads)

        handles.append(bare.get_submodule(spot.path).register_forward_hook(hook))
    try:
        with torch.no_grad():
            result = theirs(**inputs)
    finally:
        for handle in handles:
            handle.remove()
    return result, values
