"""Attention alone: against its formula written with loops over heads, and torch's own."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from interp.model.attention import Attention
from interp.model.config import TransformerConfig
from interp.model.mask import Mask, attention_mask
from interp.model.positions import Rotary, rotate
from interp.model.tap import Record
from tests.model.configurations import CONFIGURATIONS, EVERY, example, shared_model
from tests.model.taps import Put, Same


def attention_of(cfg: TransformerConfig, *, cross: bool = False) -> Attention:
    attention = Attention(cfg, cross=cross).double().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return attention


def stream(pos: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, pos, 16, generator=generator, dtype=torch.float64)


def by_hand(attention: Attention, x: Tensor, source: Tensor, causal: bool) -> Tensor:
    """One head after the other, with the weights under TransformerLens's names."""
    cfg_scale, out = attention.scale, attention.b_O.expand(*x.shape[:2], -1)
    for head in range(attention.n_heads):
        group = head * attention.n_kv // attention.n_heads
        q = x @ attention.W_Q[head] + attention.b_Q[head]
        k = source @ attention.W_K[group] + attention.b_K[group]
        v = source @ attention.W_V[group] + attention.b_V[group]
        scores = q @ k.transpose(1, 2) / cfg_scale
        if attention.soft_cap > 0:
            scores = attention.soft_cap * torch.tanh(scores / attention.soft_cap)
        if causal:
            scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -math.inf)
        out = out + scores.softmax(-1) @ v @ attention.W_O[head]
    return out


@pytest.mark.parametrize(
    "name",
    [
        "decoder",
        "decoder-grouped",
        "decoder-multi-query",
        "decoder-soft-cap",
        "decoder-relative",
        "decoder-no-norm-bias",
    ],
)
@pytest.mark.parametrize("causal", [True, False])
def test_it_is_the_formula(name: str, causal: bool) -> None:
    cfg = CONFIGURATIONS[name]
    attention = attention_of(cfg)
    x = stream(5)
    mask = Mask(is_causal=True) if causal else Mask()
    expected = by_hand(attention, x, x, causal)
    assert torch.allclose(attention(x, mask), expected, atol=1e-12)
    opened = attention(x, mask, Same(["hook_pattern", "hook_result"]))
    assert torch.allclose(opened, expected, atol=1e-12)
    crossing = attention_of(cfg, cross=True)
    source = stream(3, seed=1)
    out = crossing(x, Mask(), source=source)
    assert torch.allclose(out, by_hand(crossing, x, source, False), atol=1e-12)


@pytest.mark.parametrize("name", ["decoder", "decoder-grouped"])
def test_every_head_can_read_an_input_of_its_own(name: str) -> None:
    cfg = CONFIGURATIONS[name]
    attention = attention_of(cfg)
    mask = Mask(is_causal=True)
    x = stream(5)
    heads = x[:, :, None].expand(2, 5, cfg.n_heads, 16)
    groups = x[:, :, None].expand(2, 5, cfg.n_key_value_heads, 16)
    assert torch.allclose(attention((heads, groups, groups), mask), attention(x, mask), atol=1e-12)
    heads = heads.clone()
    heads[:, :, 1] = stream(5, seed=1)  # one head's queries see something else
    record = Record(["hook_z"])
    plain = Record(["hook_z"])
    attention((heads, groups, groups), mask, record)
    attention(x, mask, plain)
    differs = (record.values["hook_z"] - plain.values["hook_z"]).abs().amax((0, 1, 3)) > 1e-6
    assert differs.tolist() == [False, True, False, False]


@pytest.mark.parametrize("name", ["decoder-rotary-partial", "decoder-qk-norm"])
def test_queries_and_keys_are_normalised_and_then_rotated(name: str) -> None:
    cfg = CONFIGURATIONS[name]
    attention = attention_of(cfg)
    rotation = Rotary(cfg)(torch.arange(5)[None], torch.float64)
    names = ["hook_q", "hook_k", "hook_rot_q", "hook_rot_k", "hook_attn_scores"]
    record = Record(names)
    attention(stream(5), Mask(is_causal=True), record, rotation=rotation)
    q, k, rot_q, rot_k, scores = (record.values[n] for n in names)
    if attention.q_norm is not None and attention.k_norm is not None:
        q, k = attention.q_norm(q), attention.k_norm(k)
    assert torch.allclose(rot_q, rotate(q, rotation, cfg.rotary_adjacent_pairs))
    assert torch.allclose(rot_k, rotate(k, rotation, cfg.rotary_adjacent_pairs))
    rot_k = rot_k.repeat_interleave(cfg.n_heads // cfg.n_key_value_heads, 2)
    expected = torch.einsum("bqhe,bkhe->bhqk", rot_q, rot_k) / cfg.attn_scale
    lower = torch.ones(5, 5).tril().bool()
    assert torch.allclose(scores[..., lower], expected[..., lower], atol=1e-12)
    assert (scores[..., ~lower] == -math.inf).all()
    k, v = attention.keys_values(stream(5), rotation)
    again = Record(["hook_v"])
    attention(stream(5), Mask(is_causal=True), again, rotation=rotation)
    assert torch.allclose(k, record.values["hook_rot_k"], atol=1e-12)
    assert torch.allclose(v, again.values["hook_v"], atol=1e-12)


@pytest.mark.parametrize("bias", [True, False])
def test_it_is_torchs_multihead_attention(bias: bool) -> None:
    """Rows of queries, keys and values, heads outermost: the layout of `nn.MultiheadAttention`."""
    cfg = TransformerConfig(16, 1, 4, 5, 8, qkv_bias=bias, attn_out_bias=bias)
    attention = attention_of(cfg)
    peer = nn.MultiheadAttention(16, 4, bias=bias, batch_first=True).double()
    with torch.no_grad():
        peer.in_proj_weight.copy_(attention.qkv.weight)
        peer.out_proj.weight.copy_(attention.out.weight)
        if bias:
            peer.in_proj_bias.copy_(attention.qkv.bias)
            peer.out_proj.bias.copy_(attention.out.bias)
    x = stream(5)
    keys = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]).bool()
    mask = attention_mask(5, 5, causal=False, device=x.device, dtype=x.dtype, keys=keys)
    record = Record(["hook_pattern"])
    ours = attention(x, mask, record)
    theirs, weights = peer(x, x, x, key_padding_mask=~keys, average_attn_weights=False)
    assert torch.allclose(ours, theirs, atol=1e-12)
    assert torch.allclose(record.values["hook_pattern"], weights, atol=1e-12)


