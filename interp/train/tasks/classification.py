"""One label for a text, or for a pair of texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from interp.data.examples import Examples, class_index
from interp.data.labelled import Labelled
from interp.data.records import Example
from interp.errors import ConfigError, InputError
from interp.model.transformer import HookedTransformer
from interp.train.heads import with_head
from interp.train.metrics import Measure, Scores, calibration, classes
from interp.train.tasks.rows import Row
from interp.train.tasks.task import Trainable, batches, logits_of, require_head


@dataclass(frozen=True)
class PairExample(Example):
    """A text and a second one, such as premise and hypothesis, with the name of their class."""

    second: str = ""


@dataclass(frozen=True)
class Classification(Trainable[Example, NDArray[np.float64]]):
    """Sequence classification; an answer is a row of probabilities, [n_classes].

    Attributes:
        labels: the names of the classes, in the order of the model's outputs.
    """

    name: ClassVar[str] = "classification"
    stop_on: ClassVar[str] = "accuracy"
    stop_higher: ClassVar[bool] = True

    labels: tuple[str, ...] = ()

    @classmethod
    def record(cls, row: Row) -> Example:
        text, label = row.text("text"), row.text("label")
        if row.has("text_pair"):
            return PairExample(text, label, row.text("text_pair"))
        return Example(text, label)

    @classmethod
    def of(cls, records: Sequence[Example]) -> Self:
        return cls(label_set(record.label for record in records))

    def prepare(self, model: HookedTransformer, seed: int = 0) -> HookedTransformer:
        return with_head(model, "classification", self.labels, seed=seed)

    def source(
        self, model: HookedTransformer, records: Sequence[Example], *, tokens: int, seed: int = 0
    ) -> Examples:
        return Labelled(
            [record.text for record in records],
            [record.label for record in records],
            self.labels,
            model.require_tokenizer(),
            tokens=tokens,
            max_length=model.cfg.n_ctx,
            seed=seed,
            second=_second(records),
            segments=model.cfg.n_segments > 1,
        )

    def answer(
        self, model: HookedTransformer, records: Sequence[Example], *, progress: bool = False
    ) -> NDArray[np.float64]:
        """Probabilities, [record, class]."""
        require_head(model, "classification", self.name)
        require_classes(model, self.labels)
        out = np.zeros((len(records), len(self.labels)))
        for chosen, batch in batches(
            model, self.source(model, records, tokens=1), progress=progress
        ):
            out[chosen] = logits_of(model, batch).softmax(-1).cpu().numpy()
        return out

    def measure(
        self,
        records: Sequence[Example],
        answers: NDArray[np.float64],
        *,
        seed: int = 0,
    ) -> list[Measure]:
        true = self.true(records)
        found = classes(true, answers.argmax(1), len(self.labels), seed=seed)
        return [*found, *calibration(answers, true, seed=seed)]

    def scores(self, records: Sequence[Example], answers: NDArray[np.float64]) -> Scores:
        return Scores.each("accuracy", answers.argmax(1) == self.true(records))

    def true(self, records: Sequence[Example]) -> NDArray[np.int64]:
        """The number of each record's class, [record]; `InputError` where there is none."""
        return np.array(class_index([record.label for record in records], self.labels, "Text"))

    def watch(self, model: HookedTransformer, records: Sequence[Example]) -> dict[str, float]:
        found = self.measure(records, self.answer(model, records))
        return {one.metric: one.value for one in found}

    def class_weights(self, records: Sequence[Example]) -> tuple[float, ...]:
        """Weights under which each class counts alike in training."""
        return balanced(self.labels, (record.label for record in records))

    def baseline(
        self, train: Sequence[Example], records: Sequence[Example]
    ) -> tuple[str, NDArray[np.float64]]:
        """The most frequent class; each class is as probable as it is frequent."""
        counts = Counter(record.label for record in train)
        shares = np.array([counts[label] for label in self.labels]) / len(train)
        return "most frequent class", np.tile(shares, (len(records), 1))


def balanced(labels: Sequence[str], given: Iterable[str]) -> tuple[float, ...]:
    """Weights of classes under which each counts alike, however frequent it is.

    Their mean over the given labels is 1; a class that does not occur has 0.
    """
    counts = Counter(given)
    present = sum(1 for label in labels if counts[label])
    total = sum(counts.values())
    return tuple(total / (present * counts[label]) if counts[label] else 0.0 for label in labels)


def label_set(labels: Iterable[str]) -> tuple[str, ...]:
    """Every label once, in order: of their numbers, if all of them are numbers."""
    found = set(labels)
    if all(label.isdecimal() for label in found):
        return tuple(sorted(found, key=lambda label: (int(label), label)))
    return tuple(sorted(found))


def require_classes(model: HookedTransformer, labels: Sequence[str]) -> None:
    """Raises `ConfigError` unless the model has one output for each label, by its name if it has
    names."""
    named = model.cfg.class_names
    if named and named != tuple(labels):
        raise ConfigError(
            f"The model's classes are {', '.join(map(repr, named[:8]))}, and the labels "
            f"{', '.join(map(repr, list(labels)[:8]))}. Give them in the model's order, or "
            "fine-tune it on these."
        )
    if model.cfg.n_classes != len(labels):
        raise ConfigError(
            f"The model has {model.cfg.n_classes} classes, and there are {len(labels)} labels: "
            f"{', '.join(map(repr, list(labels)[:8]))}. Give the labels in the order of the "
            "model's outputs, or fine-tune it on these."
        )


def _second(records: Sequence[Example]) -> list[str] | None:
    pairs = [record.second for record in records if isinstance(record, PairExample)]
    if pairs and len(pairs) != len(records):
        raise InputError(
            f"{len(pairs)} of {len(records)} examples are pairs of texts; make it all or none."
        )
    return pairs or None
