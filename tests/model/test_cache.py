"""The cache: a mapping from names to activations, however they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from benchmarks.measure import held_bytes
from interp.errors import CacheError, HookError, InputError
from interp.model.cache import ActivationCache
from interp.model.tap import Record
from interp.model.transformer import HookedTransformer
from tests.model.configurations import EACH_KIND, EVERY, build, example, shared_model


@pytest.fixture(scope="module")
def model() -> HookedTransformer:
    return shared_model("decoder")


@pytest.fixture(scope="module")
def tokens(model: HookedTransformer) -> Tensor:
    return example(model.cfg)["tokens"]


@pytest.fixture
def cache(model: HookedTransformer, tokens: Tensor) -> ActivationCache:
    out: ActivationCache = model.run_with_cache(tokens)[1]
    return out


@pytest.fixture(params=["replayed", "kept"])
def either(request: Any, model: HookedTransformer, tokens: Tensor) -> ActivationCache:
    """A cache of a whole run, and one that holds the same activations."""
    names = None if request.param == "replayed" else lambda name: "attn_in" not in name
    out: ActivationCache = model.run_with_cache(tokens, names_filter=names)[1]
    return out


# -- the mapping -----------------------------------------------------------------------------------


@EVERY
def test_it_is_a_mapping_of_the_points_that_always_fire(name: str) -> None:
    model = shared_model(name)
    _, cache = model.run_with_cache(**example(model.cfg))
    assert isinstance(cache, Mapping)
    always = [n for n, point in model.hook_points.items() if point.fires == "always"]
    assert list(cache) == list(cache.keys()) == always
    assert len(cache) == len(always)
    assert all(torch.equal(value, cache[key]) for key, value in cache.items())
    assert len(list(cache.values())) == len(always)
    on_demand = [n for n in model.hook_points if n not in always]
    assert on_demand
    assert all(n in cache for n in on_demand)


def test_membership_and_get(either: ActivationCache) -> None:
    for key in ("blocks.1.hook_resid_mid", "resid_mid1", ("resid_mid", 1), ("resid_mid", -2)):
        assert key in either
        assert either.get(key) is not None  # type: ignore[call-overload]
    for key in ("blocks.3.hook_resid_mid", "nothing", ("resid_mid", 3), ("q", 0, "mlp")):
        assert key not in either
        assert either.get(key) is None  # type: ignore[call-overload]
    for key in (5, None, (), (1,), ("q", 1, "attn", 2)):
        assert key not in either


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (("resid_post", 2), "blocks.2.hook_resid_post"),
        (("resid_post", -1), "blocks.2.hook_resid_post"),
        (("resid_pre", -3), "blocks.0.hook_resid_pre"),
        (("pattern", 1), "blocks.1.attn.hook_pattern"),
        (("pattern", 1, "attn"), "blocks.1.attn.hook_pattern"),
        (("attn", -2), "blocks.1.attn.hook_pattern"),
        (("pre", 0), "blocks.0.mlp.hook_pre"),
        (("post", 0, "mlp"), "blocks.0.mlp.hook_post"),
        (("scale", 1, "ln2"), "blocks.1.ln2.hook_scale"),
        (("normalized", 1, "ln1"), "blocks.1.ln1.hook_normalized"),
        (("normalized",), "ln_final.hook_normalized"),
        (("scale", None), "ln_final.hook_scale"),
        (("embed",), "hook_embed"),
        ("embed", "hook_embed"),
        ("pos_embed", "hook_pos_embed"),
        ("q1", "blocks.1.attn.hook_q"),
        ("result0", "blocks.0.attn.hook_result"),
    ],
)
def test_shorthand(either: ActivationCache, key: Any, name: str) -> None:
    assert torch.equal(either[key], either[name])


@pytest.mark.parametrize("key", [3, None, (), (1, 2), ("q", "one"), ["q", 1], ("q", 1, "attn", 2)])
def test_what_is_no_key_is_refused(either: ActivationCache, key: Any) -> None:
    with pytest.raises(InputError, match="no key of a cache"):
        either[key]


def test_unknown_names_list_the_nearest(either: ActivationCache) -> None:
    with pytest.raises(HookError, match=r"Nearest: .*blocks\.1\.hook_resid_mid"):
        either["blocks.1.hook_residmid"]
    with pytest.raises(HookError, match="layers 0 to 2"):
        either["resid_mid", 3]
    with pytest.raises(KeyError):
        either["nothing"]


def test_names_that_were_not_kept_say_so(model: HookedTransformer, tokens: Tensor) -> None:
    _, cache = model.run_with_cache(tokens, names_filter=["resid_post1", "resid_post2"])
    with pytest.raises(HookError, match=r"not kept in this cache.*2 names"):
        cache["resid_post", 0]
    with pytest.raises(CacheError, match="no names_filter"):
        cache.require_replay()


def test_it_says_what_it_is(cache: ActivationCache, model: HookedTransformer) -> None:
    assert "replayed" in repr(cache)
    assert str(len(cache)) in repr(cache)
    assert cache.cache_dict is cache
    assert cache.model is model


# -- memory ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["decoder", "decoder-llama", "decoder-post-norm", "encoder-bert"])
def test_a_cache_of_a_run_holds_one_stream_a_layer(name: str) -> None:
    model = build(name, d_model=64, n_ctx=128)
    tokens = example(model.cfg, batch=4, pos=128)["tokens"]
    _, cache = model.run_with_cache(tokens)
    stream = 4 * 128 * 64 * 4
    # and rotations, positions and the output at one place, all of them small
    assert cache.nbytes <= (model.cfg.n_layers + 1) * stream + stream // 8
    everything = model.run_with_cache(tokens, names_filter=list(cache))[1]
    assert everything.nbytes > 3 * cache.nbytes
    before = cache.nbytes
    cache["pattern", 1]
    assert cache.nbytes >= before + 4 * 4 * 128 * 128 * 4
    for key in cache:  # only the stage that was read last is kept
        cache[key]
    assert cache.nbytes < everything.nbytes / 2


@EACH_KIND
def test_the_bytes_of_a_cache_are_those_that_it_keeps_alive(name: str) -> None:
    """What `resume` adds to it included; it also holds the inputs, which are the caller's."""
    model = shared_model(name)
    inputs = example(model.cfg, batch=1, pos=20)

    def run() -> ActivationCache:
        cache = model.run_with_cache(**inputs)[1]
        cache[f"{model.last_stack}.1.hook_attn_out"]
        if model.cfg.shape != "encoder":
            model.resume(cache, 1, 2)
        return cache

    run()  # what the first run of a model makes for good is not the cache's
    cache, held = held_bytes(run)
    assert isinstance(cache, ActivationCache)
    assert cache.nbytes == held