def test_dropout_acts_on_the_weights_in_training_only() -> None:
    cfg = CONFIGURATIONS["decoder"].replace(dropout=0.5)
    attention = attention_of(cfg)
    x, mask, opened = stream(5), Mask(is_causal=True), Same(["hook_pattern"])
    assert torch.equal(attention(x, mask), attention(x, mask))
    attention.train()
    for tap in (Same([]), opened):
        assert not torch.equal(attention(x, mask, tap), attention(x, mask, tap))
    runs = torch.stack([attention(x, mask, opened) for _ in range(800)])
    attention.eval()
    standard_error = runs.std(0) / 800**0.5
    assert ((runs.mean(0) - attention(x, mask)).abs() < 6 * standard_error + 1e-9).all()


@EVERY
def test_the_named_weights_are_views_of_the_parameters(name: str) -> None:
    model = shared_model(name)
    block = model.stack(model.last_stack).blocks[0]
    cfg, attention = model.cfg, block.attn
    shapes = {
        "W_Q": (cfg.n_heads, 16, cfg.d_head),
        "W_K": (cfg.n_key_value_heads, 16, cfg.d_head),
        "W_V": (cfg.n_key_value_heads, 16, cfg.d_head),
        "W_O": (cfg.n_heads, cfg.d_head, 16),
        "b_Q": (cfg.n_heads, cfg.d_head),
        "b_K": (cfg.n_key_value_heads, cfg.d_head),
        "b_V": (cfg.n_key_value_heads, cfg.d_head),
        "b_O": (16,),
    }
    storages = {p.untyped_storage().data_ptr() for p in attention.parameters()}
    for weight, shape in shapes.items():
        value = getattr(attention, weight)
        assert value.shape == shape, weight
        shared = value.untyped_storage().data_ptr() in storages
        assert shared or not value.any(), weight  # zeros stand for a bias that does not exist
    points = [f"{model.last_stack}.0.{p}" for p in ("attn.hook_q", "attn.hook_k", "attn.hook_v")]
    record = Record([*points, f"{model.last_stack}.0.hook_resid_pre"])
    model(**example(cfg), tap=record)
    x = block.normed_before("ln1", record.values[f"{model.last_stack}.0.hook_resid_pre"])
    for point, letter in zip(points, "QKV", strict=True):
        weight, bias = getattr(attention, f"W_{letter}"), getattr(attention, f"b_{letter}")
        expected = torch.einsum("bpd,hde->bphe", x, weight) + bias
        assert torch.allclose(record.values[point], expected, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_sums_its_softmax_in_single(dtype: torch.dtype) -> None:
    attention = attention_of(CONFIGURATIONS["decoder"]).to(dtype)
    record = Record(["hook_pattern"])
    scores = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(0)).to(dtype)
    tap = Put({"hook_attn_scores": scores})
    seen = Record(["hook_pattern"])

    from interp.model.tap import chain

    attention(stream(5).to(dtype), Mask(), chain(tap, seen))
    assert seen.values["hook_pattern"].dtype == dtype
    assert torch.equal(seen.values["hook_pattern"], scores.float().softmax(-1).to(dtype))
    attention(stream(5).to(dtype), Mask(), record)
    assert record.values["hook_pattern"].dtype == dtype


def test_scores_have_a_name_before_their_cap() -> None:
    model = shared_model("decoder-soft-cap")
    _, cache = model.run_with_cache(**example(model.cfg))
    capped = 2 * torch.tanh(cache["blocks.1.attn.hook_attn_scores_uncapped"] / 2)
    scores = cache["blocks.1.attn.hook_attn_scores"]
    allowed = scores.isfinite()
    assert torch.equal(scores[allowed], capped[allowed]) and not allowed.all()
