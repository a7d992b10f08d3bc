"""BERT (Devlin et al. 2019): a post-norm encoder with segments, and its heads."""

from __future__ import annotations

from typing import Any

from interp.model.config import Head, TransformerConfig
from interp.pretrained.families.parts import apart, layers
from interp.pretrained.family import Family, activation, require, shared
from interp.pretrained.tables import Entry


def encoder(hf: Any, head: Head) -> dict[str, Any]:
    """What BERT and RoBERTa have in common, all but the length of the context."""
    require(not hf.is_decoder, "The model is a decoder made of BERT's blocks")
    kind = getattr(hf, "position_embedding_type", "absolute")
    require(kind == "absolute", f"The model has positions of the type {kind!r}")
    return {
        **shared(hf, head),
        "d_model": hf.hidden_size,
        "n_layers": hf.num_hidden_layers,
        "n_heads": hf.num_attention_heads,
        "shape": "encoder",
        "d_mlp": hf.intermediate_size,
        "n_segments": hf.type_vocab_size,
        "embed_norm": True,
        "norm_position": "post",
        "act_fn": activation(hf.hidden_act),
        "eps": hf.layer_norm_eps,
        "dropout": hf.hidden_dropout_prob,
        "unembed_bias": head == "mlm",
        "pooler_act": "tanh" if head == "classification" else None,
    }


def encoder_config(cfg: TransformerConfig) -> dict[str, Any]:
    """The inverse of `encoder`."""
    return {
        "hidden_size": cfg.d_model,
        "num_hidden_layers": cfg.n_layers,
        "num_attention_heads": cfg.n_heads,
        "intermediate_size": cfg.d_mlp,
        "type_vocab_size": cfg.n_segments,
        "hidden_act": cfg.act_fn,
        "layer_norm_eps": cfg.eps,
        "hidden_dropout_prob": cfg.dropout,
        "attention_probs_dropout_prob": cfg.dropout,
        "initializer_range": cfg.initializer_range,
    }


def encoder_table(cfg: TransformerConfig) -> list[Entry]:
    """Embeddings and blocks, all but the positions."""
    block, theirs = "blocks.{i}", "encoder.layer.{i}"
    qkv = [f"{theirs}.attention.self.{x}" for x in ("query", "key", "value")]
    return [
        Entry("embed.weight", "embeddings.word_embeddings.weight"),
        Entry("input.segments.weight", "embeddings.token_type_embeddings.weight"),
        *apart(cfg, f"{block}.attn.qkv", qkv),
        *layers(
            (
                ("input.ln", "embeddings.LayerNorm"),
                (f"{block}.attn.out", f"{theirs}.attention.output.dense"),
                (f"{block}.ln1", f"{theirs}.attention.output.LayerNorm"),
                (f"{block}.mlp.up", f"{theirs}.intermediate.dense"),
                (f"{block}.mlp.down", f"{theirs}.output.dense"),
                (f"{block}.ln2", f"{theirs}.output.LayerNorm"),
            )
        ),
    ]


def _config(hf: Any, head: Head) -> TransformerConfig:
    return TransformerConfig(**encoder(hf, head), n_ctx=hf.max_position_embeddings)


def _table(cfg: TransformerConfig) -> list[Entry]:
    return [
        *encoder_table(cfg),
        Entry("input.positions.weight", "embeddings.position_embeddings.weight"),
        *layers(
            (
                ("output.mlm_head.dense", "cls.predictions.transform.dense"),
                ("output.mlm_head.ln", "cls.predictions.transform.LayerNorm"),
                ("output.pooler.dense", "pooler.dense"),
                ("output.classifier", "qa_outputs" if cfg.head == "span" else "classifier"),
            )
        ),
        Entry("output.unembed.weight", "cls.predictions.decoder.weight"),
        Entry("output.unembed.bias", "cls.predictions.decoder.bias"),
    ]


def _hf_config(cfg: TransformerConfig) -> dict[str, Any]:
    return {**encoder_config(cfg), "max_position_embeddings": cfg.n_ctx}


FAMILY = Family(
    model_type="bert",
    heads={
        "BertForMaskedLM": "mlm",
        "BertForPreTraining": "mlm",
        "BertModel": "none",
        "BertForSequenceClassification": "classification",
        "BertForTokenClassification": "token_classification",
        "BertForQuestionAnswering": "span",
    },
    prefixes=("bert.",),
    config=_config,
    table=_table,
    hf_config=_hf_config,
    aliases={"cls.predictions.bias": "cls.predictions.decoder.bias"},
    # Checkpoints of the pre-training carry the heads of both its tasks.
    ignored=r"embeddings\.position_ids|pooler\..*|cls\..*",
    options={"BertModel": {"add_pooling_layer": False}},
)
