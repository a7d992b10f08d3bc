"""What is counted as a parameter, and what a token costs: both read off a configuration.

The count decides what a scaling law says: the table of embeddings is looked up and multiplies
nothing, yet in a small model it can hold more numbers than all blocks together. So the count has a
name, and whoever gives a number of parameters gives that name with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

from interp.errors import InputError, UnsupportedModelError
from interp.model.config import TransformerConfig

Counting = Literal["matrices", "all", "blocks"]
COUNTINGS: dict[Counting, str] = {
    "matrices": "the weight matrices of blocks and head, which every token is multiplied with",
    "all": "every parameter once, with embeddings, positions, gains and biases",
    "blocks": "the weight matrices of the blocks alone",
}

_Place = Literal["block", "head", "rest"]


def check_counting(counting: str) -> None:
    """Raise `InputError` for a way of counting that there is not."""
    if counting not in get_args(Counting):
        raise InputError(
            f"There is no way of counting parameters called {counting!r}; there are "
            f"{', '.join(COUNTINGS)}."
        )


def count_parameters(cfg: TransformerConfig, counting: Counting = "matrices") -> int:
    """How many parameters a model of this configuration has, without building it.

    A table that serves as embedding and as head is counted once: as the head.

    Raises:
        InputError: an unknown way of counting.
    """
    check_counting(counting)
    counted: dict[str, set[_Place]] = {
        "matrices": {"block", "head"},
        "all": {"block", "head", "rest"},
        "blocks": {"block"},
    }
    return sum(number for place, number in _parts(cfg) if place in counted[counting])


def training_flops(cfg: TransformerConfig) -> int:
    """Floating-point operations of training on one token, in rows of `n_ctx` tokens.

    6 for each of the `matrices`, and 12 for each number of a head's query and each position that
    it is compared with (Chowdhery et al. 2022, arXiv 2204.02311, appendix B). What a causal mask
    hides is not taken off, since most kernels compute at least a part of it.

    Raises:
        UnsupportedModelError: an encoder-decoder, whose source and target differ in length.
    """
    if cfg.shape == "encoder_decoder":
        raise UnsupportedModelError(
            "What a token of an encoder-decoder costs depends on the lengths of source and "
            "target; it is counted for decoders and encoders only."
        )
    seen = sum(
        min(cfg.window_size, cfg.n_ctx) if cfg.attention_type(layer) == "local" else cfg.n_ctx
        for layer in range(cfg.n_layers)
    )
    return 6 * count_parameters(cfg) + 12 * cfg.n_heads * cfg.d_head * seen


def inference_flops(cfg: TransformerConfig) -> float:
    """Floating-point operations of reading or writing one token: the forward third of training."""
    return training_flops(cfg) / 3


def _parts(cfg: TransformerConfig) -> Iterator[tuple[_Place, int]]:
    """Every parameter of a model once, as numbers of them and the place where they stand."""
    d, pair = cfg.d_model, cfg.shape == "encoder_decoder"
    tied = cfg.tie_word_embeddings
    yield "rest", 0 if tied else cfg.d_vocab * d
    learned = cfg.positional_embedding_type == "standard"
    tables = (cfg.n_ctx if learned else 0) + cfg.n_segments
    yield "rest", (1 + pair) * (tables * d + (_norm(cfg) if cfg.embed_norm else 0))
    if cfg.positional_embedding_type == "relative_positional_bias":
        yield "rest", (1 + pair) * cfg.relative_attention_num_buckets * cfg.n_heads
    for cross, layers in ((False, cfg.n_layers), (True, cfg.n_decoder_layers)):
        yield "block", layers * _block_matrices(cfg, cross)
        yield "rest", layers * _block_rest(cfg, cross)
    yield "rest", (1 + pair) * (_norm(cfg) if cfg.final_norm else 0)
    yield from _head(cfg)


def _block_matrices(cfg: TransformerConfig, cross: bool) -> int:
    heads = (2 * cfg.n_heads + 2 * cfg.n_key_value_heads) * cfg.d_head
    mlp = 0 if cfg.attn_only else (2 + cfg.gated_mlp) * cfg.d_mlp
    return cfg.d_model * ((1 + cross) * heads + mlp)


def _block_rest(cfg: TransformerConfig, cross: bool) -> int:
    rows = (cfg.n_heads + 2 * cfg.n_key_value_heads) * cfg.d_head
    attention = cfg.qkv_bias * rows + cfg.attn_out_bias * cfg.d_model
    attention += 2 * cfg.d_head * cfg.use_qk_norm
    mlp = 0 if cfg.attn_only else cfg.mlp_bias * ((1 + cfg.gated_mlp) * cfg.d_mlp + cfg.d_model)
    sublayers = 1 + cross + (not cfg.attn_only)
    return (1 + cross) * attention + mlp + sublayers * _norm(cfg)


def _head(cfg: TransformerConfig) -> Iterator[tuple[_Place, int]]:
    d = cfg.d_model
    if cfg.head == "mlm":
        yield "head", d * d
        yield "rest", d + _norm(cfg)
    if cfg.has_vocabulary_head:
        yield "head", d * cfg.d_vocab_out
        yield "rest", cfg.d_vocab_out if cfg.unembed_bias else 0
        return
    if cfg.head == "classification" and cfg.pooler_act is not None:
        yield "head", d * d
        yield "rest", d
    if cfg.head != "none":
        classes = 2 if cfg.head == "span" else cfg.n_classes
        yield "head", d * classes
        yield "rest", classes if cfg.classifier_bias else 0


def _norm(cfg: TransformerConfig) -> int:
    return cfg.d_model * (1 + cfg.norm_bias)
