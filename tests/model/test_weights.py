"""The parameters under TransformerLens's names, and the directions made of them."""

from __future__ import annotations

import pytest
import torch

from interp.errors import ConfigError, InputError
from tests.model.configurations import EVERY, build, example, shared_model
from tests.model.test_text import speaking


@EVERY
def test_stacks_have_a_row_a_layer(name: str) -> None:
    model = shared_model(name)
    cfg, blocks = model.cfg, model.stack(model.last_stack).blocks
    for weight in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O"):
        stacked = getattr(model, weight)
        for layer, block in enumerate(blocks):
            assert torch.equal(stacked[layer], getattr(block.attn, weight)), weight
    for weight in ("W_in", "W_out", "b_in", "b_out"):
        if cfg.attn_only:
            with pytest.raises(ConfigError, match=f"no {weight}"):
                getattr(model, weight)
        else:
            stacked = getattr(model, weight)
            for layer, block in enumerate(blocks):
                assert torch.equal(stacked[layer], getattr(block.mlp, weight)), weight
    assert model.W_E is model.embed.weight


@EVERY
def test_positions_are_a_table_or_none(name: str) -> None:
    model = shared_model(name)
    if model.cfg.positional_embedding_type in ("standard", "sinusoidal"):
        assert model.W_pos.shape == (24, 16)
    else:
        with pytest.raises(ConfigError, match="no W_pos"):
            _ = model.W_pos


def test_views_write_into_the_model() -> None:
    model = build("decoder")
    tokens = example(model.cfg)["tokens"]
    with torch.no_grad():
        model.blocks[1].attn.W_O[2].zero_()
        model.blocks[1].mlp.W_in[:].zero_()
    _, cache = model.run_with_cache(tokens)
    assert not cache["result", 1][:, :, 2].any()
    assert cache["result", 1][:, :, 1].any()
    assert torch.allclose(cache["pre", 1], model.blocks[1].mlp.b_in.expand(2, 7, 20))


@pytest.mark.parametrize("name", ["decoder", "decoder-grouped", "decoder-multi-query"])
def test_circuits_of_heads(name: str) -> None:
    model = shared_model(name)
    cfg = model.cfg
    for layer in range(cfg.n_layers):
        for head in range(cfg.n_heads):
            group = head * cfg.n_key_value_heads // cfg.n_heads
            attention = model.blocks[layer].attn
            qk = attention.W_Q[head] @ attention.W_K[group].t()
            ov = attention.W_V[group] @ attention.W_O[head]
            assert torch.allclose(model.QK[layer, head].AB, qk, atol=1e-5)
            assert torch.allclose(model.OV[layer, head].AB, ov, atol=1e-5)


@pytest.mark.parametrize("name", ["decoder", "decoder-tied-scaled", "pair-t5"])
def test_residual_directions_read_off_logits(name: str) -> None:
    model = shared_model(name)
    inputs = example(model.cfg)
    logits = model(**inputs)
    stack = model.stack(model.last_stack)
    resid = stack.finish(model(**inputs, stop_at_layer=len(stack.blocks)))
    ids = torch.tensor([[3, 4], [0, 28]])
    directions = model.tokens_to_residual_directions(ids)
    assert directions.shape == (2, 2, 16)
    for token, direction in zip(ids.flatten(), directions.flatten(0, 1), strict=True):
        read = resid @ direction + model.b_U[token]
        assert torch.allclose(read, logits[..., token], atol=1e-5)
    for one in (3, torch.tensor(3), torch.tensor([3]), torch.tensor([[3]])):
        assert torch.equal(model.tokens_to_residual_directions(one), directions[0, 0])
    for bad in (29, -1, torch.tensor([3, 29])):
        with pytest.raises(InputError, match="0 to 28"):
            model.tokens_to_residual_directions(bad)
    with pytest.raises(InputError, match="whole numbers"):
        model.tokens_to_residual_directions(torch.tensor([1.0]))


def test_residual_directions_of_text() -> None:
    model = speaking()
    expected = model.tokens_to_residual_directions(97)
    assert torch.equal(model.tokens_to_residual_directions("a"), expected)


@pytest.mark.parametrize(
    "name",
    [
        "decoder",
        "decoder-parallel",
        "decoder-attn-only",
        "pair-t5",
        "pair-pre-norm",
        "decoder-no-norm-bias",
    ],
)
def test_accumulated_bias_is_what_silent_layers_write(name: str) -> None:
    """With the matrices that write to the stream at zero, only biases are written."""
    model = build(name)
    stack = model.last_stack
    with torch.no_grad():
        for parameter, value in model.named_parameters():
            if parameter.endswith(("attn.out.weight", "mlp.down.weight")):
                value.zero_()
    record = model.run_with_cache(**example(model.cfg))[1]
    start = record[f"{stack}.0.hook_resid_pre"]
    n_layers = len(model.stack(stack).blocks)
    for layer in range(n_layers + 1):
        now = (
            record[f"{stack}.{layer}.hook_resid_pre"]
            if layer < n_layers
            else record[f"{stack}.{layer - 1}.hook_resid_post"]
        )
        written = model.accumulated_bias(layer).expand_as(start)
        assert torch.allclose(now - start, written, atol=1e-5)
        if layer < n_layers and f"{stack}.{layer}.hook_mlp_in" in record:
            read = record[f"{stack}.{layer}.hook_mlp_in"] - start
            bias = model.accumulated_bias(layer, mlp_input=True)
            assert torch.allclose(read, bias.expand_as(read), atol=1e-5)
    if not model.cfg.attn_only:
        attention = sum(
            b.attn.b_O + (b.cross_attn.b_O if b.cross_attn else 0)
            for b in model.stack(stack).blocks
        )
        alone = model.accumulated_bias(n_layers, include_mlp_biases=False)
        assert torch.allclose(alone, attention, atol=1e-6)
    with pytest.raises(InputError, match=f"no block {n_layers}"):
        model.accumulated_bias(n_layers, mlp_input=True)
