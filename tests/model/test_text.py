"""Strings to tokens and back, on a tokenizer of bytes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.errors import InputError
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.tokenizer import Tokenizer
from tests.model.configurations import shared_model
from tests.model.texts import BOS, EOS, PAD, byte_tokenizer


def speaking(tokenizer: Tokenizer | None = None, **changes: Any) -> HookedTransformer:
    base = {"d_model": 16, "n_layers": 1, "n_heads": 2, "d_vocab": 259, "n_ctx": 32}
    cfg = TransformerConfig(**{**base, "initializer_range": 0.3, **changes})
    return HookedTransformer(cfg, byte_tokenizer() if tokenizer is None else tokenizer).eval()


def templated() -> Tokenizer:
    """As an encoder's: every text between <bos> and <eos>."""
    from tokenizers.processors import TemplateProcessing

    tokenizer = byte_tokenizer()
    tokenizer.backend.post_processor = TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", BOS), ("<eos>", EOS)]
    )
    return tokenizer


MODEL = speaking()


@given(text=st.text(min_size=1, max_size=8), bos=st.sampled_from([None, True, False]))
def test_there_and_back(text: str, bos: bool | None) -> None:
    tokens = MODEL.to_tokens(text, prepend_bos=bos, truncate=False)
    ids = list(text.encode())
    assert tokens.tolist() == [[*([] if bos is False else [BOS]), *ids]]
    assert MODEL.to_string(ids) == text
    assert MODEL.to_string(torch.tensor(ids)) == text
    assert MODEL.to_string(torch.tensor([ids, ids])) == [text, text]
    pieces = MODEL.to_str_tokens(text, prepend_bos=False)
    assert len(pieces) == len(ids)
    if text.isascii():
        assert "".join(pieces) == text


@given(texts=st.lists(st.text("abcdef ", min_size=1, max_size=9), min_size=1, max_size=4))
def test_a_batch_of_texts_is_each_text(texts: list[str]) -> None:
    alone = [MODEL(text)[0] for text in texts]
    for side in ("right", "left"):
        tokens, mask = MODEL.to_tokens_and_mask(texts, padding_side=side)
        logits = MODEL(texts, padding_side=side)
        for i, text in enumerate(texts):
            real = torch.ones_like(tokens[i]).bool() if mask is None else mask[i]
            assert tokens[i][real].tolist() == [BOS, *text.encode()]
            assert set(tokens[i][~real].tolist()) <= {PAD}
            assert torch.allclose(logits[i][real], alone[i], atol=2e-5)
        assert (mask is None) == (len({len(text) for text in texts}) == 1)
        assert torch.equal(MODEL.to_tokens(texts, padding_side=side), tokens)


def test_the_side_of_padding_is_the_tokenizers() -> None:
    model = speaking(byte_tokenizer("left"))
    assert model.to_tokens(["a", "bcd"])[0].tolist() == [PAD, PAD, BOS, ord("a")]
    assert model.to_tokens(["a", "bcd"], padding_side="right")[0].tolist() == [BOS, 97, PAD, PAD]
    with pytest.raises(InputError, match="padding_side is 'middle'"):
        model.to_tokens("a", padding_side="middle")


def test_padding_without_a_token_of_its_own() -> None:
    tokenizer = byte_tokenizer()
    del tokenizer.special["pad"]
    assert speaking(tokenizer).to_tokens(["a", "bc"])[0].tolist() == [BOS, 97, EOS]
    del tokenizer.special["eos"]
    assert speaking(tokenizer).to_tokens(["a", "bc"])[0].tolist() == [BOS, 97, 0]


def test_the_configuration_says_whether_texts_begin_with_bos() -> None:
    model = speaking(default_prepend_bos=False)
    assert model.to_tokens("a").tolist() == [[97]]
    assert model.to_tokens("a", prepend_bos=True).tolist() == [[BOS, 97]]
    assert torch.equal(model("ab", prepend_bos=True), model(torch.tensor([[BOS, 97, 98]])))
    tokenizer = byte_tokenizer()
    del tokenizer.special["bos"]
    assert speaking(tokenizer).to_tokens("a", prepend_bos=True).tolist() == [[97]]


def test_encoders_use_their_template() -> None:
    model = speaking(templated(), shape="encoder", head="mlm")
    assert model.to_tokens("ab").tolist() == [[BOS, 97, 98, EOS]]
    assert model.to_tokens("ab", prepend_bos=False).tolist() == [[97, 98]]
    assert model.to_str_tokens("ab") == ["<bos>", "a", "b", "<eos>"]


