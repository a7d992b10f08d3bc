"""T5 (Raffel et al. 2020), versions 1.0 and 1.1: RMSNorm, relative positions, no biases."""

from __future__ import annotations

from typing import Any

from interp.model.config import Head, TransformerConfig
from interp.pretrained.families.parts import apart
from interp.pretrained.family import Family, activation, shared
from interp.pretrained.tables import Entry


def _config(hf: Any, head: Head) -> TransformerConfig:
    # Relative positions have no end; the configuration of the first checkpoints names the length
    # that they were trained on.
    fields = shared(hf, head) | {"initializer_range": 0.02 * hf.initializer_factor}
    if fields["decoder_start_token_id"] is None:
        fields["decoder_start_token_id"] = fields["pad_token_id"]
    return TransformerConfig(
        **fields,
        d_model=hf.d_model,
        n_layers=hf.num_layers,
        n_decoder_layers=hf.num_decoder_layers,
        n_heads=hf.num_heads,
        n_ctx=getattr(hf, "n_positions", None) or 512,
        shape="encoder_decoder",
        d_head=hf.d_kv,
        d_mlp=hf.d_ff,
        positional_embedding_type="relative_positional_bias",
        relative_attention_num_buckets=hf.relative_attention_num_buckets,
        relative_attention_max_distance=hf.relative_attention_max_distance,
        attn_scale=1.0,
        qkv_bias=False,
        attn_out_bias=False,
        normalization_type="RMS",
        eps=hf.layer_norm_epsilon,
        act_fn=activation(hf.dense_act_fn),
        gated_mlp=hf.is_gated_act,
        mlp_bias=False,
        dropout=hf.dropout_rate,
        logit_scale=hf.d_model**-0.5 if hf.scale_decoder_outputs else 1.0,
    )


def _table(cfg: TransformerConfig) -> list[Entry]:
    entries = [
        Entry("embed.weight", "shared.weight"),
        Entry("output.unembed.weight", "lm_head.weight"),
    ]
    for stack in ("encoder", "decoder"):
        ours, theirs = f"{stack}.{{i}}", f"{stack}.block.{{i}}.layer"
        attentions = {"attn": "0.SelfAttention"}
        if stack == "decoder":
            attentions["cross_attn"] = "1.EncDecAttention"
        for j, (part, name) in enumerate(attentions.items()):
            entries += apart(cfg, f"{ours}.{part}.qkv", [f"{theirs}.{name}.{x}" for x in "qkv"])
            entries += [
                Entry(f"{ours}.{part}.out.weight", f"{theirs}.{name}.o.weight"),
                Entry(f"{ours}.ln{j + 1}.weight", f"{theirs}.{j}.layer_norm.weight"),
            ]
        last = len(attentions)
        dense = f"{theirs}.{last}.DenseReluDense"
        up = {"gate": "wi_0", "up": "wi_1"} if cfg.gated_mlp else {"up": "wi"}
        entries += [
            *(Entry(f"{ours}.mlp.{x}.weight", f"{dense}.{y}.weight") for x, y in up.items()),
            Entry(f"{ours}.mlp.down.weight", f"{dense}.wo.weight"),
            Entry(f"{ours}.ln{last + 1}.weight", f"{theirs}.{last}.layer_norm.weight"),
            Entry(f"{stack}_final_ln.weight", f"{stack}.final_layer_norm.weight"),
            Entry(
                f"relative_bias.{stack}.weight",
                f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
            ),
        ]
    return entries


def _hf_config(cfg: TransformerConfig) -> dict[str, Any]:
    # Theirs reads "gated-gelu" as the gelu that we call gelu_new.
    act = "gelu" if cfg.gated_mlp and cfg.act_fn == "gelu_new" else cfg.act_fn
    return {
        "d_model": cfg.d_model,
        "num_layers": cfg.n_layers,
        "num_decoder_layers": cfg.n_decoder_layers,
        "num_heads": cfg.n_heads,
        "n_positions": cfg.n_ctx,
        "d_kv": cfg.d_head,
        "d_ff": cfg.d_mlp,
        "relative_attention_num_buckets": cfg.relative_attention_num_buckets,
        "relative_attention_max_distance": cfg.relative_attention_max_distance,
        "layer_norm_epsilon": cfg.eps,
        "feed_forward_proj": f"gated-{act}" if cfg.gated_mlp else act,
        "dropout_rate": cfg.dropout,
        "initializer_factor": cfg.initializer_range / 0.02,
        # Theirs takes this word for whether the output is scaled; see `export` for the tie itself.
        "tie_word_embeddings": cfg.logit_scale != 1.0,
    }


FAMILY = Family(
    model_type="t5",
    heads={"T5ForConditionalGeneration": "lm"},
    prefixes=(),
    config=_config,
    table=_table,
    hf_config=_hf_config,
    aliases={f"{stack}.embed_tokens.weight": "shared.weight" for stack in ("encoder", "decoder")},
    # The first checkpoints have a bias in cross-attention that was never used.
    ignored=r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight",
)
