"""Tasks that label texts and words: what is answered, how it is judged, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score

from interp.data.records import Example, Tagged
from interp.errors import ConfigError, InputError
from interp.train.tasks.classification import Classification, PairExample, balanced, label_set
from interp.train.tasks.rows import Row
from interp.train.tasks.token_classification import TokenClassification
from tests.train.tasks.small import examples, model, tagged

SHAPES = pytest.mark.parametrize("shape", ["decoder", "encoder"])


@SHAPES
def test_probabilities_are_those_of_each_text_alone(shape: str) -> None:
    records = examples(9)
    task = Classification.of(records)
    one = task.prepare(model(shape))
    found = task.answer(one, records)
    assert found.shape == (9, 2) and task.labels == ("neg", "pos")
    for row, record in zip(found, records, strict=True):
        with torch.no_grad():
            alone = one(record.text).softmax(-1)[0].numpy()
        np.testing.assert_allclose(row, alone, atol=1e-5)


@SHAPES
def test_words_are_labelled_as_in_their_sentence_alone(shape: str) -> None:
    records = tagged(9)
    task = TokenClassification.of(records)
    one = task.prepare(model(shape))
    answers = task.answer(one, records)
    for record, tags in zip(records, answers, strict=True):
        assert len(tags) == len(record.words)
        (again,) = task.answer(one, [record])
        assert again == tags
    # The first word stands behind one special token, whatever it is called.
    with torch.no_grad():
        logits = one(" ".join(records[0].words))[0]
    assert answers[0][0] == task.labels[int(logits[1].argmax())]


@SHAPES
def test_pairs_are_read_as_two_texts(shape: str) -> None:
    records = [PairExample("the cat", "yes", "a mat"), PairExample("the cat", "no", "no mat")]
    task = Classification.of(records)
    one = task.prepare(model(shape))
    first, second = task.answer(one, records)
    assert not np.allclose(first, second)
    with pytest.raises(InputError, match="1 of 2 examples are pairs"):
        task.source(one, [records[0], Example("a", "no")], tokens=100)


def test_figures_count_what_is_right() -> None:
    records = examples(20)
    task = Classification.of(records)
    sure = np.array([[0.1, 0.9] if r.label == "pos" else [0.9, 0.1] for r in records])
    right = {m.metric: m.value for m in task.measure(records, sure)}
    assert right["accuracy"] == right["f1_macro"] == 1 and right["ece"] == pytest.approx(0.1)
    wrong = {m.metric: m.value for m in task.measure(records, 1 - sure)}
    assert wrong["accuracy"] == 0 and wrong["ece"] == pytest.approx(0.9)


def test_words_behind_the_context_count_as_wrong() -> None:
    short, long = Tagged(("cat", "sat"), ("N", "O")), Tagged(("mat",) * 99, ("N",) * 99)
    task = TokenClassification(("N", "O"))
    one = task.prepare(model())
    answers = task.answer(one, [short, long])
    assert len(answers[0]) == 2 and 0 < len(answers[1]) < 48
    found = {m.metric: m for m in task.measure([short, long], answers)}
    hits = sum(a == b for a, b in zip(answers[0], short.tags, strict=True)) + answers[1].count("N")
    assert found["accuracy"].value == pytest.approx(hits / 101) and found["accuracy"].n == 2


def test_baselines_follow_training_alone() -> None:
    train = [Example("a", "x"), Example("b", "x"), Example("c", "y")]
    task = Classification.of(train)
    name, answers = task.baseline(train, [Example("d", "y"), Example("e", "x")])
    assert name == "most frequent class"
    np.testing.assert_allclose(answers, [[2 / 3, 1 / 3]] * 2)

    train_tags = [Tagged(("a", "a", "b"), ("X", "Y", "Y")), Tagged(("a", "c"), ("X", "Y"))]
    tags = TokenClassification.of(train_tags)
    _, answers_of_words = tags.baseline(train_tags, [Tagged(("a", "b", "new"), ("X", "X", "X"))])
    assert answers_of_words == [("X", "Y", "Y")]


def test_labels_that_are_numbers_are_in_the_order_of_numbers() -> None:
    assert label_set(["10", "9", "2", "9"]) == ("2", "9", "10")
    assert label_set(["b", "10", "a"]) == ("10", "a", "b")


def test_balanced_weights_let_each_class_count_alike() -> None:
    given = ["a"] * 6 + ["b"] * 2
    weights = balanced(("a", "b", "c"), given)
    totals = [given.count(label) * w for label, w in zip("abc", weights, strict=True)]
    assert totals == pytest.approx([4, 4, 0])
    records = [Example("t", label) for label in given]
    assert Classification(("a", "b")).class_weights(records) == weights[:2]
    tags = [Tagged(("w",) * 8, tuple(given))]
    assert TokenClassification(("a", "b")).class_weights(tags) == weights[:2]


def test_what_does_not_fit_the_model_or_the_labels_is_refused() -> None:
    records = examples(4)
    task = Classification.of(records)
    with pytest.raises(ConfigError, match="needs a model with the head 'classification'"):
        task.answer(model(), records)
    three = Classification(("neg", "other", "pos")).prepare(model())
    with pytest.raises(
        ConfigError,
        match="The model's classes are 'neg', 'other', 'pos', and the labels 'neg', 'pos'",
    ):
        task.answer(three, records)
    with pytest.raises(InputError, match="has the label 'maybe'"):
        task.source(task.prepare(model()), [Example("a", "maybe")], tokens=10)
    with pytest.raises(InputError, match="has the label 'maybe'"):
        task.measure([Example("a", "maybe")], np.array([[1.0, 0.0]]))


def test_records_of_lines() -> None:
    assert Classification.record(Row({"text": "a", "label": 1})) == Example("a", "1")
    pair = Classification.record(Row({"text": "a", "label": "x", "text_pair": "b"}))
    assert pair == PairExample("a", "x", "b")
    both = Tagged(("a", "b"), ("X", "Y"))
    assert TokenClassification.record(Row({"words": "a b", "labels": ["X", "Y"]})) == both
    with pytest.raises(InputError, match=r"2 and 1 words and labels \(f, line 3\)"):
        TokenClassification.record(Row({"words": "a b", "labels": "X"}, "f, line 3"))


def test_the_figures_of_words_are_those_of_scikit_learn() -> None:
    records = tagged(12)
    task = TokenClassification.of(records)
    answers = task.answer(task.prepare(model(seed=3)), records)
    found = {m.metric: m.value for m in task.measure(records, answers)}
    flat = [[tag for tags in some for tag in tags] for some in ([r.tags for r in records], answers)]
    assert found["accuracy"] == pytest.approx(accuracy_score(*flat))
