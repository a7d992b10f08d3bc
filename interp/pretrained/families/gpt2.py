"""GPT-2 (Radford et al. 2019): learned positions, pre-norm, matrices kept as [in, out]."""

from __future__ import annotations

from typing import Any

from interp.model.config import Head, TransformerConfig
from interp.pretrained.families.parts import both, layers
from interp.pretrained.family import Family, activation, require, shared
from interp.pretrained.tables import TRANSPOSE, Entry


def _config(hf: Any, head: Head) -> TransformerConfig:
    require(not hf.scale_attn_by_inverse_layer_idx, "Each layer scales its scores by its index")
    require(not getattr(hf, "add_cross_attention", False), "The decoder attends to an encoder")
    fields = shared(hf, head)
    return TransformerConfig(
        **fields,
        d_model=hf.n_embd,
        n_layers=hf.n_layer,
        n_heads=hf.n_head,
        n_ctx=hf.n_positions,
        d_mlp=hf.n_inner or 4 * hf.n_embd,
        attn_scale=-1.0 if hf.scale_attn_weights else 1.0,
        act_fn=activation(hf.activation_function),
        eps=hf.layer_norm_epsilon,
        dropout=hf.resid_pdrop,
        pooling="last",
        classifier_bias=head != "classification",
    )


def _table(cfg: TransformerConfig) -> list[Entry]:
    classifier = {"classification": "score", "span": "qa_outputs"}.get(cfg.head, "classifier")
    return [
        Entry("embed.weight", "wte.weight"),
        Entry("input.positions.weight", "wpe.weight"),
        *layers((("blocks.{i}.ln1", "h.{i}.ln_1"), ("blocks.{i}.ln2", "h.{i}.ln_2"))),
        *both("blocks.{i}.attn.qkv", "h.{i}.attn.c_attn", TRANSPOSE),
        *both("blocks.{i}.attn.out", "h.{i}.attn.c_proj", TRANSPOSE),
        *both("blocks.{i}.mlp.up", "h.{i}.mlp.c_fc", TRANSPOSE),
        *both("blocks.{i}.mlp.down", "h.{i}.mlp.c_proj", TRANSPOSE),
        *both("ln_final", "ln_f"),
        Entry("output.unembed.weight", "lm_head.weight"),
        *both("output.classifier", classifier),
    ]


def _hf_config(cfg: TransformerConfig) -> dict[str, Any]:
    return {
        "n_embd": cfg.d_model,
        "n_layer": cfg.n_layers,
        "n_head": cfg.n_heads,
        "n_positions": cfg.n_ctx,
        "n_inner": cfg.d_mlp,
        "scale_attn_weights": cfg.attn_scale != 1.0,
        "activation_function": cfg.act_fn,
        "layer_norm_epsilon": cfg.eps,
        "initializer_range": cfg.initializer_range,
        **dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), cfg.dropout),
    }


FAMILY = Family(
    model_type="gpt2",
    heads={
        "GPT2LMHeadModel": "lm",
        "GPT2Model": "none",
        "GPT2ForSequenceClassification": "classification",
        "GPT2ForTokenClassification": "token_classification",
        "GPT2ForQuestionAnswering": "span",
    },
    prefixes=("transformer.",),
    config=_config,
    table=_table,
    hf_config=_hf_config,
    ignored=r"h\.\d+\.attn\.(bias|masked_bias)",  # the causal mask, which old files keep
)
