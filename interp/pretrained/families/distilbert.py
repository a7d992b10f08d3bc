"""DistilBERT (Sanh et al. 2019, 1910.01108): BERT's blocks, without segments."""

from __future__ import annotations

from typing import Any

from interp.model.config import Activation, Head, TransformerConfig
from interp.pretrained.families.parts import apart, layers
from interp.pretrained.family import Family, activation, shared
from interp.pretrained.tables import Entry

_POOLER_ACT: Activation = "relu"


def _config(hf: Any, head: Head) -> TransformerConfig:
    return TransformerConfig(
        **shared(hf, head),
        d_model=hf.dim,
        n_layers=hf.n_layers,
        n_heads=hf.n_heads,
        n_ctx=hf.max_position_embeddings,
        shape="encoder",
        d_mlp=hf.hidden_dim,
        embed_norm=True,
        norm_position="post",
        act_fn=activation(hf.activation),
        eps=1e-12,  # fixed in the family's code
        dropout=hf.dropout,
        unembed_bias=head == "mlm",
        pooler_act=_POOLER_ACT if head == "classification" else None,
    )


def _table(cfg: TransformerConfig) -> list[Entry]:
    block, theirs = "blocks.{i}", "transformer.layer.{i}"
    qkv = [f"{theirs}.attention.{x}_lin" for x in "qkv"]
    return [
        Entry("embed.weight", "embeddings.word_embeddings.weight"),
        # A table in the checkpoint even where it was filled with sines.
        Entry("input.positions.weight", "embeddings.position_embeddings.weight"),
        *apart(cfg, f"{block}.attn.qkv", qkv),
        *layers(
            (
                ("input.ln", "embeddings.LayerNorm"),
                (f"{block}.attn.out", f"{theirs}.attention.out_lin"),
                (f"{block}.ln1", f"{theirs}.sa_layer_norm"),
                (f"{block}.mlp.up", f"{theirs}.ffn.lin1"),
                (f"{block}.mlp.down", f"{theirs}.ffn.lin2"),
                (f"{block}.ln2", f"{theirs}.output_layer_norm"),
                ("output.mlm_head.dense", "vocab_transform"),
                ("output.mlm_head.ln", "vocab_layer_norm"),
                ("output.unembed", "vocab_projector"),
                ("output.pooler.dense", "pre_classifier"),
                ("output.classifier", "qa_outputs" if cfg.head == "span" else "classifier"),
            )
        ),
    ]


def _hf_config(cfg: TransformerConfig) -> dict[str, Any]:
    return {
        "dim": cfg.d_model,
        "n_layers": cfg.n_layers,
        "n_heads": cfg.n_heads,
        "max_position_embeddings": cfg.n_ctx,
        "hidden_dim": cfg.d_mlp,
        "activation": cfg.act_fn,
        "dropout": cfg.dropout,
        "attention_dropout": cfg.dropout,
        "initializer_range": cfg.initializer_range,
    }


FAMILY = Family(
    model_type="distilbert",
    heads={
        "DistilBertForMaskedLM": "mlm",
        "DistilBertModel": "none",
        "DistilBertForSequenceClassification": "classification",
        "DistilBertForTokenClassification": "token_classification",
        "DistilBertForQuestionAnswering": "span",
    },
    prefixes=("distilbert.",),
    config=_config,
    table=_table,
    hf_config=_hf_config,
    ignored=r"embeddings\.position_ids|vocab_.*",
    pooler_act=_POOLER_ACT,
)
