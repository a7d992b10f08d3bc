"""Counting from a configuration equals counting the model that is built from it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from interp.errors import ConfigError, InputError, UnsupportedModelError
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.train.size import COUNTINGS, count_parameters, inference_flops, training_flops
from interp.train.size.shapes import decoder, ladder
from tests.model.configurations import CONFIGURATIONS, EVERY


def counted(cfg: TransformerConfig) -> dict[str, int]:
    """The parameters of a built model, by what its modules are."""
    with torch.device("meta"):
        model = HookedTransformer(cfg)
    linear = {name: m.weight for name, m in model.named_modules() if isinstance(m, nn.Linear)}
    inside = ("blocks.", "encoder.", "decoder.")
    return {
        "all": sum(p.numel() for p in model.parameters()),
        "matrices": sum(weight.numel() for weight in linear.values()),
        "blocks": sum(w.numel() for name, w in linear.items() if name.startswith(inside)),
    }


def expected(cfg: TransformerConfig) -> dict[str, int]:
    return {name: count_parameters(cfg, name) for name in COUNTINGS}


@EVERY
def test_every_kind_of_model_is_counted_as_it_is_built(name: str) -> None:
    assert expected(CONFIGURATIONS[name]) == counted(CONFIGURATIONS[name])


FLAGS = (
    "gated_mlp mlp_bias qkv_bias attn_out_bias norm_bias attn_only use_qk_norm embed_norm "
    "unembed_bias tie_word_embeddings final_norm classifier_bias"
).split()


@st.composite
def configurations(draw: st.DrawFn) -> TransformerConfig:
    kv_heads = draw(st.integers(1, 3))
    values: dict[str, Any] = {
        "d_model": 2 * draw(st.integers(1, 12)),
        "n_layers": draw(st.integers(0, 3)),
        "n_heads": kv_heads * draw(st.integers(1, 3)),
        "n_key_value_heads": kv_heads,
        "d_head": 2 * draw(st.integers(1, 5)),
        "d_mlp": draw(st.integers(1, 20)),
        "d_vocab": draw(st.integers(1, 30)),
        "n_ctx": draw(st.integers(1, 12)),
        "n_segments": draw(st.integers(0, 3)),
        "n_classes": draw(st.integers(1, 4)),
        "shape": draw(st.sampled_from(["decoder", "encoder", "encoder_decoder"])),
        "head": draw(
            st.sampled_from(["lm", "mlm", "classification", "token_classification", "span", "none"])
        ),
        "positional_embedding_type": draw(
            st.sampled_from(
                "standard sinusoidal rotary relative_positional_bias alibi none".split()
            )
        ),
        "normalization_type": draw(st.sampled_from(["LN", "RMS"])),
        "norm_position": draw(st.sampled_from(["pre", "post"])),
        "pooler_act": draw(st.sampled_from([None, "tanh"])),
        **{flag: draw(st.booleans()) for flag in FLAGS},
    }
    try:
        return TransformerConfig(**values)
    except ConfigError:
        return draw(st.nothing())  # contradicts itself: draw another


@given(cfg=configurations())
@settings(max_examples=150)
def test_random_models_are_counted_as_they_are_built(cfg: TransformerConfig) -> None:
    assert expected(cfg) == counted(cfg)


def test_operations_agree_with_those_that_torch_counts() -> None:
    """Matrices and attention, by torch's own counter; norms and activations it leaves out too."""
    cfg = decoder(64, d_vocab=100, n_ctx=32)
    model = HookedTransformer(cfg)
    tokens = torch.randint(cfg.d_vocab, (2, cfg.n_ctx))
    # The counter does not know the fused kernel of the CPU.
    with FlopCounterMode(display=False) as forward, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        model(tokens)
    assert forward.get_total_flops() == inference_flops(cfg) * tokens.numel()
    assert training_flops(cfg) == 3 * inference_flops(cfg)


def test_a_window_costs_what_it_sees() -> None:
    whole = decoder(64, d_vocab=100, n_ctx=32)
    half = whole.replace(attn_types=("local", "global"), window_size=8)
    saved = 12 * whole.n_heads * whole.d_head * (32 - 8)
    assert training_flops(whole) - training_flops(half) == saved


def test_the_ladder_grows_and_holds_the_zoo_model() -> None:
    shapes = ladder(d_vocab=4096, n_ctx=256)
    sizes = [count_parameters(cfg) for cfg in shapes]
    assert sizes == sorted(set(sizes)) and max(b / a for a, b in pairwise(sizes)) < 2.5
    assert count_parameters(decoder(192, d_vocab=4096, n_ctx=256), "all") == 2_557_632


def test_what_cannot_be_counted_is_refused() -> None:
    cfg = decoder(64, d_vocab=100, n_ctx=32)
    with pytest.raises(InputError, match=r"'some'.*matrices, all, blocks"):
        count_parameters(cfg, "some")
    with pytest.raises(UnsupportedModelError, match="source and target"):
        training_flops(cfg.replace(shape="encoder_decoder"))
    with pytest.raises(InputError, match="multiples of 32"):
        decoder(100, d_vocab=100, n_ctx=32)
