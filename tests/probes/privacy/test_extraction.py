"""What a model writes by itself is extracted from it; a stranger does not write it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from interp.data.records import Pair
from interp.errors import InputError, UnsupportedModelError
from interp.model.transformer import HookedTransformer
from probes.privacy.extraction import edit_distance, extraction
from tests.train.tasks.small import model, sentences


def slow_distance(a: list[int], b: list[int]) -> int:
    if not a or not b:
        return len(a) + len(b)
    least = min(slow_distance(a[1:], b), slow_distance(a, b[1:])) + 1
    return min(least, slow_distance(a[1:], b[1:]) + (a[0] != b[0]))


def test_the_edit_distance_is_that_of_the_definition() -> None:
    random = np.random.default_rng(0)
    a, b = random.integers(0, 3, (2, 12, 5))
    wanted = [slow_distance(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert edit_distance(a, b).tolist() == wanted


def speaker(shape: str = "decoder") -> HookedTransformer:
    """A model whose greedy texts consist of a few words, so that they decode and encode alike."""
    reader = model(shape, unembed_bias=True)
    tokenizer = reader.require_tokenizer()
    spoken = {i for word in (" cat", " sat", " dogs", " yes") for i in tokenizer.encode(word)[:1]}
    with torch.no_grad():
        reader.output.unembed.bias.fill_(-30.0)
        reader.output.unembed.bias[list(spoken)] = 0.0
    return reader


def test_what_a_model_writes_is_extracted_and_a_stranger_writes_otherwise() -> None:
    reader, stranger = speaker(), model(seed=7)
    prompts = sentences(8)
    texts = [reader.generate(p, 12, do_sample=False, stop_at_eos=False) for p in prompts]
    tokenizer = reader.require_tokenizer()
    k = max(len(tokenizer.encode(p)) for p in prompts)
    frame = extraction(reader, texts, prompts=(k,), n=4, reference=stranger)
    found = frame[(frame["metric"] == "extracted") & frame["unit_id"].isna()]
    assert found.set_index("of")["value"].to_dict() == {"model": 1.0, "reference": 0.0}
    near = frame[(frame["metric"] == "edit_similarity") & frame["unit_id"].isna()]
    assert near.set_index("of")["value"]["model"] == 1.0


def test_an_encoder_decoder_writes_the_target_of_a_source() -> None:
    reader = speaker("encoder_decoder")
    sources = sentences(5)
    written = reader.generate(sources, 6, do_sample=False, stop_at_eos=False)
    units = [Pair(s, (w,)) for s, w in zip(sources, written, strict=True)]
    frame = extraction(reader, units, n=3)
    each = frame[(frame["metric"] == "extracted") & frame["unit_id"].notna()]
    assert each["value"].tolist() == [1.0] * 5
    assert set(frame["k"]) == {0}


@torch.no_grad()
def test_all_prompts_ask_for_the_same_tokens_and_their_probability_is_known() -> None:
    reader = model().double()
    tokenizer = reader.require_tokenizer()
    texts = [text for text in sentences(20) if len(tokenizer.encode(text)) >= 6][:4]
    frame = extraction(reader, [*texts, "cat"], prompts=(1, 3), n=2)
    assert set(frame["unit_id"].dropna()) == {0, 1, 2, 3}  # the last is too short
    rows = frame[frame["metric"] == "log2_draws"].set_index(["unit_id", "k"])["value"]
    for unit, text in enumerate(texts):
        ids = tokenizer.encode(text)
        for k in (1, 3):
            whole = [tokenizer.bos_token_id, *ids[3 - k : 5]]
            log_p = reader(torch.tensor([whole]))[0].log_softmax(-1)
            log_q = float(log_p[k, ids[3]] + log_p[k + 1, ids[4]])
            assert rows[unit, k] == pytest.approx(-log_q / math.log(2), abs=1e-9)


def test_shares_are_reported_by_duplicates() -> None:
    frame = extraction(model(), sentences(30), duplicates=[1, 5] * 15, prompts=(1,), n=2)
    whole = frame[(frame["metric"] == "extracted") & frame["unit_id"].isna()]
    each = frame[(frame["metric"] == "extracted") & frame["unit_id"].notna()]
    means = each.groupby("duplicates")["value"].mean()
    assert whole.set_index("duplicates")["value"].to_dict() == pytest.approx(means.to_dict())
    assert whole["n"].sum() == len(each)


def test_discoverable_is_the_chance_of_a_hundred_samples() -> None:
    frame = extraction(speaker(), sentences(30), prompts=(1,), n=1)
    bits = frame[frame["metric"] == "log2_draws"]["value"].to_numpy()
    hits = 1 - (1 - 2.0**-bits) ** 100 >= 0.5
    share = frame[frame["metric"] == "discoverable"]["value"].item()
    assert share == pytest.approx(hits.mean())
    assert 0 < share < 1


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="does not write"):
        extraction(model("encoder"), ["cat"])
    with pytest.raises(InputError, match="do not fit the context of 48"):
        extraction(model(), ["cat"])
    with pytest.raises(InputError, match="None of 1 units has the 8 tokens"):
        extraction(model(), ["cat"], prompts=(5,), n=3)
    with pytest.raises(InputError, match="1 units and 2 numbers"):
        extraction(model(), ["cat"], duplicates=[1, 2], prompts=(1,), n=1)
    with pytest.raises(InputError, match="reads other tokens"):
        extraction(model(), ["cat"], reference=model("encoder_decoder"), prompts=(1,), n=1)
