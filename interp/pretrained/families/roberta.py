"""RoBERTa (Liu et al. 2019): BERT's blocks; positions are counted from behind the padding token,
and the heads have other names."""

from __future__ import annotations

from typing import Any

from interp.model.config import Head, TransformerConfig
from interp.pretrained.families.bert import encoder, encoder_config, encoder_table
from interp.pretrained.families.parts import layers
from interp.pretrained.family import Family, require
from interp.pretrained.tables import Entry, drop_rows


def _config(hf: Any, head: Head) -> TransformerConfig:
    require(
        head != "mlm" or hf.hidden_act == "gelu",
        f"The head of masked language modelling has gelu, and the blocks {hf.hidden_act!r}",
    )
    n_ctx = hf.max_position_embeddings - _first_position(hf.pad_token_id)
    return TransformerConfig(**encoder(hf, head), n_ctx=n_ctx)


def _first_position(pad_token_id: int | None) -> int:
    """Rows of the table of positions that belong to no position of a text."""
    return (pad_token_id or 0) + 1


def _table(cfg: TransformerConfig) -> list[Entry]:
    classifiers = {"classification": "classifier.out_proj", "span": "qa_outputs"}
    return [
        *encoder_table(cfg),
        Entry(
            "input.positions.weight",
            "embeddings.position_embeddings.weight",
            drop_rows(_first_position(cfg.pad_token_id)),
        ),
        *layers(
            (
                ("output.mlm_head.dense", "lm_head.dense"),
                ("output.mlm_head.ln", "lm_head.layer_norm"),
                ("output.pooler.dense", "classifier.dense"),
                ("output.classifier", classifiers.get(cfg.head, "classifier")),
            )
        ),
        Entry("output.unembed.weight", "lm_head.decoder.weight"),
        Entry("output.unembed.bias", "lm_head.decoder.bias"),
    ]


def _hf_config(cfg: TransformerConfig) -> dict[str, Any]:
    n_positions = cfg.n_ctx + _first_position(cfg.pad_token_id)
    return {**encoder_config(cfg), "max_position_embeddings": n_positions}


FAMILY = Family(
    model_type="roberta",
    heads={
        "RobertaForMaskedLM": "mlm",
        "RobertaModel": "none",
        "RobertaForSequenceClassification": "classification",
        "RobertaForTokenClassification": "token_classification",
        "RobertaForQuestionAnswering": "span",
    },
    prefixes=("roberta.",),
    config=_config,
    table=_table,
    hf_config=_hf_config,
    aliases={"lm_head.bias": "lm_head.decoder.bias"},
    ignored=r"embeddings\.position_ids|pooler\..*|lm_head\..*",
    options={"RobertaModel": {"add_pooling_layer": False}},
)
