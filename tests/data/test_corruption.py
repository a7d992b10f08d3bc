"""Span corruption: input and target together are the text."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from interp.data.corpus import PackedCorpus, pack
from interp.data.corruption import SpanCorruption, sentinel_ids
from interp.data.tokenizing import train_tokenizer
from interp.errors import ConfigError
from tests.data.packed import corpus, texts


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> PackedCorpus:
    return corpus(tmp_path_factory.mktemp("corpus") / "c", "bpe", "encoder_decoder")


def restore(source: list[int], target: list[int], sentinels: list[int]) -> list[int]:
    """Puts each span of the target in the place of its sentinel in the source."""
    spans: dict[int, list[int]] = {}
    for token in target[:-1]:
        if token in sentinels:
            opened = spans.setdefault(token, [])
        else:
            opened.append(token)
    return [i for token in source[:-1] for i in spans.get(token, [token])]


@given(
    step=st.integers(0, 1000),
    length=st.integers(12, 90),
    share=st.floats(0.1, 0.3),
    mean_span=st.floats(1, 5),
)
def test_input_and_target_give_the_text_back(
    packed: PackedCorpus, step: int, length: int, share: float, mean_span: float
) -> None:
    source = SpanCorruption(packed, 3, length, 0, share=share, mean_span=mean_span)
    batch = source.batch(step)
    read, labels = batch.inputs["tokens"], batch.labels
    assert read.shape == (3, source.source_length) and labels.shape == (3, source.target_length)
    sentinels = sentinel_ids(packed.tokenizer)
    ring = np.concatenate([packed.tokens, packed.tokens[:length]]).astype(np.uint16).tobytes()
    for row, target in zip(read.tolist(), labels.tolist(), strict=True):
        text = restore(row, target, sentinels)
        assert len(text) == length
        assert np.array(text, np.uint16).tobytes() in ring
        assert [i for i in row if i in sentinels] == sentinels[: source.n_spans]
        assert row[-1] == target[-1] == packed.tokenizer.eos_token_id


def test_the_decoder_reads_what_it_has_written(packed: PackedCorpus) -> None:
    batch = SpanCorruption(packed, 3, 60, 0).batch(0)
    read = batch.inputs["decoder_tokens"]
    assert (read[:, 0] == packed.tokenizer.pad_token_id).all()
    assert torch.equal(read[:, 1:], batch.labels[:, :-1])


def test_share_and_mean_span_are_as_asked(packed: PackedCorpus) -> None:
    source = SpanCorruption(packed, 3, 200, 0, share=0.15, mean_span=3)
    assert (source.n_cut, source.n_spans) == (30, 10)


def test_every_division_into_spans_is_as_likely(packed: PackedCorpus) -> None:
    """Four tokens in two spans: 1 + 3, 2 + 2 and 3 + 1."""
    source = SpanCorruption(packed, 500, 40, 0, share=0.1, mean_span=2)
    labels = source.batch(0).labels
    second = (labels == source.sentinels[1]).int().argmax(1)
    assert stats.chisquare(np.bincount(second - 2, minlength=3)).pvalue > 1e-3


def test_too_few_sentinels_and_too_short_rows_are_refused(
    packed: PackedCorpus, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.raises(ConfigError, match="cannot be cut out"):
        SpanCorruption(packed, 3, 2, 0)
    bare = train_tokenizer(texts(20), "bpe", 400, shape="encoder_decoder")
    plain = pack(texts(20), bare, tmp_path_factory.mktemp("corpus") / "c")
    with pytest.raises(ConfigError, match="the tokenizer has 0"):
        SpanCorruption(plain, 3, 60, 0)
