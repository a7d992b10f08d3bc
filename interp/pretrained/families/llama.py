"""Llama (Touvron et al. 2023, 2302.13971), Mistral (Jiang et al. 2023, 2310.06825), Qwen2 and Qwen3
(Yang et al. 2024, 2407.10671; 2025, 2505.09388): one block; the four differ in which options their
configurations know."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from interp.model.config import AttentionType, Head, TransformerConfig
from interp.pretrained.families import rope
from interp.pretrained.families.parts import apart, both, layers
from interp.pretrained.family import Family, activation, require, shared
from interp.pretrained.tables import Entry


@dataclass(frozen=True)
class Options:
    """What a family of this file can choose.

    Attributes:
        qkv_bias, attn_out_bias: True or False where fixed; None where `attention_bias` says it.
        mlp_bias: whether the configuration has a field of this name.
        qk_norm: whether queries and keys are normalised.
        window: where sliding windows are: `none`, `all` layers, or `some` (`layer_types`).
    """

    qkv_bias: bool | None
    attn_out_bias: bool | None
    mlp_bias: bool = False
    qk_norm: bool = False
    window: str = "none"


_OPTIONS = {
    "llama": Options(qkv_bias=None, attn_out_bias=None, mlp_bias=True),
    "mistral": Options(qkv_bias=False, attn_out_bias=False, window="all"),
    "qwen2": Options(qkv_bias=True, attn_out_bias=False, window="some"),
    "qwen3": Options(qkv_bias=None, attn_out_bias=None, qk_norm=True, window="some"),
}


def _config(options: Options, hf: Any, head: Head) -> TransformerConfig:
    d_head = getattr(hf, "head_dim", None) or hf.hidden_size // hf.num_attention_heads
    bias = bool(getattr(hf, "attention_bias", False))
    partial_factor = (hf.rope_parameters or {}).get("partial_rotary_factor") or 1.0
    require(partial_factor == 1.0, "The model rotates only a part of its heads")
    types, window = _windows(options, hf)
    return TransformerConfig(
        **shared(hf, head),
        **rope.read(hf, d_head),
        d_model=hf.hidden_size,
        n_layers=hf.num_hidden_layers,
        n_heads=hf.num_attention_heads,
        n_key_value_heads=hf.num_key_value_heads,
        n_ctx=hf.max_position_embeddings,
        d_head=d_head,
        d_mlp=hf.intermediate_size,
        qkv_bias=bias if options.qkv_bias is None else options.qkv_bias,
        attn_out_bias=bias if options.attn_out_bias is None else options.attn_out_bias,
        use_qk_norm=options.qk_norm,
        attn_types=types,
        window_size=window,
        normalization_type="RMS",
        eps=hf.rms_norm_eps,
        act_fn=activation(hf.hidden_act),
        gated_mlp=True,
        mlp_bias=options.mlp_bias and hf.mlp_bias,
        pooling="last",
        classifier_bias=head != "classification",
    )


def _windows(options: Options, hf: Any) -> tuple[tuple[AttentionType, ...], int]:
    """Which layers see a window only, and how long it is."""
    window = getattr(hf, "sliding_window", None)
    theirs = getattr(hf, "layer_types", None) if options.window == "some" else None
    if theirs is None:
        local = options.window == "all" and window is not None
        theirs = ["sliding_attention" if local else "full_attention"] * hf.num_hidden_layers
    known: dict[str, AttentionType] = {"full_attention": "global", "sliding_attention": "local"}
    require(set(theirs) <= set(known), f"The model has layers of the types {sorted(set(theirs))}")
    if window is None or "sliding_attention" not in theirs:
        return (), -1
    return tuple(known[kind] for kind in theirs), int(window)


def _table(cfg: TransformerConfig) -> list[Entry]:
    block, theirs = "blocks.{i}", "layers.{i}"
    qkv = [f"{theirs}.self_attn.{x}_proj" for x in "qkv"]
    return [
        Entry("embed.weight", "embed_tokens.weight"),
        *apart(cfg, f"{block}.attn.qkv", qkv),
        *layers(
            (
                (f"{block}.ln1", f"{theirs}.input_layernorm"),
                (f"{block}.attn.q_norm", f"{theirs}.self_attn.q_norm"),
                (f"{block}.attn.k_norm", f"{theirs}.self_attn.k_norm"),
                (f"{block}.attn.out", f"{theirs}.self_attn.o_proj"),
                (f"{block}.ln2", f"{theirs}.post_attention_layernorm"),
                (f"{block}.mlp.gate", f"{theirs}.mlp.gate_proj"),
                (f"{block}.mlp.up", f"{theirs}.mlp.up_proj"),
                (f"{block}.mlp.down", f"{theirs}.mlp.down_proj"),
                ("ln_final", "norm"),
                ("output.unembed", "lm_head"),
            )
        ),
        *both("output.classifier", "qa_outputs" if cfg.head == "span" else "score"),
    ]


def _hf_config(options: Options, cfg: TransformerConfig) -> dict[str, Any]:
    out = {
        **rope.write(cfg),
        "hidden_size": cfg.d_model,
        "num_hidden_layers": cfg.n_layers,
        "num_attention_heads": cfg.n_heads,
        "num_key_value_heads": cfg.n_key_value_heads,
        "max_position_embeddings": cfg.n_ctx,
        "head_dim": cfg.d_head,
        "intermediate_size": cfg.d_mlp,
        "rms_norm_eps": cfg.eps,
        "hidden_act": cfg.act_fn,
        "initializer_range": cfg.initializer_range,
    }
    if options.qkv_bias is None:
        out["attention_bias"] = cfg.qkv_bias
    if options.mlp_bias:
        out["mlp_bias"] = cfg.mlp_bias
    window = cfg.window_size if cfg.use_local_attn else None
    if options.window == "all":
        out["sliding_window"] = window
    elif options.window == "some":
        theirs = {"global": "full_attention", "local": "sliding_attention"}
        out |= {
            "use_sliding_window": window is not None,
            "sliding_window": window,
            "layer_types": [theirs[cfg.attention_type(i)] for i in range(cfg.n_layers)],
        }
    return out


def _family(model_type: str, stem: str) -> Family:
    options = _OPTIONS[model_type]
    return Family(
        model_type=model_type,
        heads={
            f"{stem}ForCausalLM": "lm",
            f"{stem}Model": "none",
            f"{stem}ForSequenceClassification": "classification",
            f"{stem}ForTokenClassification": "token_classification",
            f"{stem}ForQuestionAnswering": "span",
        },
        prefixes=("model.", "transformer."),  # the latter under the head for questions
        config=partial(_config, options),
        table=_table,
        hf_config=partial(_hf_config, options),
        ignored=r"layers\.\d+\.self_attn\.rotary_emb\.inv_freq",
    )


FAMILIES = (
    _family("llama", "Llama"),
    _family("mistral", "Mistral"),
    _family("qwen2", "Qwen2"),
    _family("qwen3", "Qwen3"),
)
