"""Bad input is refused before anything is computed, with what is wrong and what to do."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from interp.errors import InputError, InterpError
from interp.model.inputs import Inputs, read_inputs
from interp.model.kv_cache import KeyValueCache
from interp.model.transformer import HookedTransformer
from tests.model.configurations import EVERY, build, example, shared_model
from tests.model.taps import Journal

IDS = torch.tensor([[1, 2, 3], [4, 5, 6]])
LONG = torch.zeros(1, 25, dtype=torch.long)
HALF = torch.tensor([[1, 1, 1], [0, 0, 0]])

# Configuration, arguments of `forward`, part of the message.
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("decoder", {"tokens": torch.tensor([[1, 29]])}, "tokens has the id 29; .* ids 0 to 28"),
    ("decoder", {"tokens": torch.tensor([[-1, 2]])}, "tokens has the id -1"),
    ("decoder", {"tokens": torch.zeros(1, 0, dtype=torch.long)}, "tokens is empty"),
    ("decoder", {"tokens": torch.zeros(0, 3, dtype=torch.long)}, "tokens is empty"),
    ("decoder", {"tokens": torch.zeros(0, dtype=torch.long)}, "tokens is empty"),
    ("decoder", {"tokens": LONG}, "The text has 25 tokens; the model's context holds 24"),
    ("decoder", {"tokens": IDS.float()}, r"dtype torch\.float32; it must be int64"),
    ("decoder", {"tokens": IDS.bool()}, r"dtype torch\.bool"),
    ("decoder", {"tokens": IDS.to(torch.uint8)}, r"dtype torch\.uint8"),
    ("decoder", {"tokens": IDS[None]}, r"tokens has shape \[1, 2, 3\]"),
    ("decoder", {}, "tokens is NoneType"),
    ("decoder", {"tokens": 5}, "tokens is int"),
    ("decoder", {"tokens": "Once"}, "has no tokenizer"),
    ("decoder", {"tokens": ["Once", "upon"]}, "has no tokenizer"),
    ("decoder", {"tokens": []}, "list is empty"),
    ("decoder", {"tokens": "Once", "attention_mask": IDS}, "attention mask of texts is made here"),
    ("decoder", {"tokens": IDS, "attention_mask": IDS[:, :2]}, r"shape \[2, 2\]; .* need \[2, 3\]"),
    ("decoder", {"tokens": IDS, "attention_mask": IDS[:1]}, r"shape \[1, 3\]"),
    ("decoder", {"tokens": IDS, "attention_mask": IDS[None]}, r"shape \[1, 2, 3\]"),
    ("decoder", {"tokens": IDS, "attention_mask": [[1, 1, 1]] * 2}, "shape list"),
    ("decoder", {"tokens": IDS, "attention_mask": HALF}, "hides a whole row"),
    ("encoder-bert", {"tokens": IDS, "attention_mask": HALF}, "hides a whole row"),
    ("decoder", {"tokens": IDS, "decoder_tokens": IDS}, "Only an encoder-decoder.*a decoder"),
    ("encoder-bert", {"tokens": IDS, "decoder_attention_mask": IDS}, "Only an encoder-decoder"),
    ("decoder", {"tokens": IDS, "token_type_ids": IDS * 0}, "no segment embedding"),
    ("encoder-bert", {"tokens": IDS, "token_type_ids": IDS[:, :2] * 0}, r"shape \[2, 2\]"),
    ("encoder-bert", {"tokens": IDS, "token_type_ids": 0}, "shape int"),
    ("encoder-bert", {"tokens": IDS, "token_type_ids": IDS}, "token_type_ids has 6; .* 0 to 1"),
    ("decoder", {"tokens": IDS, "position_ids": IDS[:, :2]}, r"position_ids has shape \[2, 2\]"),
    ("decoder", {"tokens": IDS, "position_ids": IDS[0]}, r"position_ids has shape \[3\]"),
    ("decoder", {"tokens": IDS, "position_ids": IDS + 20}, "position_ids has 26; .* 0 to 23"),
    ("decoder-rotary", {"tokens": IDS, "position_ids": IDS - 2}, "position_ids has -1; .* 0 up"),
    ("decoder", {"inputs_embeds": torch.zeros(2, 3, 8)}, r"stream \[batch, pos, 16\].*\[2, 3, 8\]"),
    ("decoder", {"inputs_embeds": torch.zeros(2, 16)}, r"not \[2, 16\]"),
    ("decoder", {"inputs_embeds": torch.zeros(2, 3, 16), "tokens": IDS}, "Both tokens and"),
    ("decoder", {"inputs_embeds": torch.zeros(1, 25, 16)}, "25 tokens"),
    ("decoder", {"tokens": IDS, "return_type": "logit"}, "return_type is 'logit'"),
    ("decoder", {"tokens": IDS, "stop_at_layer": 4}, "stop_at_layer is 4; .* 0 to 2"),
    ("decoder", {"tokens": IDS, "stop_at_layer": -4}, "stop_at_layer is -4"),
    ("decoder", {"tokens": IDS, "start_at_layer": 1}, r"stream \[batch, pos, 16\].*\[2, 3\]"),
    ("decoder", {"tokens": "Once", "start_at_layer": 1}, "no tokenizer"),
    ("decoder", {"tokens": torch.zeros(2, 3, 8), "start_at_layer": 1}, r"not \[2, 3, 8\]"),
    ("decoder", {"tokens": torch.zeros(2, 3, 16), "start_at_layer": 4}, "start_at_layer is 4"),
    (
        "decoder",
        {"tokens": torch.zeros(2, 3, 16), "start_at_layer": 2, "stop_at_layer": 1},
        "lies before layer 2",
    ),
    ("pair-t5", {"tokens": torch.zeros(2, 3, 16), "start_at_layer": 1}, "resume"),
    ("pair-t5", {"tokens": IDS, "decoder_tokens": IDS[:1]}, "1 rows and the source 2"),
    ("pair-t5", {"tokens": IDS, "decoder_tokens": IDS + 26}, "decoder_tokens has the id 32"),
    ("pair-t5", {"tokens": IDS, "decoder_tokens": LONG.expand(2, -1)}, "25 tokens"),
    ("pair-t5", {"tokens": IDS, "decoder_tokens": IDS, "decoder_attention_mask": HALF}, "row"),
    ("pair-t5", {"tokens": IDS, "decoder_tokens": "Es war"}, "no tokenizer"),
    ("pair-t5", {"decoder_tokens": IDS}, "tokens is NoneType"),
]


@pytest.mark.parametrize(("name", "arguments", "message"), BAD)
def test_bad_input_is_refused(name: str, arguments: dict[str, Any], message: str) -> None:
    model = shared_model(name)
    with pytest.raises(InputError, match=message):
        model(**arguments)
    with pytest.raises(InterpError, match=message):
        model.run_with_cache(**arguments)


def test_a_pair_without_a_start_token_needs_decoder_tokens() -> None:
    model = build("pair-t5", decoder_start_token_id=None)
    with pytest.raises(InputError, match="decoder_start_token_id"):
        model(IDS)
    with pytest.raises(InputError, match="decoder_start_token_id"):
        model(IDS, decoder_tokens="Es war")


def test_the_context_counts_what_was_read_before() -> None:
    model = shared_model("decoder")
    past = KeyValueCache(3, 24)
    model(torch.zeros(1, 20, dtype=torch.long), past_kv_cache=past)
    with pytest.raises(InputError, match="25 tokens"):
        model(torch.zeros(1, 5, dtype=torch.long), past_kv_cache=past)


def test_a_pair_begins_with_its_start_token() -> None:
    model = shared_model("pair-t5")
    start = torch.zeros(2, 1, dtype=torch.long)
    assert torch.equal(model(IDS), model(IDS, decoder_tokens=start))


@EVERY
def test_one_text_may_come_without_a_batch(name: str) -> None:
    model = shared_model(name)
    inputs = example(model.cfg, batch=1)
    flat = {**inputs, "tokens": inputs["tokens"][0]}
    assert torch.equal(model(**flat), model(**inputs))


@EVERY
def test_embeddings_in_place_of_tokens(name: str) -> None:
    model = shared_model(name)
    inputs = example(model.cfg)
    embedded = {**inputs, "inputs_embeds": model.embed(inputs.pop("tokens"))}
    del embedded["tokens"]
    assert torch.equal(model(**embedded), model(**example(model.cfg)))


def test_the_names_of_hugging_face_are_known() -> None:
    model = shared_model("encoder-bert")
    inputs = example(model.cfg)
    theirs = {"input_ids": inputs["tokens"], "token_type_ids": inputs["token_type_ids"]}
    assert torch.equal(model(**theirs), model(**inputs))
    pair = shared_model("pair-t5")
    ours = pair(IDS, decoder_tokens=IDS)
    assert torch.equal(pair(input_ids=IDS, decoder_input_ids=IDS), ours)


def test_ids_may_be_short() -> None:
    model = shared_model("decoder")
    assert torch.equal(model(IDS.int()), model(IDS))


def test_masks_of_any_type() -> None:
    model = shared_model("decoder")
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    for dtype in (torch.bool, torch.int32, torch.float32):
        assert torch.equal(
            model(IDS, attention_mask=mask.to(dtype)), model(IDS, attention_mask=mask)
        )


def test_padding_does_not_count_as_a_position() -> None:
    model: HookedTransformer = shared_model("decoder")
    mask = torch.tensor([[0, 0, 1], [1, 1, 0]])
    inputs: Inputs = read_inputs(model, IDS, attention_mask=mask)
    assert inputs.position_ids("blocks").tolist() == [[0, 0, 0], [0, 1, 1]]
    assert read_inputs(model, IDS).position_ids("blocks").tolist() == [[0, 1, 2]]


def test_nothing_is_computed_before_the_refusal() -> None:
    model = shared_model("decoder")
    seen = Journal()
    for name, arguments, _ in BAD:
        if name == "decoder" and not {"return_type", "stop_at_layer", "start_at_layer"} & set(
            arguments
        ):
            with pytest.raises(InputError):
                model(**arguments, tap=seen)
    assert not seen.entries
