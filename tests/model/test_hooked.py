"""run_with_hooks, hooks() and run_with_cache as their callers know them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from interp.errors import HookError, InputError, InterpError
from interp.model.ambient import ambient_tap
from interp.model.hook_points import HookPoint
from interp.model.tap import NO_TAP, Finished, Record, chain
from interp.model.transformer import HookedTransformer
from tests.model.configurations import EVERY, build, example, shared_model
from tests.model.taps import Noise, Put

POINT = "blocks.1.hook_resid_mid"


@pytest.fixture(scope="module")
def model() -> HookedTransformer:
    return shared_model("decoder")


@pytest.fixture(scope="module")
def tokens(model: HookedTransformer) -> Tensor:
    return example(model.cfg)["tokens"]


def double(value: Tensor, hook: HookPoint) -> Tensor:
    return value * 2


@pytest.mark.parametrize("name", [POINT, "resid_mid1", lambda n: n == POINT, [POINT]])
def test_a_hook_is_named_in_any_of_the_known_ways(
    model: HookedTransformer, tokens: Tensor, name: Any
) -> None:
    value = model.run_with_cache(tokens)[1][POINT]
    expected = model(tokens, tap=Put({POINT: value * 2}))
    assert torch.equal(model.run_with_hooks(tokens, fwd_hooks=[(name, double)]), expected)


def test_hooks_of_the_caller_and_a_tap_work_together(
    model: HookedTransformer, tokens: Tensor
) -> None:
    record = Record([POINT])
    model.run_with_hooks(tokens, fwd_hooks=[(POINT, double)], tap=record)
    value = model.run_with_cache(tokens)[1][POINT]
    assert torch.equal(record.values[POINT], value * 2)


def test_a_tap_that_ends_the_forward_says_so(model: HookedTransformer, tokens: Tensor) -> None:
    """No result is made up, and a cache that would lack what was asked for is not handed out."""
    record = Record([POINT], stop=True)
    with pytest.raises(InterpError, match="has no result"):
        model(tokens, tap=record)
    later = "blocks.1.hook_resid_post"
    for names in (later, [POINT, later]):
        for return_type in (None, "logits"):
            with pytest.raises(Finished) as raised:
                model.run_with_cache(
                    tokens, names_filter=names, return_type=return_type, tap=record
                )
            assert raised.value.tap is record
    assert torch.equal(record.values[POINT], model.run_with_cache(tokens)[1][POINT])


def test_no_hooks_are_no_tap(model: HookedTransformer, tokens: Tensor) -> None:
    assert model.hooks_tap() is NO_TAP
    assert torch.equal(model.run_with_hooks(tokens), model(tokens))


def test_inside_the_context_every_forward_is_hooked(
    model: HookedTransformer, tokens: Tensor
) -> None:
    plain = model(tokens)
    expected = model.run_with_hooks(tokens, fwd_hooks=[(POINT, double)])
    assert not torch.equal(plain, expected)
    with model.hooks(fwd_hooks=[(POINT, double)]) as hooked:
        assert hooked is model
        assert torch.equal(model(tokens), expected)
        assert torch.equal(model.run_with_hooks(tokens), expected)
        logits, cache = model.run_with_cache(tokens)
        assert torch.equal(logits, expected)
        with model.hooks(fwd_hooks=[(POINT, double)]):
            twice = model.run_with_hooks(tokens)
        assert torch.equal(model(tokens), expected)
    assert torch.equal(model(tokens), plain)
    assert ambient_tap(model) is NO_TAP
    value = model.run_with_cache(tokens)[1][POINT]
    assert torch.equal(cache[POINT], value * 2)
    assert torch.equal(twice, model(tokens, tap=Put({POINT: value * 4})))


def test_a_context_hooks_its_own_model_only(model: HookedTransformer, tokens: Tensor) -> None:
    other = build("decoder")
    plain = other(tokens)
    with model.hooks(fwd_hooks=[(POINT, double)]):
        assert torch.equal(other(tokens), plain)


def test_a_resumed_forward_is_hooked_too(model: HookedTransformer, tokens: Tensor) -> None:
    _, cache = model.run_with_cache(tokens)
    with model.hooks(fwd_hooks=[(POINT, double)]):
        hooked = model(tokens)
        assert torch.equal(model.resume(cache, 1), hooked)
    assert torch.equal(model.resume(cache, 1), model(tokens))


def test_a_cache_stays_that_of_its_own_run(model: HookedTransformer, tokens: Tensor) -> None:
    _, cache = model.run_with_cache(tokens)
    with model.hooks(fwd_hooks=[(POINT, double)]):
        inside = cache[POINT].clone()
    assert torch.equal(inside, model.run_with_cache(tokens)[1][POINT])


@EVERY
def test_the_cache_of_an_edited_run_shows_the_edited_run(name: str) -> None:
    model = shared_model(name)
    inputs = example(model.cfg)
    point = f"{model.last_stack}.1.hook_attn_out"
    logits, cache = model.run_with_cache(**inputs, tap=Noise(point))
    assert torch.equal(logits, model(**inputs, tap=Noise(point)))
    record = Record(model.hook_points)
    model(**inputs, tap=chain(Noise(point), record))
    for other in cache:
        assert torch.equal(cache[other], record.values[other])


@pytest.mark.parametrize(
    ("names", "blocks"),
    [
        ("blocks.1.hook_resid_post", 2),
        ("hook_embed", 0),
        (["blocks.0.attn.hook_pattern", "hook_pos_embed"], 0),
        (["blocks.0.hook_resid_post", "blocks.2.hook_resid_pre"], 2),
        (lambda name: name.endswith("hook_resid_pre"), 2),
    ],
)
def test_a_filtered_run_ends_after_the_last_name(
    model: HookedTransformer, tokens: Tensor, names: Any, blocks: int
) -> None:
    """Counts the blocks that were run to their end."""
    ended: list[str] = []
    counter = Record([f"blocks.{i}.hook_resid_post" for i in range(3)])
    counter.keep = lambda name, value: ended.append(name) or value  # type: ignore[func-returns-value]
    out, cache = model.run_with_cache(tokens, names_filter=names, tap=counter)
    assert out is None
    assert len(ended) == blocks
    record = Record(list(cache))
    model(tokens, tap=record)
    for name in cache:
        assert torch.equal(cache[name], record.values[name])


def test_a_filtered_run_goes_on_when_its_result_is_wanted(
    model: HookedTransformer, tokens: Tensor
) -> None:
    logits, cache = model.run_with_cache(tokens, names_filter="hook_embed", return_type="logits")
    assert torch.equal(logits, model(tokens))
    assert list(cache) == ["hook_embed"]
    loss, _ = model.run_with_cache(tokens, names_filter="hook_embed", return_type="loss")
    assert torch.equal(loss, model(tokens, return_type="loss"))


def test_nothing_asked_for_is_nothing_kept(model: HookedTransformer, tokens: Tensor) -> None:
    _, cache = model.run_with_cache(tokens, names_filter=[])
    assert len(cache) == 0


@pytest.mark.parametrize("return_type", ["logits", "loss", "both", None])
def test_the_first_result_is_that_of_forward(
    model: HookedTransformer, tokens: Tensor, return_type: str | None
) -> None:
    out, _ = model.run_with_cache(tokens, return_type=return_type)
    expected = model(tokens, return_type=return_type)
    for a, b in zip(_tuple(out), _tuple(expected), strict=True):
        assert a is b is None or torch.equal(a, b)


def _tuple(out: Any) -> tuple[Any, ...]:
    return out if isinstance(out, tuple) else (out,)


def test_a_run_from_between_is_kept_as_it_is(model: HookedTransformer, tokens: Tensor) -> None:
    full = model.run_with_cache(tokens)[1]
    stream = model(tokens, stop_at_layer=1)
    _, cache = model.run_with_cache(stream, start_at_layer=1)
    assert "hook_embed" not in cache
    assert torch.equal(cache["blocks.2.hook_resid_post"], full["blocks.2.hook_resid_post"])
    out, cache = model.run_with_cache(tokens, stop_at_layer=1)
    assert torch.equal(out, stream)
    assert "blocks.0.hook_resid_post" in cache
    assert "blocks.1.hook_resid_pre" not in cache


def test_random_forwards_are_kept_as_they_were() -> None:
    model = build("decoder", dropout=0.4).train()
    tokens = example(model.cfg)["tokens"]
    logits, cache = model.run_with_cache(tokens)
    out = model.ln_final(cache["blocks.2.hook_resid_post"])
    assert torch.allclose(model.output(out), logits, atol=1e-5)


def test_a_plain_dict_on_request(model: HookedTransformer, tokens: Tensor) -> None:
    _, cache = model.run_with_cache(tokens, return_cache_object=False, names_filter="pattern0")
    assert type(cache) is dict
    assert list(cache) == ["blocks.0.attn.hook_pattern"]


def test_what_is_no_hook_is_refused(model: HookedTransformer, tokens: Tensor) -> None:
    with pytest.raises(InputError, match="must be a function"):
        model.run_with_hooks(tokens, fwd_hooks=[(POINT, torch.ones(1))])
    with pytest.raises(HookError, match=r"Nearest: .*blocks\.1\.hook_resid_mid"):
        model.run_with_hooks(tokens, fwd_hooks=[("blocks.1.hook_residmid", double)])
    with pytest.raises(HookError, match="matches no hook point"):
        model.run_with_hooks(tokens, bwd_hooks=[(lambda name: "resid_middle" in name, double)])
    with pytest.raises(HookError), model.hooks(fwd_hooks=[("blocks.9.hook_resid_mid", double)]):
        pass
    with pytest.raises(HookError, match="layers 0 to 2"):
        model.run_with_cache(tokens, names_filter=["hook_embed", "blocks.3.hook_resid_pre"])