# -- cutting, moving, keeping ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pos_slice", "index"),
    [
        (slice(1, 4), slice(1, 4)),
        ((1, 4), slice(1, 4)),  # as TransformerLens reads a tuple
        ((1, 7, 2), slice(1, 7, 2)),
        ([0, -1], [0, -1]),
        (torch.tensor([0, 2]), [0, 2]),
        (3, [3]),  # as there, an index keeps its dimension
        (-1, [-1]),
    ],
)
@pytest.mark.parametrize("kept", [False, True])
def test_a_cache_of_some_positions(
    model: HookedTransformer, tokens: Tensor, pos_slice: Any, index: Any, kept: bool
) -> None:
    names = list(model.run_with_cache(tokens)[1]) if kept else None
    _, cut = model.run_with_cache(tokens, pos_slice=pos_slice, names_filter=names)
    record = Record(model.hook_points)
    model(tokens, tap=record)
    for name in cut:
        axis = 2 if name.endswith(("hook_pattern", "hook_attn_scores")) else 1
        expected = record.values[name][(slice(None),) * axis + (index,)]
        assert cut[name].shape == expected.shape
        assert torch.allclose(cut[name], expected, atol=2e-5)


def test_positions_of_a_point_without_positions() -> None:
    model = shared_model("encoder-bert-classification")
    _, cache = model.run_with_cache(**example(model.cfg), pos_slice=0)
    assert cache["pooler.hook_pooler_out"].shape == (2, 16)


def test_a_kept_slice_holds_no_more_than_the_slice(model: HookedTransformer) -> None:
    tokens = example(model.cfg, pos=20)["tokens"]
    names = ["resid_pre0", "resid_pre1"]
    _, cache = model.run_with_cache(tokens, names_filter=names, pos_slice=slice(0, 2))
    assert cache.nbytes == 2 * (2 * 2 * 16 * 4)


def test_a_batch_of_one_loses_its_batch_dimension(model: HookedTransformer, tokens: Tensor) -> None:
    for names in (None, ["resid_pre1", "pattern1"]):
        _, full = model.run_with_cache(tokens[:1], names_filter=names)
        _, cache = model.run_with_cache(tokens[:1], names_filter=names, remove_batch_dim=True)
        assert not cache.has_batch_dim
        assert cache["resid_pre", 1].shape == (7, 16)
        assert torch.equal(cache["pattern", 1], full["pattern", 1][0])
        assert cache.remove_batch_dim() is cache
        assert cache["resid_pre", 1].shape == (7, 16)
    with pytest.raises(InputError, match="batch of 2"):
        model.run_with_cache(tokens, remove_batch_dim=True)
    with pytest.raises(InputError, match="batch of 2"):
        model.run_with_cache(tokens, names_filter="resid_pre1", remove_batch_dim=True)


@pytest.mark.parametrize("names", [None, ["resid_pre1", "pattern1"]])
def test_activations_are_handed_out_on_the_device_asked_for(
    model: HookedTransformer, tokens: Tensor, names: Any
) -> None:
    """On the `meta` device, since every machine has it."""
    _, there = model.run_with_cache(tokens, names_filter=names, device="meta")
    assert there["pattern", 1].device.type == "meta"
    _, here = model.run_with_cache(tokens, names_filter=names, pos_slice=slice(0, 2))
    moved = here.to("meta")
    assert moved["pattern", 1].device.type == "meta"
    assert moved["pattern", 1].shape == (2, 4, 2, 7)
    assert here["pattern", 1].device.type == "cpu"


def test_materialized_activations_outlive_the_weights() -> None:
    model = build("decoder")
    tokens = example(model.cfg)["tokens"]
    _, cache = model.run_with_cache(tokens)
    pattern, mid = cache["pattern", 1].clone(), cache["resid_mid", 2].clone()
    assert cache.materialize(["pattern1", "resid_mid2", "result0"]) is cache
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    assert torch.equal(cache["pattern", 1], pattern)
    assert torch.equal(cache["resid_mid", 2], mid)
    assert cache["result", 0].shape == (2, 7, 4, 16)
    with pytest.raises(CacheError, match="weights have changed"):
        cache["pattern", 0]
    _, cache = model.run_with_cache(tokens)
    everything = dict(cache.materialize())
    model.embed.weight.data.zero_()
    assert all(torch.equal(cache[name], value) for name, value in everything.items())


def test_a_materialized_value_is_a_copy(cache: ActivationCache) -> None:
    """Writing into it does not reach the streams that the cache replays from."""
    cache.materialize("resid_pre1")["resid_pre", 1].zero_()
    assert cache["blocks.1.hook_attn_out"].isfinite().all()
    assert cache["blocks.1.hook_resid_mid"].any()
