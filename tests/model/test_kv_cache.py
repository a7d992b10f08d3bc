"""A forward in pieces, with a key-value cache, is the forward of the whole."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from interp.errors import CacheError, InputError
from interp.model.kv_cache import KeyValueCache, LayerMemory
from interp.model.transformer import HookedTransformer
from tests.model.configurations import CONFIGURATIONS, example, shared_model
from tests.model.taps import Noise

WRITERS = [name for name, cfg in CONFIGURATIONS.items() if cfg.head == "lm"]
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def pieces(
    model: HookedTransformer,
    inputs: dict[str, Tensor],
    cuts: list[int],
    masks: dict[str, Tensor] | None = None,
) -> Tensor:
    """Logits of a forward that is given its (target) tokens between `cuts`, one piece a call."""
    masks = masks or {}
    grows = "decoder_tokens" if "decoder_tokens" in inputs else "tokens"
    cache = model.new_kv_cache()
    ends = [*cuts, inputs[grows].shape[1]]
    logits = []
    for start, end in zip([0, *cuts], ends, strict=True):
        call: dict[str, Any] = {**inputs, grows: inputs[grows][:, start:end]}
        for name, mask in masks.items():
            whole = grows == "decoder_tokens" and name == "attention_mask"  # the source's
            call[name] = mask if whole else mask[:, start:end]
        logits.append(model(**call, past_kv_cache=cache))
    return torch.cat(logits, 1)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("cuts", [[1], [4], [3, 4], [1, 2, 3, 4, 5]])
def test_pieces_equal_the_whole(name: str, cuts: list[int]) -> None:
    model = shared_model(name)
    inputs = example(model.cfg)
    torch.testing.assert_close(pieces(model, inputs, cuts), model(**inputs), **CLOSE)


@pytest.mark.parametrize("name", WRITERS)
def test_pieces_equal_the_whole_where_rows_are_padded(name: str) -> None:
    model = shared_model(name)
    inputs = example(model.cfg, batch=3, pos=9)
    masks = {"attention_mask": torch.ones(3, 9, dtype=torch.long)}
    masks["attention_mask"][1, :2] = 0
    masks["attention_mask"][2, 6:] = 0
    real = masks["attention_mask"].bool()
    if "decoder_tokens" in inputs:
        real = torch.ones(3, 8, dtype=torch.bool)
        real[0, :1] = False
        masks["decoder_attention_mask"] = real.long()
    found = pieces(model, inputs, [3, 5], masks)
    torch.testing.assert_close(found[real], model(**inputs, **masks)[real], **CLOSE)


@settings(max_examples=20)
@given(
    cuts=st.sets(st.integers(1, 11), min_size=1).map(sorted),
    padding=st.lists(st.integers(0, 2), min_size=3, max_size=3),
)
def test_any_cuts_and_any_padding(cuts: list[int], padding: list[int]) -> None:
    model = shared_model("decoder-gemma")
    inputs = example(model.cfg, batch=3, pos=12)
    cuts = [cut for cut in cuts if cut > 2] or [6]  # a piece without a real token is refused
    mask = torch.ones(3, 12, dtype=torch.long)
    for row, n in enumerate(padding):
        mask[row, :n] = 0
    found = pieces(model, inputs, cuts, {"attention_mask": mask})
    expected = model(**inputs, attention_mask=mask)
    torch.testing.assert_close(found[mask.bool()], expected[mask.bool()], **CLOSE)


def test_a_mask_may_come_late() -> None:
    model = shared_model("decoder")
    inputs = example(model.cfg)
    cache = model.new_kv_cache()
    first = model(inputs["tokens"][:, :4], past_kv_cache=cache)
    late = torch.tensor([[1, 1, 1], [1, 1, 0]])
    second = model(inputs["tokens"][:, 4:], attention_mask=late, past_kv_cache=cache)
    assert cache.mask is not None
    assert cache.mask.tolist() == [[True] * 7, [True] * 6 + [False]]
    assert cache.next_position().tolist() == [[7], [6]]
    expected = model(**inputs)
    found = torch.cat([first, second], 1)
    torch.testing.assert_close(found[0], expected[0], **CLOSE)
    torch.testing.assert_close(found[1, :6], expected[1, :6], **CLOSE)


@pytest.mark.parametrize("name", ["decoder-grouped", "pair-t5"])
def test_rows_may_be_reordered_and_repeated(name: str) -> None:
    model = shared_model(name)
    inputs = example(model.cfg, batch=3)
    grows = "decoder_tokens" if "decoder_tokens" in inputs else "tokens"
    rows = torch.tensor([2, 0, 0, 1, 2])
    cache = model.new_kv_cache()
    model(**{**inputs, grows: inputs[grows][:, :4]}, past_kv_cache=cache)
    cache.reorder(rows)
    swapped = {key: value[rows] for key, value in inputs.items()}
    found = model(**{**swapped, grows: swapped[grows][:, 4:]}, past_kv_cache=cache)
    torch.testing.assert_close(found, model(**swapped)[:, 4:], **CLOSE)
    back = torch.tensor([4, 3, 1, 2, 0])  # as many rows as before: in place
    cache.reorder(back)
    assert cache.batch == 5
    k = cache.layers[0].k
    assert k is not None
    torch.testing.assert_close(k[0, :4], k[4, :4])


def test_adding_a_position_copies_no_other() -> None:
    memory = LayerMemory(6)
    first, _ = memory.extend(torch.ones(2, 3, 1, 4), torch.ones(2, 3, 1, 4))
    second, _ = memory.extend(torch.zeros(2, 1, 1, 4), torch.zeros(2, 1, 1, 4))
    assert first.data_ptr() == second.data_ptr()
    assert second.shape == (2, 4, 1, 4)


def test_an_edit_of_keys_stays_in_the_cache() -> None:
    """What a tap puts into an earlier piece is what later pieces attend to."""
    model = shared_model("decoder-rotary")
    tokens = example(model.cfg)["tokens"]
    tap = Noise("blocks.1.hook_resid_pre")
    cache = model.new_kv_cache()
    edited = model(tokens[:, :4], tap=tap, past_kv_cache=cache)
    after = model(tokens[:, 4:], past_kv_cache=cache)
    assert (edited - model(tokens[:, :4])).abs().max() > 1e-2
    assert (after - model(tokens)[:, 4:]).abs().max() > 1e-3


def test_the_source_is_read_once() -> None:
    model = shared_model("pair-original")
    inputs = example(model.cfg)
    cache = model.new_kv_cache()
    model(**{**inputs, "decoder_tokens": inputs["decoder_tokens"][:, :2]}, past_kv_cache=cache)
    names: list[str] = []

    class Note(Noise):
        def wants(self, name: str) -> bool:
            names.append(name)
            return False

    model(
        **{**inputs, "decoder_tokens": inputs["decoder_tokens"][:, 2:]},
        past_kv_cache=cache,
        tap=Note("none"),
    )
    assert names
    assert not any(name.startswith("encoder") for name in names)


def test_a_new_cache_fits_the_model() -> None:
    pair = shared_model("pair-original")
    cache = pair.new_kv_cache()
    assert len(cache.layers) == pair.cfg.n_decoder_layers != pair.cfg.n_layers
    assert cache.n_max == pair.cfg.n_ctx
    decoder = shared_model("decoder")
    assert len(decoder.new_kv_cache(5).layers) == decoder.cfg.n_layers
    assert decoder.new_kv_cache(5).n_max == 5


def test_refuses_more_than_fits_and_stays_usable() -> None:
    model = shared_model("decoder")
    tokens = example(model.cfg)["tokens"]
    cache = model.new_kv_cache(5)
    model(tokens[:, :4], past_kv_cache=cache)
    with pytest.raises(InputError, match="holds 5 positions and 7"):
        model(tokens[:, 4:], past_kv_cache=cache)
    last = model(tokens[:, 4:5], past_kv_cache=cache)
    torch.testing.assert_close(last, model(tokens)[:, 4:5], **CLOSE)


def test_refuses_another_batch() -> None:
    model = shared_model("decoder")
    tokens = example(model.cfg)["tokens"]
    cache = model.new_kv_cache()
    model(tokens[:, :4], past_kv_cache=cache)
    with pytest.raises(InputError, match="batch of 2 and the new tokens are a batch of 1"):
        model(tokens[:1, 4:], past_kv_cache=cache)


def test_refuses_to_go_on_where_a_forward_ended_early() -> None:
    model = shared_model("decoder")
    tokens = example(model.cfg)["tokens"]

    def fail(value: Tensor, hook: Any) -> None:
        raise ZeroDivisionError

    cache = model.new_kv_cache()
    with pytest.raises(ZeroDivisionError), model.hooks([("blocks.1.hook_resid_pre", fail)]):
        model(tokens, past_kv_cache=cache)
    with pytest.raises(CacheError, match="new cache"):
        model(tokens, past_kv_cache=cache)

    cache = model.new_kv_cache()
    model(tokens, past_kv_cache=cache, stop_at_layer=2)
    with pytest.raises(CacheError, match="new cache"):
        model(tokens, past_kv_cache=cache)


def test_the_context_counts_what_is_in_the_cache() -> None:
    model = shared_model("decoder")
    n_ctx = model.cfg.n_ctx
    cache = KeyValueCache.for_model(model.cfg, 2 * n_ctx)
    model(torch.zeros(1, n_ctx, dtype=torch.long), past_kv_cache=cache)
    with pytest.raises(InputError, match="context"):
        model(torch.zeros(1, 1, dtype=torch.long), past_kv_cache=cache)


@pytest.mark.parametrize("name", WRITERS)
def test_a_fork_goes_on_as_its_rows_and_leaves_the_trunk_as_it_was(name: str) -> None:
    model = shared_model(name)
    inputs = example(model.cfg, batch=3, pos=6)
    grows = "decoder_tokens" if "decoder_tokens" in inputs else "tokens"
    mask = {"attention_mask": torch.ones(3, 4, dtype=torch.long)} if grows == "tokens" else {}
    for m in mask.values():
        m[1, 0] = 0  # of the tokens before the fork
    trunk = model.new_kv_cache()
    model(**{**inputs, grows: inputs[grows][:, :4]}, **mask, past_kv_cache=trunk)
    rows = torch.tensor([2, 1, 1, 0])
    branch = trunk.fork(rows)
    assert len(rows) == branch.batch
    after = {**inputs, grows: inputs[grows][rows, 4:]}
    forked = model(**after, past_kv_cache=branch)
    again = model(**{**inputs, grows: inputs[grows][:, 4:]}, past_kv_cache=trunk)
    torch.testing.assert_close(forked, again[rows], **CLOSE)
