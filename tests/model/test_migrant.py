"""What old notebooks call works, is not needed, or says what to do instead."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import interp
from interp.errors import HookError
from interp.model.transformer import HookedTransformer
from tests.model.configurations import build, example, shared_model


@pytest.mark.parametrize("method", ["add_hook", "add_perma_hook"])
def test_a_hook_that_would_stay_is_refused(method: str) -> None:
    model = shared_model("decoder")
    with pytest.raises(HookError, match=r"with model\.hooks"):
        getattr(model, method)("blocks.0.hook_resid_pre", lambda value, hook: value * 0)


def test_there_is_nothing_to_reset_or_to_switch_on() -> None:
    model = shared_model("decoder")
    inputs = example(model.cfg)
    before = model(**inputs)
    model.reset_hooks(including_permanent=True)
    for name in ("attn_result", "split_qkv_input", "attn_in", "hook_mlp_in"):
        getattr(model, f"set_use_{name}")(True)
    assert torch.equal(model(**inputs), before)
    _, cache = model.run_with_cache(**inputs)
    for name in ("attn.hook_result", "hook_q_input", "hook_attn_in", "hook_mlp_in"):
        assert f"blocks.1.{name}" in cache


def test_the_newer_names_of_head_inputs_mean_the_same() -> None:
    model = shared_model("decoder")
    _, cache = model.run_with_cache(**example(model.cfg))
    for name in ("hook_attn_in", "hook_q_input", "hook_k_input", "hook_v_input"):
        assert torch.equal(cache[f"blocks.1.attn.{name}"], cache[f"blocks.1.{name}"])


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What `interp.load` was asked for; it then opens a tiny model named by `what`."""
    asked: list[Any] = []

    def load(what: str, **options: Any) -> HookedTransformer:
        asked.append((what, options))
        return build("decoder-post-norm" if what == "post" else "decoder")

    monkeypatch.setitem(vars(interp), "load", load)
    return asked


def test_from_pretrained_is_load_and_fold(opened: list[Any]) -> None:
    model = HookedTransformer.from_pretrained("gpt2-small", device="cpu")
    assert opened == [("gpt2", {"device": "cpu"})]
    expected = build("decoder").folded()
    for name, parameter in model.state_dict().items():
        assert torch.equal(parameter, expected.state_dict()[name])
    part = HookedTransformer.from_pretrained("pythia-70m", fold_value_biases=False)
    assert opened[-1] == ("EleutherAI/pythia-70m", {})
    assert part.b_V.any() and not model.b_V.any()


def test_from_pretrained_leaves_alone_what_cannot_be_folded(opened: list[Any]) -> None:
    for model in (
        HookedTransformer.from_pretrained("post"),
        HookedTransformer.from_pretrained_no_processing("some-decoder"),
    ):
        as_loaded = build("decoder-post-norm" if not model.ln_final else "decoder")
        for name, parameter in model.state_dict().items():
            assert torch.equal(parameter, as_loaded.state_dict()[name])
