"""Pairs for an encoder-decoder: what each side reads, and what the decoder is to write."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.data.batch import IGNORED
from interp.data.encoding import encode_texts
from interp.data.pairs import Pairs
from interp.errors import ConfigError, InputError
from tests.data.packed import texts, tokenizer

BOTH = tokenizer("bpe", "encoder_decoder")
SOURCES, TARGETS = texts(60, seed=1)[1:], texts(60, seed=2)[1:]
PAIRS = Pairs(SOURCES, TARGETS, BOTH, tokens=400, max_length=60, seed=0)


@given(epoch=st.integers(0, 3))
def test_an_epoch_holds_every_pair_once_as_text(epoch: int) -> None:
    seen = []
    for step in range(epoch * PAIRS.steps_per_epoch, (epoch + 1) * PAIRS.steps_per_epoch):
        batch = PAIRS.batch(step)
        source, target = batch.inputs["tokens"], batch.labels
        assert len(batch) == 1 or len(batch) * max(source.shape[1], target.shape[1]) <= 400
        for row, labels in zip(source, target, strict=True):
            written = BOTH.decode(labels[labels != IGNORED].tolist(), skip_special_tokens=True)
            seen.append((BOTH.decode(row.tolist(), skip_special_tokens=True), written))
    kept = [(a, b) for a, b in zip(*(map(cut, side) for side in (SOURCES, TARGETS)), strict=True)]
    assert sorted(seen) == sorted(kept)


def cut(text: str) -> str:
    (ids,) = encode_texts(BOTH, [text])
    return BOTH.decode(ids[:59])


@given(step=st.integers(0, 300))
def test_the_decoder_reads_the_start_and_what_it_has_written(step: int) -> None:
    batch = PAIRS.batch(step)
    read, labels = batch.inputs["decoder_tokens"], batch.labels
    assert (read[:, 0] == BOTH.pad_token_id).all()
    known = labels[:, :-1] != IGNORED
    assert torch.equal(read[:, 1:][known & (labels[:, 1:] != IGNORED)],
                       labels[:, :-1][known & (labels[:, 1:] != IGNORED)])  # fmt: skip
    lengths = (labels != IGNORED).sum(1)
    assert (labels[torch.arange(len(labels)), lengths - 1] == BOTH.eos_token_id).all()
    for side, real in (("", None), ("decoder_", lengths)):
        mask = batch.inputs.get(f"{side}attention_mask")
        tokens = batch.inputs[f"{side}tokens"]
        # Padding equals the start token here, so it is told from it by place.
        padding = tokens == BOTH.pad_token_id
        padding[:, 0] = False
        assert bool(padding.any()) == (mask is not None)
        if mask is not None:
            assert torch.equal(~mask, padding)
            assert real is None or torch.equal(mask.sum(1), real)


def test_a_step_is_the_same_each_time() -> None:
    again = Pairs(SOURCES, TARGETS, BOTH, tokens=400, max_length=60, seed=0)
    for step in (0, 5, 77):
        assert torch.equal(PAIRS.batch(step).labels, again.batch(step).labels)


def test_truncation_is_counted_and_keeps_the_end_token() -> None:
    short = Pairs(["a b c d e f g h", "a"], ["a", "a"], BOTH, tokens=99, max_length=4, seed=0)
    assert short.n_truncated == 1
    batch = short.collate([0, 1])
    assert batch.inputs["tokens"].shape[1] == 4
    assert batch.inputs["tokens"][0, -1] == BOTH.eos_token_id


def test_each_side_may_have_its_own_tokenizer() -> None:
    other = tokenizer("bytes", "encoder_decoder")
    batch = Pairs(["the dog"], ["the cat"], BOTH, other, tokens=99, max_length=30, seed=0).batch(0)
    assert BOTH.decode(batch.inputs["tokens"][0].tolist()) == "the dog</s>"
    assert other.decode(batch.labels[0].tolist()) == "the cat</s>"


def test_what_is_no_pair_is_refused() -> None:
    with pytest.raises(InputError, match="2 and 1 sources and targets"):
        Pairs(["a", "b"], ["a"], BOTH, tokens=9, max_length=9, seed=0)
    with pytest.raises(InputError, match="no examples"):
        Pairs([], [], BOTH, tokens=9, max_length=9, seed=0)
    with pytest.raises(ConfigError, match="no room"):
        Pairs(["a"], ["a"], BOTH, tokens=9, max_length=1, seed=0)
    with pytest.raises(ConfigError, match="no token for eos"):
        Pairs(["a"], ["a"], tokenizer("wordpiece", "encoder"), tokens=9, max_length=9, seed=0)
