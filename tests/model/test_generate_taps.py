"""Taps and hooks while a model writes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from interp.errors import HookError, InterpError
from interp.model.tap import Finished, Record
from tests.model.configurations import build, shared_model
from tests.model.watching import Seen
from tests.model.writers import EACH_WAY, PAIRS, WAYS, by_hand, source


@pytest.mark.parametrize("name", ["decoder", "decoder-window", "pair-t5"])
@EACH_WAY
def test_taps_fire_at_each_step(name: str, way: str) -> None:
    model = shared_model(name)
    stack = "decoder" if name in PAIRS else "blocks"
    tap = Seen(f"{stack}.1.attn.hook_z")
    tokens = source(model)
    with_tap = model.generate(tokens, 6, tap=tap, **WAYS[way])
    rows = 2 * WAYS[way].get("num_beams", 1)
    prompt = 1 if name in PAIRS else 7
    assert [len(z) for z in tap.seen] == [2] + [rows] * 5
    assert [z.shape[1] for z in tap.seen] == [prompt] + [1] * 5
    assert torch.equal(with_tap, model.generate(tokens, 6, **WAYS[way])), "looking changed it"


def test_what_a_tap_saw_is_what_one_forward_computes() -> None:
    """Activations of the generated tokens, without running them again."""
    model = shared_model("decoder-gemma")
    name = "blocks.1.hook_resid_post"
    tap = Seen(name)
    found = model.generate(source(model), 8, do_sample=False, tap=tap)
    _, cache = model.run_with_cache(found[:, :-1])
    torch.testing.assert_close(torch.cat(tap.seen, 1), cache[name], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["decoder", "pair-pre-norm"])
@EACH_WAY
def test_steering_changes_what_is_written_like_hooks_in_forwards(name: str, way: str) -> None:
    model = shared_model(name)
    point = "decoder.1.hook_resid_pre" if name in PAIRS else "blocks.1.hook_resid_pre"
    direction = torch.randn(model.cfg.d_model, generator=torch.Generator().manual_seed(0)) * 30

    def steer(value: Tensor, hook: Any) -> Tensor:
        return value + direction

    tokens = source(model)
    plain = model.generate(tokens, 6, **WAYS[way])
    steered = model.generate(tokens, 6, tap=model.hooks_tap([(point, steer)]), **WAYS[way])
    assert not torch.equal(steered, plain)
    with model.hooks([(point, steer)]):
        ambient = model.generate(tokens, 6, **WAYS[way])
        if way == "greedy":
            assert torch.equal(by_hand(model, tokens, 6), steered)
    assert torch.equal(ambient, steered)
    assert torch.equal(model.generate(tokens, 6, **WAYS[way]), plain), "the hook stayed"


def test_hooks_around_a_stream_act_on_the_steps_inside() -> None:
    model = shared_model("decoder")
    seen: list[torch.Size] = []
    stream = model.generate_stream(source(model), 4, do_sample=False)
    next(stream)
    with model.hooks([("z0", lambda z, hook: seen.append(z.shape))]):
        next(stream)
    next(stream)
    assert len(seen) == 1


def test_gradient_hooks_are_refused() -> None:
    model = build("decoder")
    with pytest.raises(HookError, match="gradient"), model.hooks(bwd_hooks=[("z0", print)]):
        model.generate(source(model), 2)


@pytest.mark.parametrize("way", WAYS)
def test_a_tap_that_ends_a_forward_ends_the_writing(way: str) -> None:
    model = shared_model("decoder")
    point = "blocks.1.hook_resid_post"
    record = Record([point], stop=True)
    with pytest.raises(InterpError, match="has no result"):
        model.generate(source(model), 3, tap=record, **WAYS[way])
    if way != "beams":
        with pytest.raises(Finished):
            next(model.generate_stream(source(model), 3, tap=record, **WAYS[way]))
    assert torch.equal(record.values[point], model.run_with_cache(source(model))[1][point])
