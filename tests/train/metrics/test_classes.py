"""Accuracy, precision, recall and F1 are those of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from interp.errors import InputError
from interp.train.metrics import classes

ANSWERS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)


@given(answers=ANSWERS, grouped=st.booleans())
def test_values_are_those_of_scikit_learn(answers: list[tuple[int, int]], grouped: bool) -> None:
    true, predicted = np.array(answers).T
    group = np.arange(len(true)) // 3 if grouped else None
    found = {m.metric: m.value for m in classes(true, predicted, 5, group=group)}
    for average in ("macro", "micro"):
        precision, recall, f1, _ = sklearn.precision_recall_fscore_support(
            true, predicted, average=average, zero_division=0
        )
        assert found[f"f1_{average}"] == pytest.approx(f1)
        if average == "macro":
            assert found["precision_macro"] == pytest.approx(precision)
            assert found["recall_macro"] == pytest.approx(recall)
    assert found["accuracy"] == pytest.approx(sklearn.accuracy_score(true, predicted))


def test_decisions_that_hang_together_count_once() -> None:
    """Repeating every decision of a sentence says nothing new, so no interval may shrink."""
    random = np.random.default_rng(0)
    true, predicted = random.integers(0, 3, (2, 80))
    group = np.arange(80)
    once = classes(true, predicted, 3, group=group)
    often = classes(np.repeat(true, 9), np.repeat(predicted, 9), 3, group=np.repeat(group, 9))
    for one, other in zip(once, often, strict=True):
        assert other.n == one.n == 80
        assert (other.ci_low, other.ci_high) == pytest.approx((one.ci_low, one.ci_high))


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InputError, match="class 7"):
        classes(np.array([0, 7]), np.array([0, 1]), 3)
    with pytest.raises(InputError, match="class -1"):
        classes(np.array([0, 1]), np.array([0, -1]), 3)
    with pytest.raises(InputError, match="2 right answers and 1 predictions"):
        classes(np.array([0, 1]), np.array([0]), 3)
    with pytest.raises(InputError, match="at least one"):
        classes(np.array([]), np.array([]), 3)
