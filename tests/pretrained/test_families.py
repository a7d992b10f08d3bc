"""Every family against the transformers library: outputs and every activation both of them have,
in two precisions, padded on either side, there and back."""

from __future__ import annotations

import inspect
from contextlib import nullcontext
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

import interp
from interp.model.transformer import HookedTransformer
from tests.pretrained.hf_models import (
    CASES,
    PAD,
    VOCABULARY,
    Double,
    family,
    make,
    output,
    shared,
)
from tests.pretrained.shared_points import record, spots

EVERY = pytest.mark.parametrize("name", CASES)
BOUND = {torch.float32: 5e-5, torch.float64: 1e-12}


@cache
def ours(name: str, dtype: torch.dtype = torch.float32) -> HookedTransformer:
    return interp.load(shared(name, dtype)).requires_grad_(False)


def example(name: str, padding: str) -> dict[str, Any]:
    """Inputs for both models: a batch of two, the second text padded unless `none`."""
    model, theirs = ours(name), shared(name)
    generator = torch.Generator().manual_seed(5)
    ids = torch.randint(5, VOCABULARY, (2, 9), generator=generator)
    inputs: dict[str, Any] = {"input_ids": ids}
    if padding != "none":
        mask = torch.ones_like(ids)
        mask[1, slice(6, None) if padding == "right" else slice(0, 3)] = 0
        inputs = {"input_ids": ids.masked_fill(mask == 0, PAD), "attention_mask": mask}
        if padding == "left" and "position_ids" in inspect.signature(theirs.forward).parameters:
            positions = (mask.cumsum(1) - 1).clamp(min=0)
            # RoBERTa counts from behind the padding token, and gives that one its own position.
            roberta = positions + PAD + 1
            inputs["position_ids"] = roberta if family(name) == "roberta" else positions
    if model.cfg.n_segments > 1:
        inputs["token_type_ids"] = torch.randint(2, ids.shape, generator=generator)
    if model.cfg.shape == "encoder_decoder":
        inputs["decoder_input_ids"] = torch.randint(5, VOCABULARY, (2, 7), generator=generator)
    return inputs


def real(value: Tensor, inputs: dict[str, Any], stack: str = "") -> Tensor:
    """A value [batch, pos, ...] without its padding positions."""
    mask = inputs.get("attention_mask")
    if mask is None or stack == "decoder" or value.shape[:2] != mask.shape:
        return value
    return value[mask.bool()]


def paddings(name: str) -> list[str]:
    # Marian in the transformers library counts padding on the left as text.
    return ["none", "right"] if family(name) == "marian" else ["none", "right", "left"]


@pytest.mark.parametrize("dtype", BOUND, ids=str)
@EVERY
def test_every_shared_activation(name: str, dtype: torch.dtype, record_property: Any) -> None:
    model, theirs = ours(name, dtype), shared(name, dtype)
    wanted = list(spots(family(name), model))
    worst: dict[str, float] = {}
    for padding in paddings(name):
        inputs = example(name, padding)
        with Double() if dtype == torch.float64 else nullcontext():
            result, values = record(
                theirs,
                wanted,
                model.cfg.n_heads,
                **inputs,
                output_attentions=True,
                output_hidden_states=True,
            )
        position_ids = inputs.pop("position_ids", None)
        assert position_ids is None or padding == "left"  # ours come from the mask
        with torch.no_grad():
            logits, cache = model.run_with_cache(**inputs)
        pairs = {"output": (logits, output(result))}
        pairs |= {spot.point: (cache[spot.point].flatten(2), values[spot.point]) for spot in wanted}
        pairs |= hidden_states(model, cache, result)
        if (
            padding == "left"
            and model.cfg.shape == "encoder"
            and model.cfg.head == "classification"
        ):
            del pairs["output"]  # the library then classifies padding; we, the first real token
        for point, (mine, other) in pairs.items():
            stack = point.split(".")[0]
            if "cross_attn.hook_k" in point or "cross_attn.hook_v" in point:
                stack = "encoder"
            # The library embeds positions once for a batch.
            mine, other = (real(x, inputs, stack) for x in (mine, other.expand_as(mine)))
            worst[f"{padding} {point}"] = float((mine - other).abs().max())
        for point, (mine, other) in attentions(model, cache, result).items():
            side = "" if point.startswith("decoder") else "encoder"
            mine, other = (rows(x, inputs, side) for x in (mine, other))
            worst[f"{padding} {point}"] = float((mine - other).abs().max())
    record_property("largest_difference", max(worst.values()))
    wrong = {point: value for point, value in worst.items() if not value <= BOUND[dtype]}
    assert not wrong


def rows(pattern: Tensor, inputs: dict[str, Any], side: str) -> Tensor:
    """Rows of a pattern [batch, head, query, key] whose query is a real token."""
    mask = inputs.get("attention_mask")
    if mask is None or side != "encoder":
        return pattern
    return pattern.transpose(1, 2)[mask.bool()]


