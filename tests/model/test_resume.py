"""Resumed forwards: what they leave out does not change what they return."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from interp.errors import CacheError, InputError
from interp.model.tap import Record
from interp.model.transformer import HookedTransformer
from tests.model.configurations import CONFIGURATIONS, EVERY, build, example, shared_model
from tests.model.taps import Journal, Noise, Put

CAUSAL = pytest.mark.parametrize(
    "name", [name for name, cfg in CONFIGURATIONS.items() if cfg.shape != "encoder"]
)
PAIRS = pytest.mark.parametrize(
    "name", [name for name, cfg in CONFIGURATIONS.items() if cfg.shape == "encoder_decoder"]
)


def with_padding(model: HookedTransformer, side: str) -> dict[str, Tensor]:
    """A batch of two, of which the second row is padded."""
    inputs = example(model.cfg)
    hidden = slice(0, 2) if side == "left" else slice(-2, None)
    inputs["attention_mask"] = torch.ones_like(inputs["tokens"])
    inputs["attention_mask"][1, hidden] = 0
    if "decoder_tokens" in inputs:
        inputs["decoder_attention_mask"] = torch.ones_like(inputs["decoder_tokens"])
        inputs["decoder_attention_mask"][1, hidden] = 0
    return inputs


def at_positions(model: HookedTransformer, logits: Tensor, position: int) -> Tensor:
    """The part of logits that a forward resumed at a position returns."""
    return logits if model.cfg.head == "classification" else logits[:, position:]


def stream(model: HookedTransformer, cache: object, layer: int) -> Tensor:
    trace = cache.replay.traces[model.last_stack]
    out: Tensor = trace.streams[layer]
    return out


@EVERY
@pytest.mark.parametrize("side", ["none", "left", "right"])
def test_a_layer_cut_is_exact(name: str, side: str) -> None:
    model = shared_model(name)
    inputs = example(model.cfg) if side == "none" else with_padding(model, side)
    logits, cache = model.run_with_cache(**inputs)
    for layer in range(len(model.stack(model.last_stack).blocks) + 1):
        assert torch.equal(model.resume(cache, layer), logits), layer


@CAUSAL
@pytest.mark.parametrize("side", ["none", "left", "right"])
def test_a_position_cut_is_the_rest_of_the_run(name: str, side: str) -> None:
    model = shared_model(name)
    inputs = example(model.cfg) if side == "none" else with_padding(model, side)
    mask = inputs.get("decoder_attention_mask", inputs.get("attention_mask"))
    real = None if mask is None else mask.bool()
    logits, cache = model.run_with_cache(**inputs)
    n_layers = len(model.stack(model.last_stack).blocks)
    n_pos = 7 - (model.cfg.shape == "encoder_decoder")
    for layer in range(n_layers + 1):
        for position in (1, 3, n_pos - 1):
            resumed = model.resume(cache, layer, position)
            expected = at_positions(model, logits, position)
            assert resumed.shape == expected.shape
            if resumed.ndim == 3 and real is not None:  # what stands at padding means nothing
                resumed, expected = (x[real[:, position:]] for x in (resumed, expected))
            assert torch.allclose(resumed, expected, atol=2e-5), (layer, position)


@pytest.mark.parametrize("pooling", ["first", "last", "mean"])
@pytest.mark.parametrize("side", ["none", "left", "right"])
def test_a_classifier_reads_positions_before_the_cut_too(pooling: str, side: str) -> None:
    model = build("decoder-classification", pooling=pooling)
    inputs = example(model.cfg) if side == "none" else with_padding(model, side)
    logits, cache = model.run_with_cache(**inputs)
    assert torch.allclose(model.resume(cache, 1, 3), logits, atol=2e-5)
    noise = torch.randn(2, 4, 16, generator=torch.Generator().manual_seed(0))
    variants = stream(model, cache, 1)[:, 3:] + noise
    full = torch.cat([stream(model, cache, 1)[:, :3], variants], 1)
    expected = model(**inputs, tap=Put({"blocks.1.hook_resid_pre": full}))
    assert torch.allclose(model.resume(cache, 1, 3, resid=variants), expected, atol=2e-5)


@CAUSAL
@settings(max_examples=6)
@given(data=st.data())
def test_variants_in_one_batch_equal_single_edits(name: str, data: st.DataObject) -> None:
    """From any layer and position: a batch of changed streams is as many edited forwards."""
    model = shared_model(name)
    stack = model.last_stack
    n_layers = len(model.stack(stack).blocks)
    layer = data.draw(st.integers(0, n_layers - 1))
    inputs = example(model.cfg, batch=1, seed=data.draw(st.integers(0, 99)))
    n_pos = 7 - (model.cfg.shape == "encoder_decoder")
    position = data.draw(st.integers(0, n_pos - 1))
    _, cache = model.run_with_cache(**inputs)
    kept = stream(model, cache, layer)
    generator = torch.Generator().manual_seed(layer)
    changes = torch.randn(3, n_pos - position, model.cfg.d_model, generator=generator)
    variants = kept[:, position:] + changes
    resumed = model.resume(cache, layer, position, resid=variants)
    for variant, out in zip(variants, resumed, strict=True):
        edited = torch.cat([kept[0, :position], variant])[None]
        full = model.run_with_hooks(
            **inputs,
            fwd_hooks=[(f"{stack}.{layer}.hook_resid_pre", lambda _, hook, v=edited: v)],
        )
        assert torch.allclose(out, at_positions(model, full, position)[0], atol=5e-5)


@EVERY
def test_each_row_may_be_changed_in_its_own_way(name: str) -> None:
    model = shared_model(name)
    inputs = with_padding(model, "right")
    stack = model.last_stack
    _, cache = model.run_with_cache(**inputs)
    kept = stream(model, cache, 1)
    variants = kept + torch.randn(kept.shape, generator=torch.Generator().manual_seed(0))
    expected = model(**inputs, tap=Put({f"{stack}.1.hook_resid_pre": variants}))
    assert torch.equal(model.resume(cache, 1, resid=variants), expected)


@PAIRS
@pytest.mark.parametrize("side", ["none", "left", "right"])
def test_a_change_in_the_encoder_reaches_the_logits(name: str, side: str) -> None:
    model = shared_model(name)
    inputs = example(model.cfg) if side == "none" else with_padding(model, side)
    logits, cache = model.run_with_cache(**inputs)
    for layer in range(model.cfg.n_layers + 1):
        assert torch.equal(model.resume(cache, layer, stack="encoder"), logits)
    kept = cache["encoder.1.hook_resid_pre"]
    changed = kept + torch.randn(kept.shape, generator=torch.Generator().manual_seed(0))
    expected = model(**inputs, tap=Put({"encoder.1.hook_resid_pre": changed}))
    assert not torch.allclose(expected, logits, atol=1e-2)
    assert torch.equal(model.resume(cache, 1, stack="encoder", resid=changed), expected)


@PAIRS
def test_variants_of_the_encoder_in_one_batch(name: str) -> None:
    model = shared_model(name)
    inputs = example(model.cfg, batch=1)
    inputs["attention_mask"] = torch.tensor([[1, 1, 1, 1, 1, 0, 0]])
    _, cache = model.run_with_cache(**inputs)
    kept = cache["encoder.1.hook_resid_pre"]
    variants = kept + torch.randn(3, 1, 16, generator=torch.Generator().manual_seed(0))
    resumed = model.resume(cache, 1, stack="encoder", resid=variants)
    for variant, out in zip(variants, resumed, strict=True):
        edited = model(**inputs, tap=Put({"encoder.1.hook_resid_pre": variant[None]}))
        assert torch.allclose(out, edited[0], atol=2e-5)


@EVERY
def test_a_resumed_forward_can_be_tapped(name: str) -> None:
    model = shared_model(name)
    inputs = example(model.cfg)
    stack = model.last_stack
    _, cache = model.run_with_cache(**inputs)
    point = f"{stack}.1.attn.hook_z"
    assert torch.equal(model.resume(cache, 1, tap=Noise(point)), model(**inputs, tap=Noise(point)))
    journal = Journal()
    model.resume(cache, 1, tap=journal)
    first = f"{stack}.1.hook_resid_pre"
    order = list(model.hook_points)
    assert [name for name, _ in journal.entries] == order[order.index(first) :]
    assert torch.equal(dict(journal.entries)[point], cache[point])


@CAUSAL
def test_stopping_on_the_way(name: str) -> None:
    model = shared_model(name)
    n_layers = len(model.stack(model.last_stack).blocks)
    _, cache = model.run_with_cache(**example(model.cfg))
    for stop in range(n_layers + 1):
        for layer in range(stop + 1):
            stopped = model.resume(cache, layer, stop_at_layer=stop)
            assert torch.equal(stopped, stream(model, cache, stop))
    assert torch.equal(model.resume(cache, 0, stop_at_layer=-1), stream(model, cache, n_layers - 1))
    rest = model.resume(cache, 0, 2, stop_at_layer=n_layers)
    assert torch.allclose(rest, stream(model, cache, n_layers)[:, 2:], atol=2e-5)


def test_stopping_after_a_change_in_the_encoder() -> None:
    model = shared_model("pair-pre-norm")
    _, cache = model.run_with_cache(**example(model.cfg))
    for stop, layer in ((0, 0), (1, 1), (2, 2), (-1, 1)):
        stopped = model.resume(cache, 2, stack="encoder", stop_at_layer=stop)
        assert torch.equal(stopped, stream(model, cache, layer))


def test_gradients_flow_through_a_resumed_forward() -> None:
    model = build("decoder", dtype=torch.float64)
    tokens = example(model.cfg)["tokens"]
    _, cache = model.run_with_cache(tokens)
    resid = stream(model, cache, 1).clone().requires_grad_()
    gradient = torch.autograd.grad(model.resume(cache, 1, resid=resid).sum(), resid)[0]
    record = Record(["blocks.1.hook_resid_pre"], on_path=True)
    out = model(tokens, tap=record).sum()
    expected = torch.autograd.grad(out, record.values["blocks.1.hook_resid_pre"])[0]
    assert torch.allclose(gradient, expected, atol=1e-12)
    rest = torch.autograd.grad(model.resume(cache, 1, 4, resid=resid[:, 4:]).sum(), resid)[0]
    assert not rest[:, :4].any()
    assert rest[:, 4:].all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layer": 4}, "layer is 4; blocks has the layers 0 to 3"),
        ({"layer": -1}, "layer is -1"),
        ({"layer": 0, "position": 7}, "position is 7; it must lie in 0 to 6"),
        ({"layer": 0, "position": -1}, "position is -1"),
        ({"layer": 0, "stack": "encoder"}, "the stacks blocks, not 'encoder'"),
        ({"layer": 2, "stop_at_layer": 1}, "stop_at_layer is 1"),
        ({"layer": 0, "stop_at_layer": 4}, "stop_at_layer is 4"),
        ({"layer": 0, "stop_at_layer": -4}, "stop_at_layer is -4"),
        (
            {"layer": 0, "resid": torch.zeros(2, 6, 16)},
            r"resid has shape \[2, 6, 16\].*\[n, 7, 16\]",
        ),
        ({"layer": 0, "resid": torch.zeros(2, 7, 8)}, r"\[n, 7, 16\]"),
        ({"layer": 0, "resid": torch.zeros(7, 16)}, r"\[n, 7, 16\]"),
        ({"layer": 0, "position": 2, "resid": torch.zeros(2, 7, 16)}, r"\[n, 5, 16\]"),
        ({"layer": 0, "resid": torch.zeros(3, 7, 16)}, "resid has 3 rows and the cache 2"),
    ],
)
def test_what_cannot_be_resumed_is_refused(arguments: dict[str, object], message: str) -> None:
    model = shared_model("decoder")
    _, cache = model.run_with_cache(example(model.cfg)["tokens"])
    with pytest.raises(InputError, match=message):
        model.resume(cache, **arguments)


def test_positions_of_an_encoder_cannot_be_cut() -> None:
    for name, stack in (("encoder-bert", None), ("pair-t5", "encoder")):
        model = shared_model(name)
        _, cache = model.run_with_cache(**example(model.cfg))
        with pytest.raises(InputError, match="not causal"):
            model.resume(cache, 0, 1, stack=stack)


def test_a_filtered_cache_cannot_be_resumed() -> None:
    model = shared_model("decoder")
    _, cache = model.run_with_cache(example(model.cfg)["tokens"], names_filter="resid_pre1")
    with pytest.raises(CacheError, match="not a run that can be continued"):
        model.resume(cache, 1)
