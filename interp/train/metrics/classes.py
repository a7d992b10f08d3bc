"""How often the right class is found: accuracy, precision, recall and F1."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interp.errors import InputError
from interp.train.metrics.interval import Floats, Measure, of_sums, proportion, ratio


def classes(
    true: NDArray[Any],
    predicted: NDArray[Any],
    n_classes: int,
    *,
    group: NDArray[Any] | None = None,
    seed: int = 0,
) -> list[Measure]:
    """Accuracy, and precision, recall and F1, averaged over classes and over decisions.

    The average over classes (`macro`) is over those that occur, as right answer or as prediction;
    one that is never predicted has precision 0. With one answer to each question, the average over
    decisions (`micro`) of all three equals the accuracy, so it is given once, as `f1_micro`.

    Args:
        true, predicted: [n] class numbers, 0 to n_classes - 1.
        group: [n], which independent example each decision belongs to (the words of one sentence
            are not independent); by default each is one of its own.

    Raises:
        InputError: nothing to measure, unequal lengths, a class number out of range.
    """
    true, predicted = np.asarray(true, np.int64), np.asarray(predicted, np.int64)
    _check(true, predicted, n_classes)
    which = np.arange(len(true)) if group is None else np.unique(group, return_inverse=True)[1]
    counts = _counts(true, predicted, n_classes, which)
    accuracy = _of_counts("accuracy", counts, _accuracy, seed)
    if group is None:
        accuracy = proportion("accuracy", int((true == predicted).sum()), len(true))
    macro = [
        _of_counts(f"{name}_macro", counts, partial(_macro, score), seed)
        for name, score in (("precision", _precision), ("recall", _recall), ("f1", _f1))
    ]
    return [accuracy, *macro, _of_counts("f1_micro", counts, _accuracy, seed)]


def _counts(
    true: NDArray[Any], predicted: NDArray[Any], n_classes: int, group: NDArray[Any]
) -> Floats:
    """[group, 3 * n_classes]: hits, predictions and right answers of each class."""
    hit = true == predicted
    place = np.concatenate(
        [
            3 * group[hit] * n_classes + true[hit],
            (3 * group + 1) * n_classes + predicted,
            (3 * group + 2) * n_classes + true,
        ]
    )
    width = 3 * n_classes
    counts = np.bincount(place, minlength=(int(group.max()) + 1) * width)
    return counts.reshape(-1, width).astype(np.float64)


def _of_counts(name: str, counts: Floats, value: Callable[..., Floats], seed: int) -> Measure:
    n_classes = counts.shape[1] // 3

    def of(sums: Floats) -> Floats:
        hits, predictions, answers = np.moveaxis(
            sums.reshape(*sums.shape[:-1], 3, n_classes), -2, 0
        )
        return value(hits, predictions, answers)

    return of_sums(name, counts, of, seed=seed)


def _accuracy(hits: Floats, predictions: Floats, answers: Floats) -> Floats:
    return ratio(hits.sum(-1), answers.sum(-1))


def _macro(
    score: Callable[..., Floats], hits: Floats, predictions: Floats, answers: Floats
) -> Floats:
    occurs = (predictions + answers) > 0
    return ratio(score(hits, predictions, answers).sum(-1), occurs.sum(-1))


def _precision(hits: Floats, predictions: Floats, answers: Floats) -> Floats:
    return ratio(hits, predictions)


def _recall(hits: Floats, predictions: Floats, answers: Floats) -> Floats:
    return ratio(hits, answers)


def _f1(hits: Floats, predictions: Floats, answers: Floats) -> Floats:
    return ratio(2 * hits, predictions + answers)


def _check(true: NDArray[Any], predicted: NDArray[Any], n_classes: int) -> None:
    if len(true) != len(predicted) or not len(true):
        raise InputError(
            f"There are {len(true)} right answers and {len(predicted)} predictions; give as many "
            "of one as of the other, and at least one."
        )
    for name, values in (("right answers", true), ("predictions", predicted)):
        if values.min() < 0 or values.max() >= n_classes:
            raise InputError(
                f"The {name} hold class {values.max() if values.min() >= 0 else values.min()}; "
                f"there are {n_classes} classes, from 0 on."
            )