def hidden_states(
    model: HookedTransformer, cache: Any, result: Any
) -> dict[str, tuple[Tensor, Tensor]]:
    """The streams that enter the blocks; the last entry of the library's list is normalised."""
    if model.cfg.shape == "encoder_decoder":
        lists = {
            "encoder": result.encoder_hidden_states,
            "decoder": result.decoder_hidden_states,
        }
    else:
        lists = {"blocks": result.hidden_states}
    return {
        f"{stack}.{i}.hook_resid_pre": (cache[f"{stack}.{i}.hook_resid_pre"], state)
        for stack, states in lists.items()
        for i, state in enumerate(states[:-1])
    }


def attentions(
    model: HookedTransformer, cache: Any, result: Any
) -> dict[str, tuple[Tensor, Tensor]]:
    if model.cfg.shape == "encoder_decoder":
        lists = {
            "encoder.{i}.attn": result.encoder_attentions,
            "decoder.{i}.attn": result.decoder_attentions,
            "decoder.{i}.cross_attn": result.cross_attentions,
        }
    else:
        lists = {"blocks.{i}.attn": result.attentions}
    pairs = {}
    for path, patterns in lists.items():
        for i, pattern in enumerate(patterns):
            point = f"{path.format(i=i)}.hook_pattern"
            pairs[point] = (cache[point], pattern)
    return pairs


@EVERY
def test_every_point_with_a_counterpart_is_compared(name: str) -> None:
    """The comparison covers each block: a table with a slip in a name would compare nothing."""
    model = ours(name)
    points = {spot.point for spot in spots(family(name), model)}
    for stack, n in (("blocks", model.cfg.n_layers), ("encoder", model.cfg.n_layers)):
        if f"{stack}.0.hook_resid_pre" in model.hook_points:
            for i in range(n):
                for leaf in ("attn.hook_q", "attn.hook_k", "attn.hook_v", "attn.hook_z"):
                    assert f"{stack}.{i}.{leaf}" in points
                assert f"{stack}.{i}.mlp.hook_post" in points
    assert len(points) >= 9 * model.cfg.n_layers


@EVERY
def test_the_way_back_is_exact(name: str) -> None:
    theirs = shared(name)
    model = ours(name)
    returned = model.to_hf()
    assert type(returned) is type(theirs)
    before, after = theirs.state_dict(), returned.state_dict()
    for key in sorted(before.keys() | after.keys()):
        if "pooler" in key or "seq_relationship" in key:
            continue  # of a model without a head for it, it is not kept
        mine, other = after[key], before[key]
        if "position_embeddings" in key and family(name) == "roberta":
            mine, other = mine[PAD + 1 :], other[PAD + 1 :]  # no text reaches the first rows
        assert torch.equal(mine, other), key
    inputs = example(name, "right")
    with torch.no_grad():
        difference = output(returned(**inputs)) - model(**inputs)
    assert real(difference, inputs, model.last_stack).abs().max() < 5e-5


@EVERY
def test_the_configuration_survives_the_way_back(name: str) -> None:
    model = ours(name)
    again = interp.load(model.to_hf())
    assert again.cfg.replace(model_name="") == model.cfg.replace(model_name="")


@EVERY
def test_a_written_folder_is_the_same_model_to_both(name: str, tmp_path: Any) -> None:
    import transformers

    model = ours(name)
    model.save_hf(tmp_path)
    theirs = getattr(transformers, CASES[name][0]).from_pretrained(tmp_path).eval()
    mine = interp.load(tmp_path)
    inputs = example(name, "none")
    with torch.no_grad():
        expected = model(**inputs)
        assert (output(theirs(**inputs)) - expected).abs().max() < 5e-5
        assert torch.equal(mine(**inputs), expected)
    assert mine.cfg.replace(model_name="") == model.cfg.replace(model_name="")


@pytest.mark.parametrize("name", ["gpt2", "llama", "bert", "t5"])
def test_loading_copies(name: str) -> None:
    """Training the one does not change the other."""
    theirs = make(name)
    with torch.no_grad():
        before = output(theirs(**example(name, "none")))
        for parameter in interp.load(theirs).parameters():
            parameter.zero_()
        assert torch.equal(output(theirs(**example(name, "none"))), before)


def test_bfloat16_stays_bfloat16() -> None:
    model = interp.load(shared("llama", torch.bfloat16))
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert model.cfg.dtype == torch.bfloat16
    wide = interp.load(shared("llama", torch.bfloat16), dtype=torch.float32)
    theirs = make("llama")
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.copy_(parameter.bfloat16())
        inputs = example("llama", "none")
        assert (wide(**inputs) - theirs(**inputs).logits).abs().max() < 5e-5
