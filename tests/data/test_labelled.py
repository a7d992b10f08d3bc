"""Texts and words with classes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.data.batch import IGNORED
from interp.data.labelled import Labelled, TokenLabels
from interp.errors import ConfigError, InputError
from interp.tokenizer import Tokenizer
from tests.data.packed import WORDS, texts, tokenizer

ENCODER = tokenizer("wordpiece", "encoder")
TEXTS = texts(30, seed=4)[1:]
CLASSES = ("bad", "good", "odd")
LABELS = [CLASSES[i % 3] for i in range(len(TEXTS))]


def test_rows_are_what_transformers_makes_of_the_texts(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    ENCODER.save(folder)
    theirs = AutoTokenizer.from_pretrained(folder)
    second = TEXTS[::-1]
    for pair in (None, second):
        source = Labelled(
            TEXTS, LABELS, CLASSES, ENCODER, tokens=600, max_length=30, seed=0, second=pair
        )
        expected = theirs(TEXTS, pair, truncation=True, max_length=30, padding=True,
                          return_tensors="pt", return_token_type_ids=True)  # fmt: skip
        batch = source.collate(range(len(TEXTS)))
        assert torch.equal(batch.inputs["tokens"], expected["input_ids"])
        assert torch.equal(batch.inputs["attention_mask"], expected["attention_mask"].bool())
        if pair is not None:
            assert torch.equal(batch.inputs["token_type_ids"], expected["token_type_ids"])
        assert [CLASSES[i] for i in batch.labels] == LABELS
        cut = sum(len(ids) == 30 for ids in expected["input_ids"] if ids[-1] != theirs.pad_token_id)
        assert source.n_truncated >= 1 and source.n_truncated <= cut


def test_every_text_is_read_once_an_epoch_with_its_label() -> None:
    source = Labelled(TEXTS, LABELS, CLASSES, ENCODER, tokens=200, max_length=50, seed=0)
    whole = source.collate(range(len(source)))
    seen = set()
    for step in range(source.steps_per_epoch):
        batch = source.batch(step)
        for row, label in zip(batch.inputs["tokens"].tolist(), batch.labels.tolist(), strict=True):
            seen.add((tuple(i for i in row if i != ENCODER.pad_token_id), label))
    expected = {
        (tuple(i for i in row if i != ENCODER.pad_token_id), label)
        for row, label in zip(whole.inputs["tokens"].tolist(), whole.labels.tolist(), strict=True)
    }
    assert seen == expected


@pytest.mark.parametrize("shape", ["decoder", "encoder_decoder"])
def test_a_text_is_framed_as_a_prompt_of_the_model_is(shape: str) -> None:
    table = tokenizer("bpe", shape)
    source = Labelled(["the king"], ["bad"], CLASSES, table, tokens=99, max_length=20, seed=0)
    ids = table.encode("the king")
    expected = [table.bos_token_id, *ids] if shape == "decoder" else [*ids, table.eos_token_id]
    assert source.batch(0).inputs["tokens"].tolist() == [expected]


@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "characters", "unigram"])
@given(data=st.data())
def test_the_first_token_of_each_word_bears_its_label(kind: str, data: st.DataObject) -> None:
    table = TABLES[kind]
    words = [w for w in WORDS if w.strip() and not any(c.isspace() for c in w)]
    sentence = data.draw(st.lists(st.sampled_from(words), min_size=1, max_size=12))
    tags = [data.draw(st.sampled_from(CLASSES)) for _ in sentence]
    # Room for twelve of the longest word, a letter a token: nothing is cut off.
    source = TokenLabels([sentence], [tags], CLASSES, table, tokens=999, max_length=250, seed=0)
    batch = source.batch(0)
    at = (batch.labels[0] != IGNORED).nonzero()[:, 0].tolist()
    assert [CLASSES[batch.labels[0, i]] for i in at] == tags
    row = batch.inputs["tokens"][0].tolist()
    assert all(table.decode([row[i]]).strip() for i in at)
    # From each labelled token to the next lies just the word.
    pieces = [row[a:b] for a, b in zip(at, [*at[1:], len(row)], strict=True)]
    if kind != "wordpiece":
        read = [table.decode(ids, skip_special_tokens=True).strip() for ids in pieces]
        assert read == sentence
    else:
        expected = table.backend.encode(sentence, is_pretokenized=True).word_ids
        firsts = [i for i, word in enumerate(expected)
                  if word is not None and word != expected[i - 1]]  # fmt: skip
        assert at == firsts


TABLES = {
    "bpe": tokenizer("bpe"),
    "wordpiece": ENCODER,
    "characters": tokenizer("characters", "encoder"),
    "unigram": tokenizer("unigram", "encoder"),
}


def test_words_that_are_cut_off_or_dropped_have_no_label() -> None:
    source = TokenLabels(
        [["the", "old", "king", "ran"]], [["odd"] * 4], CLASSES, ENCODER,
        tokens=99, max_length=4, seed=0,
    )  # fmt: skip
    assert source.n_truncated == 1
    assert source.batch(0).labels.tolist() == [[IGNORED, 2, 2, IGNORED]]
    dropped = TokenLabels(
        [["the", "\x00", "king"]], [["bad", "good", "odd"]], CLASSES, ENCODER,
        tokens=99, max_length=9, seed=0,
    )  # fmt: skip
    assert dropped.batch(0).labels[0, 1:-1].tolist() == [0, 2]


def labelled(**changed: object) -> Labelled:
    arguments: dict[str, object] = {
        "texts": ["a", "b"], "labels": ["bad", "good"], "classes": CLASSES, "tokenizer": ENCODER,
        "tokens": 99, "max_length": 9, "seed": 0,
    }  # fmt: skip
    return Labelled(**(arguments | changed))


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"labels": ["bad", "worse"]}, InputError, "Text 1 has the label 'worse'"),
        ({"labels": ["bad"]}, InputError, "2 and 1 texts and labels"),
        ({"second": ["a"]}, InputError, "2 and 1 first and second"),
        ({"texts": [], "labels": []}, InputError, "no examples"),
        ({"texts": ["a", 3]}, InputError, "Only strings"),
        ({"max_length": 2}, ConfigError, "no room"),
        ({"tokens": 0}, ConfigError, "no batch"),
    ],
)
def test_what_makes_no_examples_is_refused(
    changed: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        labelled(**changed)


def test_words_must_be_words() -> None:
    def make(sentence: list[str], tags: list[str], table: Tokenizer = ENCODER) -> TokenLabels:
        return TokenLabels([sentence], [tags], CLASSES, table, tokens=9, max_length=9, seed=0)

    with pytest.raises(InputError, match="not a word"):
        make(["two words"], ["bad"])
    with pytest.raises(InputError, match="2 and 1 words and labels"):
        make(["the", "king"], ["bad"])
    with pytest.raises(InputError, match="Sentence 0, word 1 has the label 'x'"):
        make(["the", "king"], ["bad", "x"])
