"""Encoding for training: streams in batches, equal hashes for equal tokenizers, no surprises."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.data.encoding import encode_texts, in_batches, role_id, special_ids, tokenizer_hash
from interp.data.tokenizing import train_tokenizer
from interp.errors import ConfigError, InputError
from interp.tokenizer import Tokenizer
from tests.data.packed import texts, tokenizer


@given(documents=st.lists(st.text(max_size=30)), characters=st.integers(1, 100))
def test_batches_are_the_stream_and_no_larger_than_needed(
    documents: list[str], characters: int
) -> None:
    batches = list(in_batches(iter(documents), characters))
    assert [text for some in batches for text in some] == documents
    for some in batches:
        assert sum(len(text) + 1 for text in some[:-1]) < characters


def test_a_stream_is_read_no_further_than_needed() -> None:
    def endless() -> object:
        while True:
            yield "the old king " * 10_000

    first = list(islice(encode_texts(tokenizer("bytes"), endless()), 3))
    assert [len(ids) for ids in first] == [130_000] * 3


def test_a_slow_tokenizer_encodes_one_by_one(tmp_path: Path) -> None:
    fast = tokenizer()

    class Slow:
        """A tokenizer of transformers that has no backend of the `tokenizers` library."""

        all_special_ids = (0, 1)

        def encode(self, text: str, add_special_tokens: bool) -> list[int]:
            return fast.encode(text, add_special_tokens=add_special_tokens)

        def get_vocab(self) -> dict[str, int]:
            return dict(fast.backend.get_vocab())

    slow = Tokenizer(Slow(), {})
    assert list(encode_texts(slow, texts(5))) == list(encode_texts(fast, texts(5)))
    assert special_ids(slow) == [0, 1]
    assert tokenizer_hash(slow) == tokenizer_hash(Tokenizer(Slow(), {}))


def test_a_hash_tells_tokenizers_apart_and_outlives_saving(tmp_path: Path) -> None:
    first = tokenizer()
    first.save(tmp_path)
    assert tokenizer_hash(Tokenizer.from_folder(tmp_path)) == tokenizer_hash(first)
    others = [
        tokenizer("bytes"),
        tokenizer("bpe", "encoder"),
        train_tokenizer(texts(20, seed=9)[5:], "bpe", 400),
        Tokenizer(first.backend, {**first.special, "bos": "<|pad|>"}),
    ]
    assert len({tokenizer_hash(t) for t in (first, *others)}) == 5
    padded = Tokenizer.from_folder(tmp_path)
    padded.backend.enable_truncation(4)  # settings of the moment are no part of the tokenizer
    assert tokenizer_hash(padded) == tokenizer_hash(first)


def test_roles_are_taken_in_their_order() -> None:
    encoder = tokenizer("bpe", "encoder")
    assert role_id(encoder, "bos", "cls") == encoder.token_id("[CLS]")
    with pytest.raises(ConfigError, match="no token for bos or eos"):
        role_id(encoder, "bos", "eos")


def test_what_is_no_text_is_named() -> None:
    with pytest.raises(InputError, match="Text 1 is int"):
        list(encode_texts(tokenizer(), ["a", 3]))
