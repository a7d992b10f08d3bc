"""Positions: their laws, and the tables of the library that the checkpoints come from."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from interp.model.config import RopeScaling, TransformerConfig
from interp.model.positions import (
    Alibi,
    RelativeBias,
    Rotary,
    alibi_slopes,
    rotary_factor,
    rotary_frequencies,
    rotate,
    sinusoidal_table,
)
from tests.model.configurations import CONFIGURATIONS, build, example, shared_model


def rotary_config(**changes: Any) -> TransformerConfig:
    base = {"d_model": 16, "n_layers": 1, "n_heads": 1, "d_vocab": 5, "n_ctx": 64}
    return TransformerConfig(**{**base, "positional_embedding_type": "rotary", **changes})


def rotated(cfg: TransformerConfig, x: Tensor, position: int) -> Tensor:
    """One head's vector [d_head] at a position."""
    rotation = Rotary(cfg)(torch.tensor([[position]]), x.dtype)
    return rotate(x[None, None, None], rotation, cfg.rotary_adjacent_pairs)[0, 0, 0]


# -- rotary ----------------------------------------------------------------------------------------


@given(
    query=st.integers(0, 60),
    key=st.integers(0, 60),
    shift=st.integers(0, 60),
    dim=st.sampled_from([2, 6, 16]),
    adjacent=st.booleans(),
)
def test_rotary_scores_depend_on_the_distance_alone(
    query: int, key: int, shift: int, dim: int, adjacent: bool
) -> None:
    cfg = rotary_config(rotary_dim=dim, rotary_adjacent_pairs=adjacent)
    generator = torch.Generator().manual_seed(dim)
    q, k = torch.randn(2, 16, generator=generator, dtype=torch.float64)
    here = rotated(cfg, q, query) @ rotated(cfg, k, key)
    there = rotated(cfg, q, query + shift) @ rotated(cfg, k, key + shift)
    assert torch.allclose(here, there, atol=1e-4)
    assert torch.allclose(rotated(cfg, q, query).norm(), q.norm(), atol=1e-5)
    assert torch.equal(rotated(cfg, q, 0), q)
    assert torch.equal(rotated(cfg, q, query)[dim:], q[dim:])


def test_rotary_scores_do_depend_on_the_distance() -> None:
    cfg = rotary_config()
    q, k = torch.randn(2, 16, generator=torch.Generator().manual_seed(0))
    scores = [float(rotated(cfg, q, p) @ rotated(cfg, k, 0)) for p in range(4)]
    assert len({round(score, 3) for score in scores}) == 4


@given(position=st.integers(0, 60), dim=st.sampled_from([2, 8, 16]))
def test_the_two_layouts_rotate_the_same_planes(position: int, dim: int) -> None:
    """Neighbours (GPT-J) and halves (NeoX) differ by an order of the coordinates."""
    x = torch.randn(16, generator=torch.Generator().manual_seed(dim))
    order = torch.cat([torch.arange(0, dim, 2), torch.arange(1, dim, 2), torch.arange(dim, 16)])
    neighbours = rotated(rotary_config(rotary_dim=dim, rotary_adjacent_pairs=True), x, position)
    halves = rotated(rotary_config(rotary_dim=dim), x[order], position)
    assert torch.allclose(neighbours[order], halves, atol=1e-6)


