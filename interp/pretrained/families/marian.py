"""Marian (Junczys-Dowmunt et al. 2018, 1804.00344): the original Transformer, "add & norm" with
sines for positions, and one vocabulary for both languages."""

from __future__ import annotations

import math
from typing import Any

from interp.model.config import Head, TransformerConfig
from interp.pretrained.families.parts import apart, layers
from interp.pretrained.family import Family, activation, require, shared
from interp.pretrained.tables import ONE_ROW, Entry


def _config(hf: Any, head: Head) -> TransformerConfig:
    one_vocabulary = hf.share_encoder_decoder_embeddings and hf.decoder_vocab_size == hf.vocab_size
    require(one_vocabulary, "Each of the two languages has an embedding of its own")
    same = hf.encoder_attention_heads == hf.decoder_attention_heads
    require(same and hf.encoder_ffn_dim == hf.decoder_ffn_dim, "The two halves differ in shape")
    for variant in ("normalize_before", "normalize_embedding", "add_final_layer_norm"):
        require(not getattr(hf, variant, False), f"The configuration sets {variant}")
    fields = shared(hf, head) | {"initializer_range": hf.init_std}
    # Its decoder starts with the padding token, whose logit was never trained; every released
    # model comes with the order not to write it (`bad_words_ids`).
    fields["suppress_tokens"] = () if hf.pad_token_id is None else (hf.pad_token_id,)
    return TransformerConfig(
        **fields,
        d_model=hf.d_model,
        n_layers=hf.encoder_layers,
        n_decoder_layers=hf.decoder_layers,
        n_heads=hf.encoder_attention_heads,
        n_ctx=hf.max_position_embeddings,
        shape="encoder_decoder",
        d_mlp=hf.encoder_ffn_dim,
        positional_embedding_type="sinusoidal",
        embed_scale=math.sqrt(hf.d_model) if hf.scale_embedding else 1.0,
        norm_position="post",
        act_fn=activation(hf.activation_function),
        dropout=hf.dropout,
        unembed_bias=True,
    )


def _table(cfg: TransformerConfig) -> list[Entry]:
    entries = [
        Entry("embed.weight", "shared.weight"),
        Entry("output.unembed.weight", "lm_head.weight"),
        Entry("output.unembed.bias", "final_logits_bias", ONE_ROW),
    ]
    for stack in ("encoder", "decoder"):
        ours, theirs = f"{stack}.{{i}}", f"{stack}.layers.{{i}}"
        attentions = {"attn": "self_attn"}
        if stack == "decoder":
            attentions["cross_attn"] = "encoder_attn"
        for j, (part, name) in enumerate(attentions.items(), start=1):
            qkv = [f"{theirs}.{name}.{x}_proj" for x in "qkv"]
            entries += apart(cfg, f"{ours}.{part}.qkv", qkv)
            entries += layers(
                (
                    (f"{ours}.{part}.out", f"{theirs}.{name}.out_proj"),
                    (f"{ours}.ln{j}", f"{theirs}.{name}_layer_norm"),
                )
            )
        entries += layers(
            (
                (f"{ours}.mlp.up", f"{theirs}.fc1"),
                (f"{ours}.mlp.down", f"{theirs}.fc2"),
                (f"{ours}.ln{len(attentions) + 1}", f"{theirs}.final_layer_norm"),
            )
        )
    return entries


def _hf_config(cfg: TransformerConfig) -> dict[str, Any]:
    out = {
        "d_model": cfg.d_model,
        "max_position_embeddings": cfg.n_ctx,
        "scale_embedding": cfg.embed_scale != 1.0,
        "activation_function": cfg.act_fn,
        "dropout": cfg.dropout,
        "attention_dropout": cfg.dropout,
        "init_std": cfg.initializer_range,
        "forced_eos_token_id": cfg.eos_token_id,
    }
    for stack, n in (("encoder", cfg.n_layers), ("decoder", cfg.n_decoder_layers)):
        out |= {
            f"{stack}_layers": n,
            f"{stack}_attention_heads": cfg.n_heads,
            f"{stack}_ffn_dim": cfg.d_mlp,
        }
    return out


FAMILY = Family(
    model_type="marian",
    heads={"MarianMTModel": "lm"},
    prefixes=("model.",),
    config=_config,
    table=_table,
    hf_config=_hf_config,
    aliases={f"{stack}.embed_tokens.weight": "shared.weight" for stack in ("encoder", "decoder")},
    ignored=r"(encoder|decoder)\.embed_positions\.weight",  # the sines
)
