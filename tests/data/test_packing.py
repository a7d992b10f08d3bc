"""Rows of a corpus: every token once an epoch, cut elsewhere each time, as a function of step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.data.corpus import PackedCorpus
from interp.data.packing import NextToken, Pieces
from interp.errors import ConfigError
from tests.data.packed import corpus


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> PackedCorpus:
    return corpus(tmp_path_factory.mktemp("corpus") / "c")


@given(
    n=st.integers(1, 300),
    length=st.integers(1, 40),
    rows=st.integers(1, 7),
    seed=st.integers(0, 20),
)
def test_an_epoch_reads_no_token_twice_and_leaves_less_than_a_piece(
    n: int, length: int, rows: int, seed: int
) -> None:
    if n < length:
        with pytest.raises(ConfigError, match="less than one row"):
            Pieces(n, length, rows, seed)
        return
    pieces = Pieces(n, length, rows, seed)
    steps = -(-3 * pieces.per_epoch // rows)
    starts = np.concatenate([pieces.step(step) for step in range(steps)])
    for epoch in range(3):
        begin = starts[epoch * pieces.per_epoch : (epoch + 1) * pieces.per_epoch]
        read = (begin[:, None] + np.arange(length)) % n
        counts = np.bincount(read.flatten(), minlength=n)
        assert counts.max() == 1 and (counts == 0).sum() < length


def test_epochs_are_cut_elsewhere() -> None:
    pieces = Pieces(1000, 50, 20, seed=0)
    cuts = {int(pieces.step(epoch).min()) % 50 for epoch in range(20)}
    assert len(cuts) > 10


@given(step=st.integers(0, 10_000))
def test_a_row_is_the_start_and_a_piece_and_labels_are_what_follows(
    packed: PackedCorpus, step: int
) -> None:
    batch = NextToken(packed, rows=3, length=16, seed=1).batch(step)
    tokens = batch.inputs["tokens"]
    assert tokens.shape == batch.labels.shape == (3, 16)
    assert (tokens[:, 0] == packed.tokenizer.bos_token_id).all()
    assert torch.equal(tokens[:, 1:], batch.labels[:, :-1])
    ring = np.concatenate([packed.tokens, packed.tokens[:16]]).astype(np.uint16).tobytes()
    for row in batch.labels:
        assert row.numpy().astype(np.uint16).tobytes() in ring


@given(step=st.integers(0, 10_000), other=st.integers(0, 10_000))
def test_a_batch_depends_on_seed_and_step_alone(
    packed: PackedCorpus, step: int, other: int
) -> None:
    source = NextToken(packed, 2, 16, seed=1)
    first = source.batch(step)
    source.batch(other)
    assert torch.equal(first.labels, NextToken(packed, 2, 16, seed=1).batch(step).labels)
    if other != step:
        assert not torch.equal(first.labels, source.batch(other).labels)
    assert not torch.equal(first.labels, NextToken(packed, 2, 16, seed=2).batch(step).labels)


def test_what_makes_no_batch_is_refused(packed: PackedCorpus, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="less than one row"):
        NextToken(packed, 1, len(packed) + 1, seed=0)
    NextToken(packed, 1, len(packed), seed=0).batch(0)
    with pytest.raises(ConfigError, match="positive"):
        NextToken(packed, 0, 4, seed=0)
