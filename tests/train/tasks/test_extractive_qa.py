"""Answers are the most probable pieces of their context, over all windows of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from interp.data.batch import Batch
from interp.data.records import Answer, Question
from interp.data.spans import Window
from interp.errors import ConfigError, InputError
from interp.train.tasks import extractive_qa
from interp.train.tasks.extractive_qa import ExtractiveQA, best_overlap, best_span, sentences
from interp.train.tasks.rows import Row
from tests.train.tasks.small import model, questions


@given(n=st.integers(2, 45), first=st.integers(1, 4), seed=st.integers(0, 50))
def test_the_best_piece_by_brute_force(n: int, first: int, seed: int) -> None:
    first = min(first, n - 1)
    log_p = torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))
    offsets: list[Any] = [None] * first + [(i, i + 1) for i in range(n - first)]
    score, start, end = best_span(log_p, Window(0, [0] * n, [0] * n, offsets, (0, 0)))
    every = {
        (i, j): float(log_p[i, 0] + log_p[j, 1])
        for i in range(first, n)
        for j in range(i, min(n, i + 30))
    }
    assert every[start, end] == pytest.approx(max(every.values()))
    assert score == pytest.approx(max(every.values()) - float(log_p[0].sum()), abs=1e-5)


def test_an_answer_has_at_most_thirty_tokens_and_does_not_end_before_it_begins() -> None:
    window = Window(0, [0] * 45, [0] * 45, [None, *((i, i + 1) for i in range(44))], (0, 0))
    log_p = torch.zeros(45, 2)
    log_p[1, 0] = log_p[44, 1] = 5.0
    _, start, end = best_span(log_p, window)
    assert end - start < 30
    _, start, end = best_span(log_p.flip(1), window)
    assert start <= end


def oracle(model: Any, batch: Batch) -> Tensor:
    """Logits of a model that knows where the answer of each window is, if it is there."""
    rows, width = batch.inputs["tokens"].shape
    logits = torch.zeros(rows, width, 2)
    for row, (start, end) in enumerate(batch.labels.tolist()):
        logits[row, start, 0] = logits[row, end, 1] = 9.0
    return logits


@pytest.mark.parametrize("shape", ["decoder", "encoder"])
def test_who_knows_the_right_positions_is_always_right(
    shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extractive_qa, "logits_of", oracle)
    far = "the dogs ran fast " * 20
    records = [
        *questions(7),
        Question("far", "where the cat", far + "cat sat " + far, (Answer("cat sat", len(far)),)),
    ]
    task = ExtractiveQA.of(records)
    assert task.unanswerable
    one = task.prepare(model(shape))
    assert len(task.source(one, records, tokens=1)) > 2 + len(records)  # several windows
    found = {m.metric: m.value for m in task.measure(records, task.answer(one, records))}
    assert found["exact_match"] == found["f1"] == 1


def nothing(model: Any, batch: Batch) -> Tensor:
    """Logits of a model that finds no answer anywhere."""
    logits = torch.zeros(*batch.inputs["tokens"].shape, 2)
    logits[:, 0] = 9.0
    return logits


def test_where_every_question_has_an_answer_one_is_always_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(extractive_qa, "logits_of", nothing)
    records = [record for record in questions(9) if record.answers]
    task = ExtractiveQA.of(records)
    assert not task.unanswerable
    one = task.prepare(model("encoder"))
    answers = task.answer(one, records)
    assert all(answer and answer in r.context for answer, r in zip(answers, records, strict=True))
    assert ExtractiveQA(unanswerable=True).answer(one, records) == [""] * len(records)


def test_the_sentence_with_the_most_common_words() -> None:
    context = "It rained. The cat of Anna sat there! Anna ran."
    assert best_overlap("Where sat the cat?", context) == "The cat of Anna sat there!"
    assert best_overlap("Zebra?", context) == "It rained."
    assert sentences("One. Two? Three") == ["One.", "Two?", "Three"]
    assert sentences("") == [""]


def test_the_simple_rule_answers_nothing_where_that_is_usual() -> None:
    answered, nothing = questions(6)[1], questions(6)[0]
    one, other = [answered], [nothing, nothing, answered]
    assert ExtractiveQA().baseline(one, other)[0] == "best-overlap sentence"
    assert ExtractiveQA().baseline(other, one) == ("no answer", [""])


def test_records_of_lines() -> None:
    row = {"question": "q", "context": "a cat, a cat", "answers": "cat"}
    assert ExtractiveQA.record(Row(row)).answers == (Answer("cat", 2),)
    assert ExtractiveQA.record(Row({**row, "start": 9})).answers == (Answer("cat", 9),)
    several = ExtractiveQA.record(Row({**row, "answers": ["a cat", "cat"]}))
    assert several.answers == (Answer("a cat", 0), Answer("cat", 2))
    assert ExtractiveQA.record(Row({**row, "answers": None})).answers == ()
    for wrong in ({**row, "start": 3}, {**row, "answers": "dog"}, {**row, "start": -3}):
        with pytest.raises(InputError, match="is not where it should be"):
            ExtractiveQA.record(Row(wrong))
    with pytest.raises(ConfigError, match="head 'span'"):
        ExtractiveQA().answer(model(), questions(2))