def test_the_target_of_a_pair_stands_behind_its_start_token() -> None:
    model = speaking(templated(), shape="encoder_decoder", decoder_start_token_id=PAD)
    tokens, mask = model.decoder_tokens_and_mask(["ab", "c"])
    assert tokens.tolist() == [[PAD, BOS, 97, 98, EOS], [PAD, BOS, 99, EOS, PAD]]
    assert mask is not None and mask.long().sum(1).tolist() == [5, 4]
    by_ids = model(model.to_tokens("xy"), decoder_tokens=tokens[:1])
    assert torch.equal(model("xy", decoder_tokens="ab"), by_ids)
    assert model(["xy", "x"], decoder_tokens=["ab", "c"]).shape == (2, 5, 259)


def test_truncation_is_for_to_tokens() -> None:
    long = "x" * 40
    assert MODEL.to_tokens(long).shape == (1, 32)
    assert MODEL.to_tokens(long, truncate=False).shape == (1, 41)
    with pytest.raises(InputError, match="41 tokens; the model's context holds 32"):
        MODEL(long)
    assert MODEL.to_tokens("a", move_to_device=False).device.type == "cpu"


@pytest.mark.parametrize("text", ["", ["a", ""]])
def test_a_text_needs_a_token(text: Any) -> None:
    with pytest.raises(InputError, match="'' has no token"):
        MODEL.to_tokens(text, prepend_bos=False)
    with pytest.raises(InputError, match="has no token"):
        MODEL(text, prepend_bos=False)
    assert MODEL.to_tokens(text).shape[0] == (1 if text == "" else 2)  # <bos> is one


def test_no_text_at_all() -> None:
    with pytest.raises(InputError, match="list is empty"):
        MODEL.to_tokens([])
    with pytest.raises(InputError, match="Only text can be encoded, not int"):
        MODEL([1, 2, 3])


def test_tokens_one_by_one() -> None:
    assert MODEL.to_str_tokens("hi") == ["<bos>", "h", "i"]
    assert MODEL.to_str_tokens("hi", prepend_bos=False) == ["h", "i"]
    assert MODEL.to_str_tokens(["hi", "o"]) == [["<bos>", "h", "i"], ["<bos>", "o"]]
    ids = torch.tensor([[104, 105]])
    assert MODEL.to_str_tokens(ids) == MODEL.to_str_tokens(ids[0]) == ["h", "i"]
    assert MODEL.to_str_tokens(ids.expand(2, 2)) == [["h", "i"]] * 2
    assert MODEL.to_str_tokens([104, 105]) == ["h", "i"]
    assert MODEL.to_str_tokens("é", prepend_bos=False) == ["\ufffd", "\ufffd"]
    assert MODEL.to_string(104) == "h"
    assert MODEL.to_single_str_token(105) == "i"


def test_single_tokens() -> None:
    assert MODEL.to_single_token("a") == 97
    assert MODEL.to_single_token("<eos>") == EOS
    with pytest.raises(InputError, match=r"'ab' is 2 tokens, \['a', 'b'\], not one"):
        MODEL.to_single_token("ab")
    with pytest.raises(InputError, match="0 tokens"):
        MODEL.to_single_token("")


def test_where_a_token_stands() -> None:
    assert MODEL.get_token_position("a", "banana") == 2  # behind <bos>
    assert MODEL.get_token_position("a", "banana", mode="last") == 6
    assert MODEL.get_token_position("a", "banana", prepend_bos=False) == 1
    assert MODEL.get_token_position(97, torch.tensor([[98, 97, 97]])) == 1
    with pytest.raises(InputError, match="'z' does not occur"):
        MODEL.get_token_position("z", "banana")
    with pytest.raises(InputError, match="mode is 'middle'"):
        MODEL.get_token_position("a", "banana", mode="middle")


@pytest.mark.parametrize(
    "call",
    [
        lambda model: model.to_tokens("a"),
        lambda model: model.to_string([1]),
        lambda model: model.to_str_tokens("a"),
        lambda model: model.to_str_tokens(torch.tensor([1])),
        lambda model: model.to_single_token("a"),
        lambda model: model.to_single_str_token(1),
        lambda model: model.get_token_position("a", "a"),
        lambda model: model.tokens_to_residual_directions("a"),
    ],
)
def test_a_model_without_a_tokenizer_says_so(call: Any) -> None:
    with pytest.raises(InputError, match="has no tokenizer"):
        call(shared_model("decoder"))
