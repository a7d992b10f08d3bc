"""The configuration: derives, refuses what contradicts itself, survives JSON."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from typing import Any

import pytest
import torch

from interp.errors import ConfigError
from interp.model.config import RopeScaling, TransformerConfig
from interp.model.transformer import HookedTransformer
from tests.model.configurations import CONFIGURATIONS, EVERY, example

SMALL: dict[str, Any] = {"d_model": 12, "n_layers": 2, "n_heads": 3, "d_vocab": 5, "n_ctx": 8}
PAIR: dict[str, Any] = {**SMALL, "shape": "encoder_decoder"}
ENCODER: dict[str, Any] = {**SMALL, "shape": "encoder", "head": "mlm"}


def test_defaults_are_derived() -> None:
    cfg = TransformerConfig(**SMALL)
    assert (cfg.d_head, cfg.d_mlp, cfg.d_vocab_out) == (4, 48, 5)
    assert (cfg.n_key_value_heads, cfg.rotary_dim, cfg.attn_scale) == (3, 4, 2.0)
    assert (cfg.n_decoder_layers, cfg.final_norm, cfg.norm_bias) == (0, True, True)
    assert not TransformerConfig(**SMALL, norm_position="post").final_norm
    assert not TransformerConfig(**SMALL, normalization_type="RMS").norm_bias
    assert TransformerConfig(**PAIR).n_decoder_layers == 2
    assert TransformerConfig(**PAIR, n_decoder_layers=4).n_decoder_layers == 4
    assert (cfg.attention_dir, cfg.use_local_attn, cfg.has_vocabulary_head) == (
        "causal",
        False,
        True,
    )
    assert TransformerConfig(**ENCODER).attention_dir == "bidirectional"
    assert not TransformerConfig(**{**ENCODER, "head": "none"}).has_vocabulary_head


def test_a_changed_copy_derives_anew() -> None:
    cfg = TransformerConfig(**SMALL)
    assert cfg.replace() == cfg
    wide = cfg.replace(d_model=24, n_heads=4)
    assert wide == TransformerConfig(**{**SMALL, "d_model": 24, "n_heads": 4})
    assert (wide.d_head, wide.d_mlp, wide.n_key_value_heads) == (6, 96, 4)
    assert cfg.replace(d_head=16).attn_scale == 4.0
    assert cfg.replace(norm_position="post").final_norm is False
    assert cfg.replace(normalization_type="RMS").replace(normalization_type="LN").norm_bias
    given = cfg.replace(d_mlp=7, attn_scale=1.0)
    assert given.replace(d_model=24).d_mlp == 7
    assert given.replace(d_head=16).attn_scale == 1.0
    for other in (copy.deepcopy(cfg), pickle.loads(pickle.dumps(cfg))):
        assert other == cfg
        assert other.replace(d_model=24) == cfg.replace(d_model=24)


def test_it_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        TransformerConfig(**SMALL).d_model = 3


def test_layers_have_types() -> None:
    cfg = TransformerConfig(**SMALL, attn_types=["local", "global"], window_size=2)
    assert cfg.attn_types == ("local", "global")
    assert [cfg.attention_type(i) for i in range(2)] == ["local", "global"]
    assert cfg.use_local_attn
    assert TransformerConfig(**SMALL).attention_type(1) == "global"


@EVERY
def test_it_survives_json(name: str) -> None:
    cfg = CONFIGURATIONS[name].replace(suppress_tokens=[3])
    text = json.dumps(cfg.to_dict())
    assert TransformerConfig.from_dict(json.loads(text)) == cfg
    half = cfg.replace(dtype=torch.bfloat16)
    assert TransformerConfig.from_dict(json.loads(json.dumps(half.to_dict()))) == half
    assert "device" not in cfg.to_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"d_modell": 3}, "Unknown configuration field.* d_modell"),
        ({"dtype": "float31"}, "'float31' is not a torch dtype"),
        ({"dtype": "nn"}, "'nn' is not a torch dtype"),
        ({"rope_scaling": {"kind": "linear"}}, "cannot be read"),
        ({"rope_scaling": {"kind": "linear", "factor": 2.0, "x": 1}}, "cannot be read"),
        ({"attn_types": 3}, "cannot be read"),
        ({"suppress_tokens": 3}, "cannot be read"),
        ({"suppress_tokens": [5]}, "suppress_tokens has 5; .* are 0 to 4"),
        ({"suppress_tokens": ["a"]}, "suppress_tokens has 'a'"),
    ],
)
def test_a_broken_file_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TransformerConfig.from_dict({**TransformerConfig(**SMALL).to_dict(), **change})


def test_a_file_without_its_fields_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        TransformerConfig.from_dict({"d_model": 3})


BAD: list[tuple[dict[str, Any], str]] = [
    ({"d_model": 0}, "d_model is 0"),
    ({"d_model": 2.5}, "d_model is 2.5"),
    ({"d_model": True}, "d_model is True"),
    ({"n_layers": -1}, "n_layers is -1"),
    ({"n_heads": 0}, "n_heads is 0"),
    ({"d_vocab": 0}, "d_vocab is 0"),
    ({"n_ctx": "8"}, "n_ctx is '8'"),
    ({"n_heads": 5}, "not a multiple of n_heads 5"),
    ({"n_key_value_heads": 2}, "not a multiple of n_key_value_heads 2"),
    ({"n_key_value_heads": 0}, "n_key_value_heads is 0"),
    ({"n_key_value_heads": 6}, "not a multiple of n_key_value_heads 6"),
    ({"d_head": 0}, "d_head is 0"),
    ({"d_head": -3}, "d_head is -3"),
    ({"d_mlp": 0}, "d_mlp is 0"),
    ({"d_vocab_out": 0}, "d_vocab_out is 0"),
    ({"n_segments": -1}, "n_segments is -1"),
    ({"attn_scale": 0.0}, "attn_scale is 0.0"),
    ({"eps": -1.0}, "eps is -1.0"),
    ({"shape": "prefix"}, "shape is 'prefix'; it must be one of decoder"),
    ({"positional_embedding_type": "learned"}, "positional_embedding_type is 'learned'"),
    ({"normalization_type": "LNPre"}, "normalization_type is 'LNPre'"),
    ({"act_fn": "gelu_fast"}, "act_fn is 'gelu_fast'"),
    ({"pooler_act": "sine"}, "pooler_act is 'sine'"),
    ({"head": "lmm"}, "head is 'lmm'"),
    ({"pooling": "max"}, "pooling is 'max'"),
    ({"norm_position": "sandwich"}, "norm_position is 'sandwich'"),
    ({"positional_embedding_type": "rotary", "rotary_dim": 3}, "rotary_dim is 3"),
    ({"positional_embedding_type": "rotary", "rotary_dim": 6}, "rotary_dim is 6"),
    ({"positional_embedding_type": "rotary", "d_head": 3}, "rotary_dim is 3"),
    (
        {"positional_embedding_type": "sinusoidal", "d_model": 15},
        "sinusoidal positions need an even d_model",
    ),
    (
        {
            "positional_embedding_type": "relative_positional_bias",
            "relative_attention_num_buckets": 3,
        },
        "relative_attention_num_buckets is 3",
    ),
    (
        {
            "positional_embedding_type": "relative_positional_bias",
            "relative_attention_max_distance": 16,
        },
        "relative_attention_max_distance is 16",
    ),
    ({"attn_types": ("global",)}, "each of the 2 layers"),
    ({"attn_types": ("global", "sparse")}, "each of the 2 layers"),
    ({"attn_types": ("global", "local")}, "positive window_size"),
    (
        {**ENCODER, "attn_types": ("local", "local"), "window_size": 2},
        "local attention is for decoders",
    ),
    ({"parallel_attn_mlp": True, "norm_position": "post"}, "parallel blocks are pre-norm"),
    ({**PAIR, "parallel_attn_mlp": True}, "parallel"),
    ({**PAIR, "n_segments": 2}, "segment embeddings belong to encoders"),
    ({**PAIR, "n_decoder_layers": -2}, "n_decoder_layers is -2"),
    ({"head": "classification"}, "needs n_classes"),
    ({**ENCODER, "head": "token_classification"}, "needs n_classes"),
    ({**PAIR, "head": "none"}, "an encoder-decoder has the head 'lm', not 'none'"),
    ({**ENCODER, "head": "lm"}, "an encoder sees the whole text"),
    ({"head": "mlm"}, "a decoder sees only the past"),
    ({"dropout": 1.0}, "dropout is 1.0"),
    ({"dropout": -0.1}, "dropout is -0.1"),
    ({"head": "none", "tie_word_embeddings": True}, "tie_word_embeddings needs a head"),
    ({"d_vocab_out": 3, "tie_word_embeddings": True}, "d_vocab_out to equal d_vocab"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
def test_what_contradicts_itself_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TransformerConfig(**{**SMALL, **change})
    with pytest.raises(ValueError, match=message):
        TransformerConfig(**SMALL).replace(**change)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "dynamic", "factor": 2.0}, "Unknown rope scaling kind 'dynamic'"),
        ({"kind": "linear", "factor": 0.5}, "factor is 0.5"),
        ({"kind": "yarn", "factor": 2.0}, "yarn rope scaling needs original_n_ctx"),
        ({"kind": "llama3", "factor": 2.0}, "llama3 rope scaling needs original_n_ctx"),
        (
            {"kind": "llama3", "factor": 2.0, "original_n_ctx": 8, "high_freq_factor": 1.0},
            "high_freq_factor",
        ),
    ],
)
def test_rope_scaling_checks_itself(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RopeScaling(**arguments)


@pytest.mark.parametrize("shape", ["decoder", "encoder", "encoder_decoder"])
def test_a_model_without_blocks_is_a_model(shape: Any) -> None:
    head: Any = "mlm" if shape == "encoder" else "lm"
    cfg = TransformerConfig(**{**SMALL, "n_layers": 0}, shape=shape, head=head)
    model = HookedTransformer(cfg)
    inputs = example(cfg, pos=4)
    logits, cache = model.run_with_cache(**inputs)
    assert logits.shape[-1] == 5
    assert "hook_embed" in cache
    if shape != "encoder_decoder":
        resid = cache["embed"] + cache["pos_embed"]
        assert torch.allclose(model.output(model.ln_final(resid)), logits, atol=1e-6)
