"""Tokenizers: what goes in comes out, equal texts give equal tables, and other libraries agree."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.data.corruption import sentinels
from interp.data.encoding import encode_texts, special_ids, tokenizer_hash
from interp.data.tokenizing import SPECIAL, Kind, train_tokenizer
from interp.errors import ConfigError, InputError
from interp.tokenizer import Tokenizer
from tests.data.packed import texts

KINDS: tuple[Kind, ...] = ("bpe", "wordpiece", "unigram", "characters", "bytes")
SHAPES = tuple(SPECIAL)
WHOLE = {kind: train_tokenizer(texts(20), kind, 400) for kind in ("bpe", "unigram", "bytes")}
CHARACTERS = train_tokenizer(texts(20), "characters", 400)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize("kind", WHOLE)
@given(text=ANY_TEXT)
def test_every_text_comes_back_whole(kind: Kind, text: str) -> None:
    (ids,) = encode_texts(WHOLE[kind], [text])
    assert WHOLE[kind].decode(ids) == text


@given(text=st.text(st.sampled_from(sorted(set("".join(texts(20)))))))
def test_a_text_of_known_characters_comes_back_whole(text: str) -> None:
    (ids,) = encode_texts(CHARACTERS, [text])
    assert CHARACTERS.decode(ids) == text
    assert len(ids) == len(text)


def test_an_unknown_character_becomes_the_unknown_token() -> None:
    (ids,) = encode_texts(CHARACTERS, ["aŁa"])
    assert CHARACTERS.decode(ids) == f"a{CHARACTERS.special['unk']}a"


@given(text=ANY_TEXT)
def test_bytes_are_bytes(text: str) -> None:
    (ids,) = encode_texts(WHOLE["bytes"], [text])
    assert len(ids) == len(text.encode())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_special_tokens_come_first_and_the_table_is_as_large_as_asked(
    kind: Kind, shape: str
) -> None:
    tokenizer = train_tokenizer(texts(20), kind, 330, shape=shape, extra=["<|user|>"])
    ids = [tokenizer.token_id(token) for token in dict.fromkeys(SPECIAL[shape].values())]
    assert ids == list(range(len(ids)))
    assert len(tokenizer) <= 330
    assert tokenizer.token_id("<|user|>") in special_ids(tokenizer)
    if kind == "bpe":
        assert len(tokenizer) == 330


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "unigram"])
def test_equal_texts_give_an_equal_tokenizer(kind: Kind) -> None:
    hashes = {tokenizer_hash(train_tokenizer(iter(texts(20)), kind, 330)) for _ in range(4)}
    assert len(hashes) == 1
    if kind != "bytes":
        assert tokenizer_hash(train_tokenizer(texts(20, seed=1)[1:], kind, 330)) not in hashes


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_transformers_and_this_package_open_what_was_saved(
    kind: Kind, shape: str, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    tokenizer = train_tokenizer(texts(20), kind, 400, shape=shape)
    tokenizer.save(tmp_path)
    again, theirs = Tokenizer.from_folder(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer_hash(again) == tokenizer_hash(tokenizer)
    for text in ("The old king, naïve.\n\nThen  home", "", "Ł 漢"):
        for framed in (False, True):
            expected = tokenizer.encode(text, add_special_tokens=framed)
            assert again.encode(text, add_special_tokens=framed) == expected
            assert theirs.encode(text, add_special_tokens=framed) == expected
    for role, token in tokenizer.special.items():
        assert getattr(theirs, f"{role}_token") == token


def test_templates_frame_a_text_and_a_pair() -> None:
    encoder = train_tokenizer(texts(20), "wordpiece", 400, shape="encoder")
    pair = encoder.backend.encode("the king", "a dog")
    cls, sep = (encoder.token_id(token) for token in ("[CLS]", "[SEP]"))
    one, two = encoder.encode("the king"), encoder.encode("a dog")
    assert pair.ids == [cls, *one, sep, *two, sep]
    assert pair.type_ids == [0] * (len(one) + 2) + [1] * (len(two) + 1)
    both = train_tokenizer(texts(20), "bpe", 400, shape="encoder_decoder")
    assert both.encode("the", add_special_tokens=True) == [*both.encode("the"), both.eos_token_id]


@pytest.mark.parametrize("kind", KINDS)
def test_special_tokens_inside_a_text_are_letters(kind: Kind) -> None:
    tokenizer = train_tokenizer(texts(20), kind, 400, shape="encoder")
    (ids,) = encode_texts(tokenizer, ["the [MASK] and [SEP]"])
    unknown = tokenizer.token_id("[UNK]")
    assert not set(ids) & (set(special_ids(tokenizer)) - {unknown})


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((["a"], "bpe", 200), ConfigError, "too small"),
        ((["a"], "bytes", 257), ConfigError, "need 258"),
        ((["a"], "words", 500), ConfigError, "no tokenizer of kind"),
        (([], "bpe", 500), InputError, "no text"),
        ((["", ""], "characters", 500), InputError, "no text"),
        (([b"a"], "bpe", 500), InputError, "bytes"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    arguments: tuple[object, ...], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        train_tokenizer(*arguments)


def test_sentinels_have_ids_of_their_own() -> None:
    tokenizer = train_tokenizer(texts(5), "bpe", 400, shape="encoder_decoder", extra=sentinels(9))
    ids = [tokenizer.token_id(token) for token in sentinels(9)]
    assert ids == list(range(3, 12))
