"""Tokenizer, corpus and the order of rows."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.data.sets.stories import Book
from interp.data.tokenizing import train_tokenizer
from interp.tokenizer import Tokenizer
from interp.zoo.recipes.stories_tokens import END_ID, PAD_ID, Corpus, batch

WORDS = "the a cat dog ran saw sat on under little old king said and then home".split()


def _document(seed: int) -> Book:
    random = np.random.default_rng(seed)
    paragraphs = [
        " ".join(random.choice(WORDS, size=random.integers(5, 60))) + "." for _ in range(30)
    ]
    return Book("test", str(seed), "t", "a", "CC0", "", "train", "\n\n".join(paragraphs))


DOCUMENTS = [_document(seed) for seed in range(4)]
TOKENIZER = train_tokenizer((d.text for d in DOCUMENTS), "bpe", 340)  # enough for "\n\n" to be one
CORPUS = Corpus.encode(DOCUMENTS, TOKENIZER)


@given(st.text())
def test_every_text_survives_the_tokenizer(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


def test_special_tokens_are_where_the_configuration_says() -> None:
    assert TOKENIZER.bos_token_id == TOKENIZER.eos_token_id == END_ID
    assert TOKENIZER.pad_token_id == PAD_ID != END_ID


def test_transformers_opens_the_tokenizer(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    TOKENIZER.save(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    text = 'The cat said, "Don\'t!"\n\nThen  it ran.'
    assert theirs.encode(text, add_special_tokens=False) == TOKENIZER.encode(text)
    assert (theirs.bos_token_id, theirs.pad_token_id) == (END_ID, PAD_ID)
    assert Tokenizer.from_folder(tmp_path).encode(text) == TOKENIZER.encode(text)


def test_corpus_holds_the_documents_between_end_tokens() -> None:
    ends = np.flatnonzero(CORPUS.tokens == END_ID)
    assert len(ends) == len(DOCUMENTS) + 1
    for document, first, last in zip(DOCUMENTS, ends[:-1], ends[1:], strict=True):
        assert TOKENIZER.decode(CORPUS.tokens[first + 1 : last].tolist()) == document.text


def test_paragraph_starts_are_the_paragraphs() -> None:
    paragraphs = [p for d in DOCUMENTS for p in d.text.split("\n\n")]
    assert len(CORPUS.starts) == len(paragraphs)
    for start, paragraph in zip(CORPUS.starts, paragraphs, strict=True):
        ids = CORPUS.tokens[start : start + 200].tolist()
        assert TOKENIZER.decode(ids).startswith(paragraph[:20])


def test_bits_per_byte_of_a_uniform_guess() -> None:
    nats = math.log(len(TOKENIZER))
    bits = CORPUS.bits_per_byte(nats) * CORPUS.n_bytes
    assert bits == pytest.approx((len(CORPUS.tokens) - 1) * math.log2(len(TOKENIZER)))


@given(step=st.integers(0, 500), seed=st.integers(0, 5))
def test_a_batch_depends_on_seed_and_step_alone(step: int, seed: int) -> None:
    first = batch(CORPUS, step, rows=3, length=32, seed=seed)
    batch(CORPUS, step + 70, rows=3, length=32, seed=seed + 1)
    assert torch.equal(first, batch(CORPUS, step, rows=3, length=32, seed=seed))


@given(step=st.integers(0, 500))
def test_rows_are_end_and_a_piece_of_the_corpus(step: int) -> None:
    text = CORPUS.tokens.astype(np.uint16).tobytes()
    for row in batch(CORPUS, step, rows=3, length=32, seed=0):
        assert row[0] == END_ID
        piece = row[1:].numpy().astype(np.uint16)
        assert any(
            text.startswith(piece.tobytes(), 2 * i)
            for i in np.flatnonzero(CORPUS.tokens == piece[0])
        )


def test_an_epoch_reads_nearly_everything_once() -> None:
    length, rows = 32, 1
    pieces = len(CORPUS.tokens) // (length - 1) - 2
    seen = torch.cat([batch(CORPUS, s, rows=rows, length=length, seed=0) for s in range(pieces)])
    assert len(torch.unique(seen, dim=0)) > 0.8 * pieces


def test_other_seeds_and_epochs_read_in_another_order() -> None:
    def one(step: int, seed: int) -> torch.Tensor:
        return batch(CORPUS, step, rows=8, length=32, seed=seed)

    assert not torch.equal(one(0, 0), one(0, 1))
    assert not torch.equal(one(0, 0), one(1000, 0))


@given(step=st.integers(0, 500))
def test_repeated_rows_repeat_and_the_others_stay(step: int) -> None:
    plain = batch(CORPUS, step, rows=4, length=64, seed=0)
    some = batch(CORPUS, step, rows=4, length=64, seed=0, repeated=1)
    assert torch.equal(some[:3], plain[:3])
    row = some[3, 1:]
    periods = [p for p in range(1, 32) if torch.equal(row[p:], row[:-p])]
    assert any(torch.equal(row[:p], plain[3, 1 : p + 1]) for p in periods)


def test_periods_differ() -> None:
    rows = [batch(CORPUS, s, rows=1, length=64, seed=0, repeated=1)[0, 1:] for s in range(20)]
    shortest = [next(p for p in range(1, 32) if torch.equal(r[p:], r[:-p])) for r in rows]
    assert len(set(shortest)) > 5
