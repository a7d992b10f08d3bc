"""Forwards of a part of the model: which points they compute, and who they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from interp.errors import HookError
from interp.model.hook_points import HookPoint
from interp.model.partial import computed_points
from interp.model.tap import Record, Tap
from interp.model.transformer import HookedTransformer
from tests.model.configurations import EVERY, example, shared_model
from tests.model.taps import Journal, Noise

EARLY, LATE = "blocks.0.hook_resid_mid", "blocks.2.hook_resid_mid"


@pytest.fixture(scope="module")
def model() -> HookedTransformer:
    return shared_model("decoder")


@pytest.fixture(scope="module")
def tokens(model: HookedTransformer) -> Tensor:
    return example(model.cfg)["tokens"]


def seen(run: Callable[..., object], **part: Any) -> list[str]:
    journal = Journal()
    run(tap=journal, **part)
    return [name for name, _ in journal.entries]


def double(value: Tensor, hook: HookPoint) -> Tensor:
    return value * 2


@EVERY
def test_the_points_of_a_part_are_those_that_come_by(name: str) -> None:
    model = shared_model(name)
    inputs = example(model.cfg)
    n_layers = len(model.stack(model.last_stack).blocks)
    for stop in (None, 0, 1, -1, n_layers):
        fired = seen(lambda **part: model(**inputs, **part), stop_at_layer=stop)
        assert fired == list(computed_points(model, stop=stop))
    if model.cfg.shape != "encoder_decoder":
        stream = model(**inputs, stop_at_layer=1)
        for start, stop in ((0, None), (1, 2), (2, None), (n_layers, None), (1, 1)):
            part = {"start_at_layer": start, "stop_at_layer": stop}
            fired = seen(lambda stream=stream, **part: model(stream, **part), **part)
            assert fired == list(computed_points(model, start, stop))


@EVERY
def test_the_points_of_a_resumed_forward_are_those_that_come_by(name: str) -> None:
    model = shared_model(name)
    _, cache = model.run_with_cache(**example(model.cfg))
    for stack in model.stack_names():
        for layer, stop in ((0, None), (1, None), (1, 2)):
            fired = seen(
                lambda layer=layer, stack=stack, **part: model.resume(
                    cache, layer, stack=stack, **part
                ),
                stop_at_layer=stop,
            )
            assert fired == list(computed_points(model, layer, stop, stack))


@pytest.mark.parametrize("point", [LATE, "resid_mid2", ["resid_mid0", LATE], "ln_final.hook_scale"])
def test_a_hook_by_name_on_what_is_left_out_is_refused(
    model: HookedTransformer, tokens: Tensor, point: Any
) -> None:
    message = r"(blocks\.2\.hook_resid_mid|ln_final\.hook_scale).*stops before layer 1"
    for hooks in ({"fwd_hooks": [(point, double)]}, {"bwd_hooks": [(point, double)]}):
        with pytest.raises(HookError, match=message):
            model.run_with_hooks(tokens, stop_at_layer=1, **hooks)
        with model.hooks(**hooks):
            with pytest.raises(HookError, match=message):
                model(tokens, stop_at_layer=1)
            model(tokens.clone(), stop_at_layer=None) if "fwd_hooks" in hooks else None
    for options in ({}, {"incl_bwd": True, "return_type": "loss"}, {"return_type": "logits"}):
        with pytest.raises(HookError, match=message):
            model.run_with_cache(tokens, names_filter=point, stop_at_layer=1, **options)


@pytest.mark.parametrize("tap", [Noise(EARLY), Record([EARLY, LATE])])
def test_a_tap_on_what_lies_before_the_start_is_refused(
    model: HookedTransformer, tokens: Tensor, tap: Tap
) -> None:
    stream = model(tokens, stop_at_layer=1)
    with pytest.raises(HookError, match=r"blocks\.0\.hook_resid_mid.*starts at layer 1"):
        model(stream, start_at_layer=1, tap=tap)
    _, cache = model.run_with_cache(tokens)
    with pytest.raises(HookError, match=r"starts at layer 1 and stops before layer 2"):
        model.resume(cache, 1, stop_at_layer=2, tap=tap)
    with model.hooks(fwd_hooks=[(EARLY, double)]), pytest.raises(HookError, match="starts at"):
        model.resume(cache, 1)


def test_a_predicate_keeps_to_what_is_computed(model: HookedTransformer, tokens: Tensor) -> None:
    hooks = [(lambda name: name.endswith("resid_mid"), double)]
    stopped = model.run_with_hooks(tokens, fwd_hooks=hooks, stop_at_layer=1)
    assert torch.equal(stopped, model.run_with_hooks(tokens, fwd_hooks=hooks[:1], stop_at_layer=1))
    assert not torch.equal(stopped, model(tokens, stop_at_layer=1))
    out, cache = model.run_with_cache(tokens, names_filter=hooks[0][0], stop_at_layer=2)
    assert out is None
    assert list(cache) == ["blocks.0.hook_resid_mid", "blocks.1.hook_resid_mid"]
    with pytest.raises(HookError, match="matches no hook point"):
        model.run_with_cache(tokens, names_filter=lambda name: name == LATE, stop_at_layer=1)


def test_a_name_within_the_part_is_not_refused(model: HookedTransformer, tokens: Tensor) -> None:
    full = model.run_with_cache(tokens)[1]
    _, cache = model.run_with_cache(tokens, names_filter=EARLY, stop_at_layer=1)
    assert torch.equal(cache[EARLY], full[EARLY])
    stream = full["resid_pre", 1]
    _, cache = model.run_with_cache(stream, names_filter=LATE, start_at_layer=1)
    assert torch.equal(cache[LATE], full[LATE])


def test_the_name_of_a_hook_counts_even_if_a_predicate_matches_it_too(
    model: HookedTransformer, tokens: Tensor
) -> None:
    both = [(lambda name: name == LATE, double), (LATE, double)]
    for hooks in (both, both[::-1]):
        with pytest.raises(HookError, match="stops before"):
            model.run_with_hooks(tokens, fwd_hooks=hooks, stop_at_layer=1)