def test_a_rotation_is_that_of_a_complex_number() -> None:
    cfg = rotary_config(rotary_dim=8, rotary_base=100.0)
    x = torch.randn(16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    turned = torch.complex(x[:4], x[4:8]) * torch.exp(
        1j * 11 * 100.0 ** (-torch.arange(0, 8, 2, dtype=torch.float64) / 8)
    )
    expected = torch.cat([turned.real, turned.imag, x[8:]])
    assert torch.allclose(rotated(cfg, x, 11), expected, atol=1e-5)


SCALINGS = [
    (None, {"rope_type": "default"}),
    (RopeScaling("linear", 4.0), {"rope_type": "linear", "factor": 4.0}),
    (
        RopeScaling("llama3", 8.0, original_n_ctx=128, low_freq_factor=1.0, high_freq_factor=4.0),
        {
            "rope_type": "llama3",
            "factor": 8.0,
            "original_max_position_embeddings": 128,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
        },
    ),
    (
        RopeScaling("yarn", 4.0, original_n_ctx=64),
        {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64},
    ),
    (
        RopeScaling("yarn", 16.0, 256, beta_fast=20.0, beta_slow=2.0, attention_factor=1.25),
        {
            "rope_type": "yarn",
            "factor": 16.0,
            "original_max_position_embeddings": 256,
            "beta_fast": 20.0,
            "beta_slow": 2.0,
            "attention_factor": 1.25,
        },
    ),
]


@pytest.mark.parametrize(("scaling", "parameters"), SCALINGS)
@pytest.mark.parametrize("base", [10000.0, 500000.0])
@pytest.mark.parametrize("d_head", [16, 64])
def test_frequencies_are_those_of_transformers(
    scaling: RopeScaling | None, parameters: dict[str, Any], base: float, d_head: int
) -> None:
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

    theirs = LlamaConfig(
        hidden_size=4 * d_head,
        num_attention_heads=4,
        head_dim=d_head,
        max_position_embeddings=1024,
        rope_parameters={"rope_theta": base, **parameters},
    )
    if scaling is None:
        expected, factor = LlamaRotaryEmbedding.compute_default_rope_parameters(theirs)
    else:
        expected, factor = ROPE_INIT_FUNCTIONS[parameters["rope_type"]](theirs, torch.device("cpu"))
    cfg = rotary_config(d_head=d_head, rope_scaling=scaling, rotary_base=base)
    assert torch.allclose(rotary_frequencies(cfg), expected, rtol=1e-6, atol=0)
    assert rotary_factor(scaling) == pytest.approx(factor)
    ids = torch.arange(1000)[None]
    cos, sin = Rotary(cfg)(ids, torch.float32)
    their_cos, their_sin = LlamaRotaryEmbedding(theirs)(torch.zeros(1), ids)
    assert torch.allclose(cos[:, :, 0], their_cos, atol=2e-4)
    assert torch.allclose(sin[:, :, 0], their_sin, atol=2e-4)


# -- relative buckets and slopes -------------------------------------------------------------------


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize(("buckets", "distance"), [(32, 128), (8, 12), (16, 256)])
def test_buckets_are_those_of_t5(bidirectional: bool, buckets: int, distance: int) -> None:
    from transformers.models.t5.modeling_t5 import T5Attention

    cfg = CONFIGURATIONS["decoder-relative"].replace(
        relative_attention_num_buckets=buckets, relative_attention_max_distance=distance
    )
    offsets = torch.arange(-600, 601)
    ours = RelativeBias(cfg, bidirectional).bucket(offsets)
    theirs = T5Attention._relative_position_bucket(offsets, bidirectional, buckets, distance)
    assert torch.equal(ours, theirs)
    assert int(ours.min()) >= 0 and int(ours.max()) == buckets - 1


@given(n_key=st.integers(1, 20), data=st.data(), bidirectional=st.booleans())
def test_biases_are_functions_of_the_distance(
    n_key: int, data: st.DataObject, bidirectional: bool
) -> None:
    n_query = data.draw(st.integers(1, n_key))
    cfg = CONFIGURATIONS["decoder-relative"]
    relative = RelativeBias(cfg, bidirectional)
    torch.nn.init.normal_(relative.weight)
    for bias in (relative, Alibi(cfg)):
        full = bias(n_key, n_key, 0)
        assert full.shape == (1, cfg.n_heads, n_key, n_key)
        last = bias(n_query, n_key, n_key - n_query)
        assert torch.equal(last, full[:, :, n_key - n_query :])
        if n_key > 1:
            assert torch.equal(full[..., 1:, 1:], full[..., :-1, :-1])
    expected = -alibi_slopes(cfg.n_heads)[:, None] * torch.arange(n_key)
    assert torch.allclose(Alibi(cfg)(1, n_key, n_key - 1)[0, :, 0].flip(-1), expected)


@pytest.mark.parametrize("n_heads", [1, 2, 3, 4, 6, 8, 12, 16, 20])
def test_slopes_are_those_of_bloom(n_heads: int) -> None:
    from transformers.models.bloom.modeling_bloom import build_alibi_tensor

    theirs = build_alibi_tensor(torch.ones(1, 5), n_heads, torch.float32).view(n_heads, 5)
    slopes = alibi_slopes(n_heads)
    assert torch.allclose(slopes[:, None] * torch.arange(5), theirs)
    cfg = CONFIGURATIONS["decoder-alibi"].replace(n_heads=n_heads, n_key_value_heads=n_heads)
    ours = Alibi(cfg)(5, 5, 0)[0]
    # Ours is 0 at the query itself, theirs at the first key: a row's constant, which softmax drops.
    row = (ours - theirs[:, None, :])[:, range(5), range(5)]
    for q in range(5):
        assert torch.allclose(
            ours[:, q, : q + 1] - theirs[:, : q + 1], row[:, q : q + 1], atol=1e-6
        )


# -- sinusoids -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_ctx", "d_model"), [(1, 2), (24, 16), (512, 64)])
def test_sinusoids_are_those_of_marian(n_ctx: int, d_model: int) -> None:
    from transformers.models.marian.modeling_marian import MarianSinusoidalPositionalEmbedding

    theirs = MarianSinusoidalPositionalEmbedding(n_ctx, d_model)
    theirs.weight.data = theirs.create_weight()
    ours = sinusoidal_table(n_ctx, d_model)
    assert torch.allclose(ours, theirs.weight, atol=1e-6)
    assert torch.allclose(ours.square().sum(-1), torch.full((n_ctx,), d_model / 2))


def test_sinusoids_are_those_of_the_paper_in_another_order() -> None:
    table = sinusoidal_table(10, 8)
    for position in range(10):
        for i in range(4):
            angle = position / 10000 ** (2 * i / 8)
            assert table[position, i] == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[position, 4 + i] == pytest.approx(math.cos(angle), abs=1e-6)


# -- in the model ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["decoder-rotary", "decoder-alibi", "decoder-relative", "decoder-no-positions"]
)
def test_relative_positions_do_not_know_where_a_text_begins(name: str) -> None:
    """The same text at later positions gives the same logits."""
    model = shared_model(name)
    tokens = example(model.cfg)["tokens"]
    later = torch.arange(7)[None] + 9
    assert torch.allclose(model(tokens, position_ids=later), model(tokens), atol=2e-5)


