"""Pieces of text lose nothing, predict what follows, and come once each; repeats repeat."""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from interp.data.batch import IGNORED
from interp.data.pairs import Pairs
from interp.data.records import Pair
from interp.errors import InputError
from probes.passages import Passages, batches, passages, read_by, read_texts, repeats
from tests.model.configurations import shared_model
from tests.train.tasks.small import model, sentences

TEXTS = sentences(7, seed=3)


def test_every_token_of_a_text_is_read_once_and_predicted_once() -> None:
    speaker = model("decoder")
    found = passages(speaker, TEXTS, length=9)
    assert isinstance(found, Passages)
    bos = speaker.tokenizer.bos_token_id
    framed = bos is not None and speaker.cfg.default_prepend_bos
    ids = [i for row in found.rows for i in row[framed:]]
    assert ids == [i for text in TEXTS for i in speaker.tokenizer.encode(text)]
    for row, label in zip(found.rows, found.labels, strict=True):
        assert len(row) <= 9
        assert label == [*row[1:], IGNORED]
        assert not framed or row[0] == bos


def test_a_budget_of_tokens_is_kept() -> None:
    speaker = model("decoder")
    found = passages(speaker, TEXTS, most=20)
    assert isinstance(found, Passages)
    read = sum(len(row) for row in found.rows)
    assert 20 <= read <= 20 + len(found.rows)


def test_a_masked_encoder_predicts_what_it_cannot_see() -> None:
    guesser = model("encoder")
    mask = guesser.tokenizer.token_id(guesser.tokenizer.special["mask"])
    plain, masked = passages(guesser, TEXTS), passages(guesser, TEXTS, masked=True)
    again = passages(guesser, TEXTS, masked=True)
    assert isinstance(plain, Passages) and isinstance(masked, Passages)
    assert isinstance(again, Passages) and masked.rows == again.rows
    assert all(i == IGNORED for label in plain.labels for i in label)
    for whole, row, label in zip(plain.rows, masked.rows, masked.labels, strict=True):
        restored = [i if i != IGNORED else token for token, i in zip(row, label, strict=True)]
        assert restored == whole
        assert all((i != IGNORED) == (token == mask) for token, i in zip(row, label, strict=True))
        assert any(i != IGNORED for i in label)
        assert label[0] == label[-1] == IGNORED  # the frame


def test_an_encoder_decoder_reads_pairs_and_nothing_else() -> None:
    translator = model("encoder_decoder")
    pairs = [Pair(a, (b,)) for a, b in pairwise(TEXTS)]
    assert isinstance(passages(translator, pairs), Pairs)
    with pytest.raises(InputError, match="pairs of texts"):
        passages(translator, TEXTS)
    with pytest.raises(InputError, match="no tokenizer"):
        passages(shared_model("decoder"), TEXTS)


@pytest.mark.parametrize("shape", ["decoder", "encoder", "encoder_decoder"])
def test_batches_hold_every_row_once_and_real_tokens_only(shape: str) -> None:
    speaker = model(shape)
    texts = repeats(speaker, rows=9, length=20, tokens=60)
    seen: list[int] = []
    stack = "decoder" if shape == "encoder_decoder" else "blocks"
    for chosen, batch in batches(texts):
        seen += chosen.tolist()
        ids, real = read_by(stack, batch)
        for i, row, there in zip(chosen.tolist(), ids, real, strict=True):
            assert row[there].tolist() == list(texts.rows[i])
        speaker(**batch.inputs)  # it can be read
    assert sorted(seen) == list(range(9))


@pytest.mark.parametrize("shape", ["decoder", "encoder", "encoder_decoder"])
def test_repeats_repeat_ordinary_tokens(shape: str) -> None:
    speaker = model(shape)
    texts = repeats(speaker, rows=12, length=32, seed=1)
    special = set(speaker.tokenizer.special_ids)
    for row in texts.rows if texts.sources is None else texts.sources:
        text = [i for i in row if i not in special]
        assert len(text) == 32
        # Behind its second coming a token is followed by what followed it first.
        period = text.index(text[0], 1)
        assert 8 <= period <= 16
        assert text[period:] == text[: 32 - period] or text == (text[:period] * 4)[:32]
    periods = {row.index(row[3], 4) - 3 for row in texts.rows}
    assert len(periods) > 1


def test_the_command_line_reads_files_and_says_what_is_missing(tmp_path: Path) -> None:
    speaker = model("decoder")
    path = tmp_path / "texts.txt"
    path.write_text("\n\n".join(TEXTS), encoding="utf-8")

    def options(texts: str) -> argparse.Namespace:
        return argparse.Namespace(texts=texts, data=None, split="test", tokens=10_000)

    found = read_texts(speaker, options(str(path)))
    assert isinstance(found, Passages) and len(found.rows) >= 1
    assert torch.is_tensor(read_texts(speaker, options("repeats")).collate([0]).inputs["tokens"])
    with pytest.raises(InputError, match="--data"):
        read_texts(speaker, options("tatoeba_fr"))
