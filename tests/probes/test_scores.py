"""Metrics agree with scikit-learn, and scores that say nothing get what chance gets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from probes.controls import control_labels, held_out, majority, type_majority
from probes.scores import UNKNOWN, Judged, means

N, CLASSES = 600, 4


def made() -> tuple[torch.Tensor, np.ndarray, np.ndarray, np.ndarray]:
    """Scores [2, N, CLASSES] with ties, classes, their shares, and sentences."""
    generator = np.random.default_rng(0)
    truth = generator.choice(CLASSES, N, p=[0.5, 0.3, 0.15, 0.05])
    scores = np.round(generator.normal(size=(2, N, CLASSES)), 1)
    scores[0, np.arange(N), truth] += 1
    shares = np.bincount(truth, minlength=CLASSES) / N
    return torch.from_numpy(scores), truth, shares, np.arange(N) // 7


def test_the_metrics_are_those_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    scores, truth, shares, sentences = made()
    scores += torch.linspace(0, 1e-6, CLASSES)  # without ties between classes
    judged = Judged.of(scores, truth, shares)
    found, _ = means(judged, CLASSES, sentences, {}, 10)
    for i in range(2):
        said = scores[i].argmax(1).numpy()
        assert found["accuracy"][i] == pytest.approx(metrics.accuracy_score(truth, said))
        balanced = metrics.balanced_accuracy_score(truth, said)
        assert found["balanced_accuracy"][i] == pytest.approx(balanced)
        macro = metrics.f1_score(truth, said, average="macro")
        assert found["macro_f1"][i] == pytest.approx(macro)
        micro = metrics.f1_score(truth, said, average="micro")
        assert found["micro_f1"][i] == pytest.approx(micro)
        each = metrics.f1_score(truth, said, average=None)
        assert found["f1"][i] == pytest.approx(each)
        p = torch.softmax(scores[i], 1).numpy()
        areas = [metrics.roc_auc_score(truth == c, p[:, c]) for c in range(CLASSES)]
        assert judged.auroc[i] == pytest.approx(np.mean(areas))
        bits = (metrics.log_loss(truth, np.tile(shares, (N, 1))) - metrics.log_loss(truth, p)) / (
            np.log(2)
        )
        assert found["bits"][i] == pytest.approx(bits)


def test_constant_scores_are_worth_what_chance_is() -> None:
    _, truth, shares, sentences = made()
    judged = Judged.of(torch.zeros(1, N, CLASSES), truth, shares)
    found, drawn = means(judged, CLASSES, sentences, {}, 10)
    assert found["accuracy"][0] == 1 / CLASSES and (drawn["accuracy"] == 1 / CLASSES).all()
    assert judged.auroc[0] == 0.5
    prior = Judged.of(torch.from_numpy(shares).log().expand(1, N, -1), truth, shares)
    assert means(prior, CLASSES, sentences, {}, 10)[0]["bits"][0] == pytest.approx(0, abs=1e-12)


def test_a_word_of_an_unknown_class_is_always_wrong() -> None:
    scores, truth, shares, _ = made()
    truth[:10] = UNKNOWN
    judged = Judged.of(scores, truth, shares)
    assert (judged.right[:10] == 0).all() and (judged.saved[:10] == 0).all()
    # What no probe was fitted to can be said wrongly, and cannot be missed.
    metrics = pytest.importorskip("sklearn.metrics")
    scores += torch.linspace(0, 1e-6, CLASSES)
    found, _ = means(Judged.of(scores, truth, shares), CLASSES, np.arange(N), {}, 10)
    micro = metrics.f1_score(truth, scores[0].argmax(1), average="micro", labels=range(CLASSES))
    assert found["micro_f1"][0] == pytest.approx(micro)
    assert np.isfinite(judged.auroc).all()


def test_draws_are_paired() -> None:
    scores, truth, shares, sentences = made()
    same = Judged.of(scores[:1].expand(2, -1, -1), truth, shares)
    _, drawn = means(same, CLASSES, sentences, {"twice": 2 * same.right}, 50)
    for values in drawn.values():
        np.testing.assert_array_equal(values[:, 0], values[:, 1])
    np.testing.assert_allclose(drawn["twice"], 2 * drawn["accuracy"], atol=1e-12)
    assert drawn["accuracy"].std() > 0


def test_a_control_label_belongs_to_the_word_alone() -> None:
    types = [f"w{i % 300}" for i in range(900)]
    shares = np.array([0.7, 0.2, 0.1])
    labels = control_labels(types, shares, 0)
    assert all(len(set(labels[i::300].tolist())) == 1 for i in range(300))
    np.testing.assert_array_equal(control_labels(types[::-1], shares, 0)[::-1], labels)
    assert (control_labels(types, shares, 1) != labels).any()
    many = control_labels([f"v{i}" for i in range(20_000)], shares, 0)
    np.testing.assert_allclose(np.bincount(many) / 20_000, shares, atol=0.015)


names = st.lists(st.sampled_from([f"w{i}" for i in range(12)]), min_size=1, max_size=30)


@given(names, names)
def test_no_name_is_on_both_sides_of_a_fold(train: list[str], test: list[str]) -> None:
    judged = np.zeros(len(test), np.int64)
    for fitted, mine in held_out(train, test, 5):
        here = {name for name, inside in zip(test, mine, strict=True) if inside}
        there = {name for name, inside in zip(train, fitted, strict=True) if inside}
        assert here and not here & there
        # What is not judged here is not lost to the fit, unless its fold is the same.
        assert {n for n, inside in zip(test, mine, strict=True) if not inside} & {*train} <= there
        judged += mine
    assert (judged == 1).all()


def test_folds_are_about_equally_large() -> None:
    many = [f"w{i}" for i in range(5000)]
    sizes = [mine.sum() for _, mine in held_out(many, many, 5)]
    assert len(sizes) == 5 and min(sizes) > 850


def test_guesses_from_the_word_alone() -> None:
    train = ["D", "D", "N", "V", "V", "N"]
    types = ["the", "the", "cat", "run", "run", "run"]
    assert majority(train, 2) == ["D", "D"]
    # "run" is mostly a verb; what was never seen is like the one word that was seen once.
    assert type_majority(types, train, ["the", "run", "dog"]) == ["D", "V", "N"]
