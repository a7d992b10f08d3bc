"""Blocks: against torch's own layers, which have the same weights, and by their own equations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from interp.model.attention import Attention
from interp.model.block import Block
from interp.model.mlp import ACTIVATIONS, MLP
from interp.model.tap import Record
from interp.model.transformer import HookedTransformer
from tests.model.configurations import CONFIGURATIONS, EVERY, build, example, shared_model
from tests.model.taps import Noise, Put


def _copy_attention(ours: Attention, theirs: nn.MultiheadAttention) -> None:
    theirs.in_proj_weight.copy_(ours.qkv.weight)
    theirs.in_proj_bias.copy_(ours.qkv.bias)
    theirs.out_proj.load_state_dict(ours.out.state_dict())


def _copy_norms(ours: Block, theirs: nn.Module, n: int) -> None:
    for i in range(1, n + 1):
        getattr(theirs, f"norm{i}").load_state_dict(getattr(ours, f"ln{i}").state_dict())


@torch.no_grad()
def torch_encoder(blocks: nn.ModuleList, norm_first: bool) -> list[nn.TransformerEncoderLayer]:
    layers = []
    for block in blocks:
        layer = nn.TransformerEncoderLayer(
            16, 4, 20, dropout=0.0, activation="relu", batch_first=True, norm_first=norm_first
        )
        _copy_attention(block.attn, layer.self_attn)
        layer.linear1.load_state_dict(block.mlp.up.state_dict())
        layer.linear2.load_state_dict(block.mlp.down.state_dict())
        _copy_norms(block, layer, 2)
        layers.append(layer.train())  # without dropout; `eval` would take torch's other fast path
    return layers


@torch.no_grad()
def torch_decoder(blocks: nn.ModuleList, norm_first: bool) -> list[nn.TransformerDecoderLayer]:
    layers = []
    for block in blocks:
        layer = nn.TransformerDecoderLayer(
            16, 4, 20, dropout=0.0, activation="relu", batch_first=True, norm_first=norm_first
        )
        _copy_attention(block.attn, layer.self_attn)
        _copy_attention(block.cross_attn, layer.multihead_attn)
        layer.linear1.load_state_dict(block.mlp.up.state_dict())
        layer.linear2.load_state_dict(block.mlp.down.state_dict())
        _copy_norms(block, layer, 3)
        layers.append(layer.train())
    return layers


def padded(inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    for mask, key in (("attention_mask", "tokens"), ("decoder_attention_mask", "decoder_tokens")):
        if key in inputs:
            inputs[mask] = torch.ones_like(inputs[key])
            inputs[mask][1, -2:] = 0
    return inputs


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("with_padding", [False, True])
def test_an_encoder_is_torchs_encoder(norm_first: bool, with_padding: bool) -> None:
    model = build(
        CONFIGURATIONS["encoder-pre-norm"].replace(
            d_head=4, act_fn="relu", norm_position="pre" if norm_first else "post", final_norm=False
        ),
    )
    inputs = example(model.cfg)
    inputs = padded(inputs) if with_padding else inputs
    _, cache = model.run_with_cache(**inputs)
    x = cache["resid_pre", 0]
    ignore = None if not with_padding else inputs["attention_mask"] == 0
    for layer in torch_encoder(model.blocks, norm_first):
        x = layer(x, src_key_padding_mask=ignore)
    ours = model(**inputs, stop_at_layer=3)
    real = ~ignore if ignore is not None else slice(None)
    assert torch.allclose(ours[real], x[real], atol=5e-6)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("with_padding", [False, True])
def test_an_encoder_decoder_is_torchs(norm_first: bool, with_padding: bool) -> None:
    model = build(
        "pair-original", d_head=4, norm_position="pre" if norm_first else "post", final_norm=False
    )
    inputs = example(model.cfg)
    inputs = padded(inputs) if with_padding else inputs
    _, cache = model.run_with_cache(**inputs)
    memory, x = cache["encoder.0.hook_resid_pre"], cache["decoder.0.hook_resid_pre"]
    source_ignore = None if not with_padding else inputs["attention_mask"] == 0
    target_ignore = None if not with_padding else inputs["decoder_attention_mask"] == 0
    for layer in torch_encoder(model.encoder, norm_first):
        memory = layer(memory, src_key_padding_mask=source_ignore)
    causal = torch.ones(6, 6).triu(1).bool()
    for layer in torch_decoder(model.decoder, norm_first):
        x = layer(
            x,
            memory,
            tgt_mask=causal,
            tgt_key_padding_mask=target_ignore,
            memory_key_padding_mask=source_ignore,
        )
    real = ~target_ignore if target_ignore is not None else slice(None)
    ours = model(**inputs, stop_at_layer=2)
    assert torch.allclose(ours[real], x[real], atol=5e-6)
    assert torch.allclose(model(**inputs)[real], model.unembed(x)[real], atol=2e-5)


def test_a_single_post_norm_block_is_torchs_to_the_last_digits() -> None:
    cfg = CONFIGURATIONS["encoder-attn-only"].replace(attn_only=False, act_fn="relu", d_head=4)
    model = build(cfg, dtype=torch.float64)
    x = torch.randn(2, 5, 16, dtype=torch.float64)
    (layer, *_) = torch_encoder(model.blocks.float(), norm_first=False)
    model.double()
    around = model.stack("blocks").surroundings(torch.arange(5)[None], 5, None, x.dtype)
    assert torch.allclose(model.blocks[0](x, around), layer.double()(x), atol=1e-12)


# -- the feed-forward layer ------------------------------------------------------------------------


@pytest.mark.parametrize("act_fn", ACTIVATIONS)
@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_the_feed_forward_layer_is_its_formula(act_fn: Any, gated: bool, bias: bool) -> None:
    cfg = CONFIGURATIONS["decoder"].replace(act_fn=act_fn, gated_mlp=gated, mlp_bias=bias)
    mlp = MLP(cfg)
    peers = {
        "relu": nn.ReLU(),
        "gelu": nn.GELU(),
        "gelu_new": nn.GELU(approximate="tanh"),
        "silu": nn.SiLU(),
        "tanh": nn.Tanh(),
    }
    x = torch.randn(2, 3, 16)
    record = Record(["hook_pre", "hook_post", "hook_pre_linear"])
    out = mlp(x, record)
    up = x @ mlp.W_in + mlp.b_in
    if gated:
        assert mlp.W_gate is not None
        gate = x @ mlp.W_gate
        pre = gate if mlp.gate.bias is None else gate + mlp.gate.bias
        post = peers[act_fn](pre) * up
        assert torch.allclose(record.values["hook_pre_linear"], up, atol=1e-6)
    else:
        assert mlp.W_gate is None
        pre, post = up, peers[act_fn](up)
        assert "hook_pre_linear" not in record.values
    assert torch.allclose(record.values["hook_pre"], pre, atol=1e-6)
    assert torch.allclose(record.values["hook_post"], post, atol=1e-6)
    assert torch.allclose(out, post @ mlp.W_out + mlp.b_out, atol=1e-6)


# -- the inputs of single heads --------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("head", [0, 1])
def test_one_heads_input_reaches_that_head_alone(name: str, head: int) -> None:
    model = shared_model(name)
    inputs = example(model.cfg)
    stack = model.last_stack
    z = f"{stack}.1.attn.hook_z"
    group = model.cfg.n_heads // model.cfg.n_key_value_heads
    plain = Record([z])
    model(**inputs, tap=plain)
    for letter in "qkv":
        point = f"{stack}.1.hook_{letter}_input"
        served = [head] if letter == "q" else range(head * group, (head + 1) * group)
        if head >= (model.cfg.n_heads if letter == "q" else model.cfg.n_key_value_heads):
            continue

        def other(value: Tensor, hook: object) -> None:
            generator = torch.Generator().manual_seed(1)
            value[:, :, head] += torch.randn(value[:, :, head].shape, generator=generator)

        record = Record([z])
        model.run_with_hooks(**inputs, fwd_hooks=[(point, other)], tap=record)
        change = (record.values[z] - plain.values[z]).abs().amax((0, 1, 3))
        assert [i for i, c in enumerate(change) if c > 1e-4] == list(served), letter


@pytest.mark.parametrize("name", ["decoder", "decoder-post-norm", "encoder-bert", "pair-original"])
def test_an_edit_for_all_heads_is_an_edit_of_what_the_attention_reads(name: str) -> None:
    """The skip path is not touched: the change arrives through the attention alone."""
    model = shared_model(name)
    inputs = example(model.cfg)
    block = f"{model.last_stack}.1"
    tap = Noise(f"{block}.hook_attn_in")
    _, cache = model.run_with_cache(**inputs, tap=tap)
    resid, added = cache[f"{block}.hook_resid_pre"], cache[f"{block}.hook_attn_out"]
    assert torch.equal(cache[f"{block}.hook_resid_mid"], resid + added)
    _, plain = model.run_with_cache(**inputs)
    assert torch.equal(resid, plain[f"{block}.hook_resid_pre"])
    assert not torch.allclose(added, plain[f"{block}.hook_attn_out"], atol=1e-3)
    read = plain[f"{block}.hook_resid_pre"] + 0.5
    shifted = read[:, :, None].expand(-1, -1, model.cfg.n_heads, -1)
    together = {f"{block}.hook_{letter}_input": shifted for letter in "qkv"}
    one = model(**inputs, tap=Put({f"{block}.hook_attn_in": shifted}))
    assert torch.equal(one, model(**inputs, tap=Put(together)))


def test_looking_at_the_norm_while_editing_a_head() -> None:
    model = shared_model("decoder")
    tokens = example(model.cfg)["tokens"]
    scale = "blocks.1.ln1.hook_scale"
    record = Record([scale])
    model(tokens, tap=record)
    seen = Record([scale])
    head = [("blocks.1.hook_q_input", lambda value, hook: value * 2)]
    model.run_with_hooks(tokens, fwd_hooks=head, tap=seen)
    assert torch.equal(seen.values[scale], record.values[scale])


def test_dropout_is_for_training() -> None:
    for name in ("decoder", "decoder-parallel", "encoder-bert", "pair-original"):
        model = build(name, dropout=0.5)
        inputs = example(model.cfg)
        assert torch.equal(model(**inputs), model(**inputs))
        plain = build(name)
        assert torch.equal(model(**inputs), plain(**inputs))
        model.train()
        _, first = _outs(model, inputs)
        dropped = [float((out == 0).float().mean()) for out in first]
        assert all(0.3 < share < 0.7 for share in dropped)


def _outs(model: HookedTransformer, inputs: dict[str, Tensor]) -> tuple[Tensor, list[Tensor]]:
    points = [p for p in model.hook_points if p.endswith(("attn_out", "mlp_out"))]
    record = Record(points)
    out = model(**inputs, tap=record)
    return out, [record.values[p] for p in points]
