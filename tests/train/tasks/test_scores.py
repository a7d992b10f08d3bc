"""What examples add to a metric gives, together, the metric of all of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from interp.data.batch import IGNORED
from interp.train.metrics import Scores, sentence_chrf, translation
from interp.train.tasks.chat import Chatting, Replies
from interp.train.tasks.classification import Classification
from interp.train.tasks.extractive_qa import ExtractiveQA
from interp.train.tasks.language_modelling import LanguageModelling, MaskedLM
from interp.train.tasks.preferring import Margin, Preferring
from interp.train.tasks.sequence import GenerativeQA, Summarisation
from interp.train.tasks.task import Task
from interp.train.tasks.token_classification import TokenClassification
from tests.train.tasks.small import (
    dialogues,
    examples,
    model,
    pairs,
    preferences,
    questions,
    sentences,
    tagged,
)

N = 12
RANDOM = np.random.default_rng(0)
WROTE = sentences(N, 5)
CASES: list[tuple[Task[Any, Any], list[Any], Any]] = [
    (Classification(("neg", "pos")), examples(N), RANDOM.dirichlet((1, 1), N)),
    (
        TokenClassification(("N", "O")),
        tagged(N),
        [("N", "O", "N", "O", "N")[: len(r.words)] for r in tagged(N)],
    ),
    (Summarisation(), pairs(N), WROTE),
    (GenerativeQA(), pairs(N), WROTE),
    (ExtractiveQA(True), questions(N), ["cat", ""] * (N // 2)),
    (Chatting(), dialogues(N), [Replies(("cat",), float(i), i + 1) for i in range(N)]),
    (Preferring(), preferences(N), [Margin(i - 5.5, 0.0) for i in range(N)]),
]


@pytest.mark.parametrize(("task", "records", "answers"), CASES, ids=lambda x: type(x).__name__)
def test_scores_of_all_are_the_measure_of_all(
    task: Task[Any, Any], records: list[Any], answers: Any
) -> None:
    measures = {one.metric: one for one in task.measure(records, answers)}
    scores = task.scores(records, answers)
    whole = measures[scores.metric]
    assert scores.measure().value == pytest.approx(whole.value, abs=1e-12)
    assert scores.measure().n == whole.n == len(scores) == N
    assert scores.above.sum() / scores.below.sum() == pytest.approx(whole.value, abs=1e-12)
    if whole.metric == "accuracy" and scores.is_share:
        assert scores.measure().ci_low == whole.ci_low


@pytest.mark.parametrize(
    ("task", "shape"), [(LanguageModelling(), "decoder"), (MaskedLM(), "encoder")]
)
def test_texts_add_bits_and_bytes(task: LanguageModelling | MaskedLM, shape: str) -> None:
    texts = sentences(N)
    answers = task.answer(model(shape), texts)
    measures = {one.metric: one for one in task.measure(texts, answers)}
    scores = task.scores(texts, answers)
    assert not scores.higher and not scores.is_share
    assert scores.measure().value == pytest.approx(measures["bits_per_byte"].value, rel=1e-12)
    alone = {one.metric: one.value for one in task.measure(texts[3:4], answers[3:4])}
    assert scores.values[3] == pytest.approx(alone["bits_per_byte"], rel=1e-12)


@pytest.mark.parametrize(
    ("task", "shape"), [(LanguageModelling(), "decoder"), (MaskedLM(), "encoder")]
)
def test_frequencies_alone_are_judged_on_the_same_tokens(
    task: LanguageModelling | MaskedLM, shape: str
) -> None:
    one, learnt, texts = model(shape), sentences(30, 1), sentences(N)
    told, by_count = task.answer(one, texts), task.unigram(one, learnt, texts)
    assert [(t.tokens, t.n_bytes) for t in told] == [(t.tokens, t.n_bytes) for t in by_count]
    counts = np.ones(one.cfg.d_vocab)
    for part in task._parts(one, learnt)[0]:
        for label in part.labels:
            counts[label] += label != IGNORED
    labels = [i for part in task._parts(one, texts)[0] for i in part.labels if i != IGNORED]
    nats = sum(math.log(counts.sum() / counts[i]) for i in labels)
    assert sum(t.nats for t in by_count) == pytest.approx(nats, rel=1e-9)
    assert sum(t.hits for t in by_count) == labels.count(int(counts.argmax()))


def test_the_score_of_a_sentence_is_that_of_a_corpus_of_it() -> None:
    wrote = ["the cat sat", "dogs ran fast over there", "a mat"]
    right = [["the cat sat on it"], ["some dogs ran", "dogs ran very fast"], ["x y z"]]
    alone = [translation([w], [r])[1].value for w, r in zip(wrote, right, strict=True)]
    np.testing.assert_allclose(sentence_chrf(wrote, right), alone, atol=1e-9)


def test_a_part_of_the_scores_is_the_score_of_the_part() -> None:
    scores = Scores("x", np.array([1.0, 2.0, 3.0, 0.0]), np.array([2.0, 2.0, 4.0, 0.0]))
    assert scores.of(np.array([True, False, True, True])).measure().value == pytest.approx(4 / 6)
    np.testing.assert_array_equal(scores.values, [0.5, 1.0, 0.75, 0.0])
    assert Scores.each("hit", [True, False]).is_share and not Scores.each("x", [0.5]).is_share
