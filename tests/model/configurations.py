"""Tiny models of all three shapes and all variants, on which the laws of the core are tested.

`CONFIGURATIONS` has a name for every kind of model; `build` makes one whose weights are far from
zero, gains and shifts included, so that no term of an equation is too small to be missed;
`example` gives it a batch.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from interp.model.config import RopeScaling, TransformerConfig
from interp.model.transformer import HookedTransformer

_BASE: dict[str, Any] = {
    "d_model": 16,
    "n_layers": 3,
    "n_heads": 4,
    "d_head": 8,
    "d_mlp": 20,
    "d_vocab": 29,
    "n_ctx": 24,
    "initializer_range": 0.3,
}


def _decoder(**variant: Any) -> TransformerConfig:
    return TransformerConfig(**{**_BASE, **variant})


def _encoder(**variant: Any) -> TransformerConfig:
    return TransformerConfig(**{**_BASE, "shape": "encoder", "head": "mlm", **variant})


def _pair(**variant: Any) -> TransformerConfig:
    shape = {"shape": "encoder_decoder", "n_decoder_layers": 2, "decoder_start_token_id": 0}
    return TransformerConfig(**{**_BASE, **shape, **variant})


def _rotary(**variant: Any) -> dict[str, Any]:
    return {"positional_embedding_type": "rotary", **variant}


_LLAMA = _rotary(
    normalization_type="RMS",
    gated_mlp=True,
    act_fn="silu",
    qkv_bias=False,
    attn_out_bias=False,
    mlp_bias=False,
)
_BERT: dict[str, Any] = {
    "norm_position": "post",
    "embed_norm": True,
    "n_segments": 2,
    "act_fn": "gelu",
    "eps": 1e-12,
}
_T5: dict[str, Any] = {
    "positional_embedding_type": "relative_positional_bias",
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 12,
    "normalization_type": "RMS",
    "attn_scale": 1.0,
    "qkv_bias": False,
    "attn_out_bias": False,
    "mlp_bias": False,
}
_ORIGINAL: dict[str, Any] = {
    "positional_embedding_type": "sinusoidal",
    "norm_position": "post",
    "act_fn": "relu",
    "embed_scale": 4.0,
    "tie_word_embeddings": True,
}

CONFIGURATIONS: dict[str, TransformerConfig] = {
    # decoders: positions
    "decoder": _decoder(),
    "decoder-sinusoidal": _decoder(positional_embedding_type="sinusoidal"),
    "decoder-rotary": _decoder(**_rotary()),
    "decoder-rotary-partial": _decoder(**_rotary(rotary_dim=4)),
    "decoder-rotary-adjacent": _decoder(**_rotary(rotary_adjacent_pairs=True, rotary_dim=6)),
    "decoder-rotary-linear": _decoder(**_rotary(rope_scaling=RopeScaling("linear", 2.0))),
    "decoder-rotary-llama3": _decoder(
        **_rotary(rope_scaling=RopeScaling("llama3", 4.0, original_n_ctx=64))
    ),
    "decoder-rotary-yarn": _decoder(
        **_rotary(rope_scaling=RopeScaling("yarn", 4.0, original_n_ctx=64, beta_fast=8.0))
    ),
    "decoder-relative": _decoder(**_T5),
    "decoder-alibi": _decoder(positional_embedding_type="alibi", n_heads=6, embed_norm=True),
    "decoder-no-positions": _decoder(positional_embedding_type="none"),
    # decoders: attention
    "decoder-grouped": _decoder(n_key_value_heads=2),
    "decoder-multi-query": _decoder(n_key_value_heads=1, qkv_bias=False),
    "decoder-window": _decoder(attn_types=("local", "global", "local"), window_size=3),
    "decoder-soft-cap": _decoder(attn_scores_soft_cap=2.0),
    "decoder-qk-norm": _decoder(**_rotary(use_qk_norm=True, n_key_value_heads=2)),
    # decoders: blocks
    "decoder-parallel": _decoder(**_rotary(parallel_attn_mlp=True, rotary_dim=4)),
    "decoder-attn-only": _decoder(attn_only=True),
    "decoder-attn-only-post-norm": _decoder(attn_only=True, norm_position="post"),
    "decoder-post-norm": _decoder(norm_position="post", act_fn="gelu"),
    "decoder-post-norm-rms": _decoder(norm_position="post", normalization_type="RMS"),
    "decoder-post-and-final-norm": _decoder(norm_position="post", final_norm=True),
    "decoder-no-final-norm": _decoder(final_norm=False),
    "decoder-no-norm-bias": _decoder(norm_bias=False, mlp_bias=False, attn_out_bias=False),
    "decoder-llama": _decoder(**_LLAMA, n_key_value_heads=2),
    "decoder-gemma": _decoder(
        **_LLAMA,
        attn_types=("local", "global", "local"),
        window_size=4,
        attn_scores_soft_cap=3.0,
        output_logits_soft_cap=5.0,
        embed_scale=4.0,
        tie_word_embeddings=True,
        n_key_value_heads=1,
    ),
    # decoders: outputs
    "decoder-tied-scaled": _decoder(
        tie_word_embeddings=True, logit_scale=0.25, unembed_bias=True, d_mlp=32
    ),
    "decoder-other-vocabulary": _decoder(d_vocab_out=7, unembed_bias=True),
    "decoder-classification": _decoder(
        head="classification", n_classes=3, pooling="last", classifier_bias=False
    ),
    "decoder-token-classification": _decoder(head="token_classification", n_classes=3),
    # encoders
    "encoder-bert": _encoder(**_BERT, tie_word_embeddings=True, unembed_bias=True),
    "encoder-bert-classification": _encoder(
        **_BERT, head="classification", n_classes=3, pooler_act="tanh"
    ),
    "encoder-mean-classification": _encoder(head="classification", n_classes=2, pooling="mean"),
    "encoder-span": _encoder(**_BERT, head="span"),
    "encoder-pre-norm": _encoder(head="token_classification", n_classes=3),
    "encoder-relative": _encoder(**_T5, head="none"),
    "encoder-alibi": _encoder(positional_embedding_type="alibi"),
    "encoder-rotary": _encoder(**_LLAMA, n_key_value_heads=2, use_qk_norm=True),
    "encoder-attn-only": _encoder(attn_only=True, norm_position="post"),
    "encoder-parallel-soft-cap": _encoder(parallel_attn_mlp=True, attn_scores_soft_cap=2.0),
    # encoder-decoders
    "pair-original": _pair(**_ORIGINAL),
    "pair-t5": _pair(**_T5, tie_word_embeddings=True, logit_scale=0.25),
    "pair-t5-gated": _pair(**_T5, gated_mlp=True),
    "pair-pre-norm": _pair(n_key_value_heads=2),
    # With its bias: without one, queries that are normalised hide the scale of what they read.
    "pair-rotary": _pair(**{**_LLAMA, "qkv_bias": True}, use_qk_norm=True),
    "pair-alibi-soft-cap": _pair(positional_embedding_type="alibi", attn_scores_soft_cap=2.0),
    "pair-attn-only": _pair(attn_only=True),
    "pair-attn-only-post-norm": _pair(attn_only=True, norm_position="post"),
}

# One of each kind, where a test is too long for all of them.
REPRESENTATIVES = (
    "decoder",
    "decoder-gemma",
    "decoder-parallel",
    "decoder-post-norm",
    "encoder-bert",
    "encoder-rotary",
    "pair-original",
    "pair-t5",
    "pair-pre-norm",
)

EVERY = pytest.mark.parametrize("name", CONFIGURATIONS)
EACH_KIND = pytest.mark.parametrize("name", REPRESENTATIVES)


def build(
    configuration: str | TransformerConfig, seed: int = 0, **changes: Any
) -> HookedTransformer:
    """A model in evaluation mode whose gains, shifts and biases are drawn too."""
    cfg = CONFIGURATIONS[configuration] if isinstance(configuration, str) else configuration
    model = HookedTransformer(cfg.replace(**changes), seed=seed).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                noise = torch.randn(parameter.shape, generator=generator) * 0.3
                parameter.add_(noise.to(parameter.dtype))
    return model


@cache
def shared_model(name: str, dtype: torch.dtype = torch.float32) -> HookedTransformer:
    """`build(name)`, made once; for tests that only read it."""
    return build(name, dtype=dtype).requires_grad_(False)


def example(
    cfg: TransformerConfig, batch: int = 2, pos: int = 7, seed: int = 0
) -> dict[str, Tensor]:
    """Inputs of `forward`, by keyword: random tokens, and segments or target tokens if needed.

    The target of an encoder-decoder has one position less than its source, so that no axis can be
    taken for another.
    """
    generator = torch.Generator().manual_seed(1000 + seed)

    def ids(n: int, length: int) -> Tensor:
        return torch.randint(n, (batch, length), generator=generator)

    inputs = {"tokens": ids(cfg.d_vocab, pos)}
    if cfg.n_segments:
        inputs["token_type_ids"] = ids(cfg.n_segments, pos)
    if cfg.shape == "encoder_decoder":
        inputs["decoder_tokens"] = ids(cfg.d_vocab, max(pos - 1, 1))
    return inputs


def one_of_each(model: HookedTransformer) -> list[str]:
    """The points outside the blocks and those of block 1 of each stack: the other blocks are like
    it."""
    return [name for name in model.hook_points if not re.search(r"\.[02-9]\.", name)]