@pytest.mark.parametrize("name", ["decoder", "decoder-sinusoidal"])
def test_absolute_positions_do(name: str) -> None:
    model = shared_model(name)
    tokens = example(model.cfg)["tokens"]
    later = torch.arange(7)[None] + 9
    assert (model(tokens, position_ids=later) - model(tokens)).abs().max() > 1e-2
    _, cache = model.run_with_cache(tokens, position_ids=later)
    assert torch.allclose(cache["pos_embed"], model.W_pos[9:16].expand(2, 7, 16))


@pytest.mark.parametrize("name", [n for n in CONFIGURATIONS if n != "decoder-no-positions"])
def test_order_matters(name: str) -> None:
    model = shared_model(name)
    inputs = example(model.cfg)
    swapped = {**inputs, "tokens": inputs["tokens"][:, [2, 0, 3, 1, 5, 4, 6]]}
    if model.cfg.head == "classification":
        assert (model(**inputs) - model(**swapped)).abs().max() > 1e-3
    else:
        assert (model(**inputs)[:, -1] - model(**swapped)[:, -1]).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["decoder-rotary-yarn", "decoder-sinusoidal", "decoder-alibi"])
def test_fixed_tables_are_not_saved_and_stay_in_single_precision(name: str) -> None:
    model = build(name)
    parameters = {n for n, _ in model.named_parameters()}
    assert set(model.state_dict()) == parameters
    tables = {n: b.clone() for n, b in model.named_buffers()}
    assert tables
    for dtype in (torch.bfloat16, torch.float64, torch.float32):
        model.to(dtype)
        assert model(example(model.cfg)["tokens"]).dtype == dtype
        for n, buffer in model.named_buffers():
            assert torch.equal(buffer, tables[n])


@pytest.mark.parametrize("name", ["decoder-rotary-llama3", "decoder-sinusoidal", "decoder-alibi"])
def test_fixed_tables_appear_when_a_model_leaves_the_meta_device(name: str) -> None:
    from interp.model.transformer import HookedTransformer

    model = build(name)
    with torch.device("meta"):
        empty = HookedTransformer(model.cfg)
    assert all(p.device.type == "meta" for p in empty.parameters())
    empty.to_empty(device="cpu")
    empty.load_state_dict(model.state_dict())
    tokens = example(model.cfg)["tokens"]
    assert torch.equal(empty.eval()(tokens), model(tokens))
