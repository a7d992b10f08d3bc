"""A label for each word of a sentence."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from interp.data.batch import IGNORED
from interp.data.examples import Examples, check_equally_many, class_index
from interp.data.labelled import TokenLabels
from interp.data.records import Tagged
from interp.model.transformer import HookedTransformer
from interp.train.heads import with_head
from interp.train.metrics import Measure, Scores, classes
from interp.train.tasks.classification import balanced, label_set, require_classes
from interp.train.tasks.rows import Row
from interp.train.tasks.task import Trainable, batches, logits_of, require_head


@dataclass(frozen=True)
class TokenClassification(Trainable[Tagged, list[tuple[str, ...]]]):
    """Token classification; an answer is a label for each word.

    The words of a sentence that lie behind the model's context get no label, which counts as a
    wrong one.

    Attributes:
        labels: the names of the classes, in the order of the model's outputs.
    """

    name: ClassVar[str] = "token_classification"
    stop_on: ClassVar[str] = "accuracy"
    stop_higher: ClassVar[bool] = True

    labels: tuple[str, ...] = ()

    @classmethod
    def record(cls, row: Row) -> Tagged:
        words, labels = row.words("words"), row.words("labels")
        check_equally_many(f"words and labels ({row.where})", words, labels)
        return Tagged(words, labels)

    @classmethod
    def of(cls, records: Sequence[Tagged]) -> Self:
        return cls(label_set(tag for record in records for tag in record.tags))

    def prepare(self, model: HookedTransformer, seed: int = 0) -> HookedTransformer:
        return with_head(model, "token_classification", self.labels, seed=seed)

    def source(
        self, model: HookedTransformer, records: Sequence[Tagged], *, tokens: int, seed: int = 0
    ) -> Examples:
        return TokenLabels(
            [record.words for record in records],
            [record.tags for record in records],
            self.labels,
            model.require_tokenizer(),
            tokens=tokens,
            max_length=model.cfg.n_ctx,
            seed=seed,
        )

    def answer(
        self, model: HookedTransformer, records: Sequence[Tagged], *, progress: bool = False
    ) -> list[tuple[str, ...]]:
        """The labels of each record's words; fewer where the context ended."""
        require_head(model, "token_classification", self.name)
        require_classes(model, self.labels)
        out: list[tuple[str, ...]] = [()] * len(records)
        source = self.source(model, records, tokens=1)
        for chosen, batch in batches(model, source, progress=progress):
            best = logits_of(model, batch).argmax(-1).cpu()
            first = (batch.labels != IGNORED).cpu()
            for i, row, places in zip(chosen, best, first, strict=True):
                out[i] = tuple(self.labels[k] for k in row[places].tolist())
        return out

    def measure(
        self, records: Sequence[Tagged], answers: list[tuple[str, ...]], *, seed: int = 0
    ) -> list[Measure]:
        """Accuracy and F1 over words; sentences are the independent examples."""
        unread = len(self.labels)
        true, predicted, sentence = [], [], []
        for i, (record, tags) in enumerate(zip(records, answers, strict=True)):
            true += class_index(record.tags, self.labels, f"Sentence {i}, word")
            missing = len(record.tags) - len(tags)
            predicted += [*class_index(tags, self.labels, "Answer"), *[unread] * missing]
            sentence += [i] * len(record.tags)
        return classes(
            np.array(true), np.array(predicted), unread + 1, group=np.array(sentence), seed=seed
        )

    def scores(self, records: Sequence[Tagged], answers: list[tuple[str, ...]]) -> Scores:
        """The share of words; what got no label is wrong."""
        hits = [
            sum(map(str.__eq__, record.tags, tags))
            for record, tags in zip(records, answers, strict=True)
        ]
        words = np.array([len(record.tags) for record in records], np.float64)
        return Scores("accuracy", np.array(hits, np.float64), words)

    def watch(self, model: HookedTransformer, records: Sequence[Tagged]) -> dict[str, float]:
        found = self.measure(records, self.answer(model, records))
        return {one.metric: one.value for one in found}

    def class_weights(self, records: Sequence[Tagged]) -> tuple[float, ...]:
        """Weights under which each class counts alike in training."""
        return balanced(self.labels, (tag for record in records for tag in record.tags))

    def baseline(
        self, train: Sequence[Tagged], records: Sequence[Tagged]
    ) -> tuple[str, list[tuple[str, ...]]]:
        """The most frequent label of the word in training, or of all words if it is new."""
        seen: dict[str, Counter[str]] = defaultdict(Counter)
        every: Counter[str] = Counter()
        for record in train:
            every.update(record.tags)
            for word, tag in zip(record.words, record.tags, strict=True):
                seen[word][tag] += 1
        usual = {word: tags.most_common(1)[0][0] for word, tags in seen.items()}
        other = every.most_common(1)[0][0]
        tags = [tuple(usual.get(word, other) for word in record.words) for record in records]
        return "most frequent label of the word", tags
