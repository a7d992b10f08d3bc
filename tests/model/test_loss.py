"""The loss of the next token: probabilities by hand, padding, and what has none."""

from __future__ import annotations

import math

import pytest
import torch

from interp.errors import InputError
from interp.model.transformer import HookedTransformer
from tests.model.configurations import CONFIGURATIONS, build, example, shared_model

DECODES = pytest.mark.parametrize(
    "name", ["decoder", "decoder-gemma", "decoder-tied-scaled", "pair-original", "pair-t5"]
)


@DECODES
def test_it_is_the_mean_surprise_of_the_next_token(name: str) -> None:
    model = shared_model(name)
    inputs = example(model.cfg)
    logits, loss = model(**inputs, return_type="both")
    assert torch.equal(logits, model(**inputs))
    tokens = inputs.get("decoder_tokens", inputs["tokens"])
    surprises = [
        [-math.log(float(row[i].softmax(-1)[ids[i + 1]])) for i in range(len(ids) - 1)]
        for row, ids in zip(logits.double(), tokens, strict=True)
    ]
    by_hand = torch.tensor(surprises)
    assert loss.item() == pytest.approx(by_hand.mean().item(), abs=1e-5)
    each = model(**inputs, return_type="loss", loss_per_token=True)
    assert torch.allclose(each, by_hand, atol=1e-5)
    assert model(**inputs, return_type=None) is None


@DECODES
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_counts_for_nothing(name: str, side: str) -> None:
    model = shared_model(name)
    inputs = example(model.cfg)
    target = "decoder_tokens" if "decoder_tokens" in inputs else "tokens"
    mask_name = "decoder_attention_mask" if target == "decoder_tokens" else "attention_mask"
    mask = torch.ones_like(inputs[target])
    hidden = slice(0, 3) if side == "left" else slice(-3, None)
    mask[0, hidden] = 0
    each = model(**inputs, **{mask_name: mask}, return_type="loss", loss_per_token=True)
    real = mask[:, 1:].bool() & mask[:, :-1].bool()
    assert not each[~real].any()
    assert each[real].all()
    loss = model(**inputs, **{mask_name: mask}, return_type="loss")
    assert torch.allclose(loss, each.sum() / real.sum())
    kept = slice(3, None) if side == "left" else slice(0, -3)
    alone = {key: value[:1] for key, value in inputs.items()}
    alone[target] = alone[target][:, kept]
    expected = model(**alone, return_type="loss", loss_per_token=True)
    assert torch.allclose(each[0][real[0]], expected[0], atol=2e-5)


def test_a_uniform_model_is_surprised_by_the_size_of_its_vocabulary() -> None:
    model = HookedTransformer(CONFIGURATIONS["decoder"].replace(initializer_range=0.0))
    loss = model(example(model.cfg)["tokens"], return_type="loss")
    assert loss.item() == pytest.approx(math.log(29), abs=1e-6)


def test_it_is_summed_in_single_precision() -> None:
    model = build("decoder").bfloat16()
    assert model(example(model.cfg)["tokens"], return_type="loss").dtype == torch.float32


@pytest.mark.parametrize("name", ["encoder-bert", "encoder-span", "decoder-classification"])
def test_other_heads_have_no_next_token(name: str) -> None:
    model = shared_model(name)
    with pytest.raises(InputError, match="has no next-token loss"):
        model(**example(model.cfg), return_type="loss")


def test_embeddings_alone_have_no_next_token() -> None:
    model = shared_model("decoder")
    with pytest.raises(InputError, match="next-token loss"):
        model(inputs_embeds=torch.zeros(1, 3, 16), return_type="loss")


def test_there_must_be_something_to_predict() -> None:
    model = shared_model("decoder")
    with pytest.raises(InputError, match="at least two tokens"):
        model(torch.tensor([[1]]), return_type="loss")
    mask = torch.tensor([[1, 0], [0, 1]])
    with pytest.raises(InputError, match="at least two tokens"):
        model(torch.tensor([[1, 2], [3, 4]]), attention_mask=mask, return_type="loss")
