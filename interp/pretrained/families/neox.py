"""GPT-NeoX (Black et al. 2022) and Pythia (Biderman et al. 2023): partial rotary positions,
attention and feed-forward in parallel, queries, keys and values interleaved by head."""

from __future__ import annotations

from typing import Any

from interp.model.config import Head, TransformerConfig
from interp.pretrained.families import rope
from interp.pretrained.families.parts import both, layers
from interp.pretrained.family import Family, activation, shared
from interp.pretrained.tables import Entry, interleaved


def _config(hf: Any, head: Head) -> TransformerConfig:
    return TransformerConfig(
        **shared(hf, head),
        **rope.read(hf, hf.hidden_size // hf.num_attention_heads),
        d_model=hf.hidden_size,
        n_layers=hf.num_hidden_layers,
        n_heads=hf.num_attention_heads,
        n_ctx=hf.max_position_embeddings,
        d_mlp=hf.intermediate_size,
        parallel_attn_mlp=hf.use_parallel_residual,
        qkv_bias=hf.attention_bias,
        attn_out_bias=hf.attention_bias,
        act_fn=activation(hf.hidden_act),
        eps=hf.layer_norm_eps,
        dropout=hf.hidden_dropout,
        pooling="last",
        classifier_bias=head != "classification",
    )


def _table(cfg: TransformerConfig) -> list[Entry]:
    block, theirs = "blocks.{i}", "layers.{i}"
    return [
        Entry("embed.weight", "embed_in.weight"),
        *both(f"{block}.attn.qkv", f"{theirs}.attention.query_key_value", interleaved(cfg.n_heads)),
        *layers(
            (
                (f"{block}.ln1", f"{theirs}.input_layernorm"),
                (f"{block}.attn.out", f"{theirs}.attention.dense"),
                (f"{block}.ln2", f"{theirs}.post_attention_layernorm"),
                (f"{block}.mlp.up", f"{theirs}.mlp.dense_h_to_4h"),
                (f"{block}.mlp.down", f"{theirs}.mlp.dense_4h_to_h"),
                ("ln_final", "final_layer_norm"),
                ("output.classifier", _CLASSIFIERS.get(cfg.head, "")),
            )
        ),
        # In checkpoints older than version 5.23 the output is `embed_out`.
        Entry("output.unembed.weight", "lm_head.weight"),
    ]


_CLASSIFIERS = {
    "classification": "score",
    "token_classification": "classifier",
    "span": "qa_outputs",
}


def _hf_config(cfg: TransformerConfig) -> dict[str, Any]:
    return {
        **rope.write(cfg, partial=True),
        "hidden_size": cfg.d_model,
        "num_hidden_layers": cfg.n_layers,
        "num_attention_heads": cfg.n_heads,
        "max_position_embeddings": cfg.n_ctx,
        "intermediate_size": cfg.d_mlp,
        "use_parallel_residual": cfg.parallel_attn_mlp,
        "attention_bias": cfg.qkv_bias,
        "hidden_act": cfg.act_fn,
        "layer_norm_eps": cfg.eps,
        "hidden_dropout": cfg.dropout,
        "attention_dropout": cfg.dropout,
        "initializer_range": cfg.initializer_range,
    }


FAMILY = Family(
    model_type="gpt_neox",
    heads={
        "GPTNeoXForCausalLM": "lm",
        "GPTNeoXModel": "none",
        "GPTNeoXForSequenceClassification": "classification",
        "GPTNeoXForTokenClassification": "token_classification",
        "GPTNeoXForQuestionAnswering": "span",
    },
    prefixes=("gpt_neox.",),
    config=_config,
    table=_table,
    hf_config=_hf_config,
    aliases={"embed_out.weight": "lm_head.weight"},
    # The causal mask and the frequencies, which old files keep.
    ignored=r"layers\.\d+\.attention\.(bias|masked_bias|rotary_emb\.inv_freq)",
)
