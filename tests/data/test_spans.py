"""Extractive answers: positions of tokens and pieces of text say the same."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.data.records import Answer, Question
from interp.data.spans import Spans
from interp.errors import InputError
from tests.data.packed import texts, tokenizer

TABLES = {kind: tokenizer(kind, "encoder") for kind in ("wordpiece", "bpe", "characters")}
CONTEXTS = [" ".join(text.split()) for text in texts(12, seed=5)[1:]]


@pytest.mark.parametrize("kind", TABLES)
@given(data=st.data())
def test_the_labelled_tokens_are_the_answer_wherever_a_window_holds_it(
    kind: str, data: st.DataObject
) -> None:
    context = data.draw(st.sampled_from(CONTEXTS))
    words = context.split(" ")
    first = data.draw(st.integers(0, len(words) - 1))
    last = data.draw(st.integers(first, min(first + 3, len(words) - 1)))
    answer = Answer(" ".join(words[first : last + 1]), len(" ".join(["", *words[:first]])))
    question = Question("q", "who ran?", context, (answer,))
    source = Spans([question], TABLES[kind], tokens=99, max_length=96, stride=64, seed=0)
    held = [window for window in source.windows if window.label != (0, 0)]
    assert held  # with so many shared tokens, no answer this short falls between windows
    for window in source.windows:
        seen = [span for span in window.offsets if span is not None]
        whole = seen[0][0] <= answer.start and answer.start + len(answer.text) <= seen[-1][1]
        assert (window.label != (0, 0)) == whole
        assert len(window.tokens) <= 96
    for window in held:
        assert window.text(context, *window.label) == answer.text
        assert window.text(context, 0, window.label[1]) == ""
        first, last = window.label
        if first < last:  # neither end can be left out
            assert window.text(context, first + 1, last) != answer.text
            assert window.text(context, first, last - 1) != answer.text


def test_windows_cover_the_context_and_share_the_stride() -> None:
    context = texts(3, seed=6)[0]
    question = Question("q", "who?", context, ())
    table = TABLES["wordpiece"]
    source = Spans([question], table, tokens=99, max_length=40, stride=10, seed=0)
    parts = [[i for i, span in zip(w.tokens, w.offsets, strict=True) if span is not None]
             for w in source.windows]  # fmt: skip
    joined = parts[0]
    for part in parts[1:]:
        assert joined[-10:] == part[:10]
        joined = joined + part[10:]
    assert joined == table.encode(context)
    assert all(window.label == (0, 0) for window in source.windows)


def test_a_batch_holds_windows_labels_and_segments() -> None:
    questions = [
        Question(str(i), "who?", context, (Answer(context.split()[0], 0),))
        for i, context in enumerate(CONTEXTS)
    ]
    source = Spans(questions, TABLES["wordpiece"], tokens=200, max_length=40, stride=8, seed=0)
    batch = source.batch(3)
    tokens, segments = batch.inputs["tokens"], batch.inputs["token_type_ids"]
    assert batch.labels.shape == (len(tokens), 2)
    assert segments.shape == tokens.shape and (segments[:, 0] == 0).all()
    sep = TABLES["wordpiece"].token_id("[SEP]")
    assert torch.equal((tokens == sep).sum(1), torch.full((len(tokens),), 2))
    plain = Spans(
        questions, TABLES["wordpiece"], tokens=200, max_length=40, stride=8, seed=0, segments=False
    )
    assert "token_type_ids" not in plain.batch(3).inputs


def test_wrong_answers_and_long_questions_are_refused() -> None:
    table = TABLES["wordpiece"]
    wrong = Question("q7", "who?", "the king ran", (Answer("dog", 4),))
    with pytest.raises(InputError, match=r"q7.*'kin'"):
        Spans([wrong], table, tokens=99, max_length=40, stride=8, seed=0)
    long = Question("q8", "who " * 60, "the king ran", ())
    with pytest.raises(InputError, match="no room for its second"):
        Spans([long], table, tokens=99, max_length=40, stride=8, seed=0)
    with pytest.raises(InputError, match="no examples"):
        Spans([], table, tokens=99, max_length=40, stride=8, seed=0)
