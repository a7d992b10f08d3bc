"""Replay: recomputed activations are those of the run, or are refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from interp.errors import CacheError
from interp.model.partial import computed_points
from interp.model.tap import Record
from interp.model.transformer import HookedTransformer
from tests.model.configurations import EACH_KIND, EVERY, build, example, shared_model

# What only an opened kernel shows; it may round differently from the fused one.
_OPENED = ("hook_attn_scores", "hook_pattern")


def padded(model: HookedTransformer) -> dict[str, Tensor]:
    inputs = example(model.cfg)
    mask = torch.ones_like(inputs["tokens"])
    mask[1, :2] = 0
    inputs["attention_mask"] = mask
    if "decoder_tokens" in inputs:
        inputs["decoder_attention_mask"] = torch.ones_like(inputs["decoder_tokens"])
        inputs["decoder_attention_mask"][0, -1] = 0
    return inputs


@EVERY
@pytest.mark.parametrize("inputs_of", [lambda model: example(model.cfg), padded])
def test_a_replayed_cache_equals_an_eager_recording(
    name: str, inputs_of: Callable[[HookedTransformer], dict[str, Tensor]]
) -> None:
    model = shared_model(name)
    inputs = inputs_of(model)
    record = Record(model.hook_points)
    logits = model(**inputs, tap=record)
    out, cache = model.run_with_cache(**inputs)
    assert torch.equal(out, logits)
    for point in reversed(model.hook_points):  # any order of reading is right
        value, expected = cache[point], record.values[point]
        assert value.shape == expected.shape, point
        if point.endswith(_OPENED):
            assert torch.equal(value.isinf(), expected.isinf()), point
            assert torch.allclose(value, expected, atol=2e-5), point
        else:
            assert torch.equal(value, expected), point
        assert not value.requires_grad


@EACH_KIND
def test_replay_works_in_inference_mode_and_without_gradients(name: str) -> None:
    model = shared_model(name)
    inputs = example(model.cfg)
    point = f"{model.last_stack}.1.attn.hook_z"
    expected = model.run_with_cache(**inputs)[1][point]
    for context in (torch.inference_mode(), torch.no_grad()):
        with context:
            _, cache = model.run_with_cache(**inputs)
        assert torch.equal(cache[point], expected)


def test_gradients_still_flow_to_the_logits_of_a_cached_run() -> None:
    model = build("decoder")
    logits, _ = model.run_with_cache(example(model.cfg)["tokens"])
    logits.sum().backward()
    assert model.embed.weight.grad is not None


@EACH_KIND
def test_a_cache_keeps_no_graph_alive(name: str) -> None:
    model = build(name)
    _, cache = model.run_with_cache(**example(model.cfg))
    for trace in cache.replay.traces.values():
        for tensor in (*trace.streams, trace.around.memory):
            assert tensor is None or not tensor.requires_grad


def test_embeddings_given_directly_are_replayed() -> None:
    model = shared_model("decoder")
    tokens = example(model.cfg)["tokens"]
    embedded = model.embed(tokens) + 0.1
    _, cache = model.run_with_cache(inputs_embeds=embedded)
    assert torch.equal(cache["embed"], embedded)
    assert torch.equal(cache["resid_pre", 0], embedded + cache["pos_embed"])


# -- what has changed since is refused -------------------------------------------------------------


def _step(model: HookedTransformer) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    model(example(model.cfg)["tokens"], return_type="loss").backward()
    optimizer.step()


def _load(model: HookedTransformer) -> None:
    model.load_state_dict(build("decoder", seed=1).state_dict())


def _widen(model: HookedTransformer) -> None:
    model.double()


def _replace(model: HookedTransformer) -> None:
    model.blocks[2].mlp.down.weight = torch.nn.Parameter(torch.zeros(16, 20))


@pytest.mark.parametrize("change", [_step, _load, _widen, _replace])
def test_a_change_of_the_weights_is_noticed(change: Callable[[HookedTransformer], None]) -> None:
    model = build("decoder")
    _, cache = model.run_with_cache(example(model.cfg)["tokens"])
    change(model)
    for point in cache:
        with pytest.raises(CacheError, match="weights have changed"):
            cache[point]
    with pytest.raises(CacheError, match="weights have changed"):
        model.resume(cache, 0)


@pytest.mark.parametrize(
    ("parameter", "point"),
    [
        ("embed.weight", "hook_embed"),
        ("input.positions.weight", "hook_pos_embed"),
        ("blocks.0.ln1.weight", "blocks.0.attn.hook_q"),
        ("blocks.1.attn.qkv.weight", "blocks.1.attn.hook_pattern"),
        ("blocks.1.attn.out.bias", "blocks.1.hook_attn_out"),
        ("blocks.2.mlp.down.weight", "blocks.2.hook_mlp_out"),
    ],
)
def test_a_change_behind_autograds_back_is_noticed_by_what_it_changes(
    parameter: str, point: str
) -> None:
    model = build("decoder")
    _, cache = model.run_with_cache(example(model.cfg)["tokens"])
    model.get_parameter(parameter).data.add_(0.1)
    with pytest.raises(CacheError, match=r"behind autograd's back"):
        cache[point]


@EVERY
def test_so_is_one_of_a_single_row_behind_the_last_block(name: str) -> None:
    model = build(name)
    inputs = padded(model)
    n_layers = len(model.stack(model.last_stack).blocks)
    points = list(computed_points(model, start=n_layers))
    hidden = [n for n, _ in model.named_parameters() if n.startswith(("ln_final", "output"))]
    if model.cfg.shape == "encoder_decoder" and model.cfg.final_norm:
        points.append("encoder_final_ln.hook_scale")
        hidden += ["encoder_final_ln.weight", "decoder_final_ln.weight"]
    for parameter in hidden if points else ():
        _, cache = model.run_with_cache(**inputs)
        weight = model.get_parameter(parameter).data[0]
        before = weight.clone()
        weight.add_(1.0)
        # What the decoder ends in says nothing about the encoder's norm, and the other way round.
        of_encoder = parameter.startswith("encoder")
        for point in points:
            if point.startswith("encoder") == of_encoder:
                with pytest.raises(CacheError, match="behind autograd's back"):
                    cache[point]
        weight.copy_(before)
        assert all(cache[point].isfinite().all() for point in points)


def test_blocks_that_a_hidden_change_does_not_touch_stay_readable() -> None:
    model = build("decoder")
    _, cache = model.run_with_cache(example(model.cfg)["tokens"])
    expected = cache["blocks.0.hook_attn_out"].clone()
    cache["hook_embed"]
    model.blocks[1].attn.qkv.weight.data.add_(0.1)
    assert torch.equal(cache["blocks.0.hook_attn_out"], expected)


@pytest.mark.parametrize("name", ["decoder", "pair-original"])
def test_writing_into_a_stream_is_noticed(name: str) -> None:
    model = build(name)
    _, cache = model.run_with_cache(**example(model.cfg))
    stack = model.last_stack
    cache[f"{stack}.1.hook_resid_pre"].add_(1.0)
    for point in (f"{stack}.0.hook_mlp_out", f"{stack}.2.hook_attn_out", "hook_embed"):
        if point in cache:
            with pytest.raises(CacheError, match="written into"):
                cache[point]
    with pytest.raises(CacheError, match="written into"):
        model.resume(cache, 1)


def test_an_unchanged_model_is_never_refused() -> None:
    """A backward pass, a read and a frozen weight change nothing."""
    model = build("decoder")
    tokens = example(model.cfg)["tokens"]
    _, cache = model.run_with_cache(tokens)
    model(tokens, return_type="loss").backward()
    model.zero_grad()
    model.requires_grad_(False)
    model.run_with_hooks(tokens, fwd_hooks=[("resid_pre1", lambda value, hook: value.zero_())])
    assert all(cache[point].isfinite().any() for point in cache)
