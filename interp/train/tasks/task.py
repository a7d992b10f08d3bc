"""What evaluation and fine-tuning need to know of a task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar

import torch
from torch import Tensor
from tqdm import tqdm

from interp.data.batch import Batch
from interp.data.examples import Examples
from interp.errors import ConfigError, InputError
from interp.model.transformer import HookedTransformer
from interp.train.metrics import Measure, Scores
from interp.train.objective import CrossEntropy, Objective
from interp.train.tasks.rows import Row, read_rows

Record = TypeVar("Record")
Answers = TypeVar("Answers")


class Task(ABC, Generic[Record, Answers]):
    """A kind of question to a model, and how its answers are judged.

    Subclasses are frozen dataclasses whose fields are all that must be known to put the question,
    such as the names of the classes.
    """

    name: ClassVar[str]

    @classmethod
    @abstractmethod
    def read(cls, path: Path | str) -> list[Record]:
        """The records of a file.

        Raises:
            InputError: there are none, or one is not of this task.
        """

    @classmethod
    def of(cls, records: Sequence[Record]) -> Self:
        """The task that records pose."""
        return cls()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `interp.train.tasks.from_dict` reads them."""
        return {"task": self.name, **asdict(self)}  # type: ignore[call-overload]

    @abstractmethod
    def answer(
        self, model: HookedTransformer, records: Sequence[Record], *, progress: bool = False
    ) -> Answers:
        """The model's answer to each record."""

    @abstractmethod
    def measure(
        self, records: Sequence[Record], answers: Answers, *, seed: int = 0
    ) -> list[Measure]:
        """How good answers are."""

    @abstractmethod
    def scores(self, records: Sequence[Record], answers: Answers) -> Scores:
        """How good each answer is, by one metric: what parts of the records are compared by."""


class Trainable(Task[Record, Answers]):
    """A task that a model is fine-tuned on."""

    stop_on: ClassVar[str] = "loss"
    """The figure of `watch` by which training may end early."""
    stop_higher: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def record(cls, row: Row) -> Record:
        """The record on a line of a file; `InputError` says what is wrong with it."""

    @classmethod
    def read(cls, path: Path | str) -> list[Record]:
        records = [cls.record(row) for row in read_rows(path)]
        if not records:
            raise InputError(f"{path} holds no example.")
        return records

    def prepare(self, model: HookedTransformer, seed: int = 0) -> HookedTransformer:
        """The model with the head that the task needs; `ConfigError` if it cannot have it."""
        return model

    @abstractmethod
    def source(
        self, model: HookedTransformer, records: Sequence[Record], *, tokens: int, seed: int = 0
    ) -> Examples:
        """The records as training batches of at most so many tokens."""

    def objective(self, model: HookedTransformer) -> Objective:
        """What training makes smaller, given the model before training."""
        return CrossEntropy()

    def watch(self, model: HookedTransformer, records: Sequence[Record]) -> dict[str, float]:
        """Figures of a model in training, besides the loss."""
        return {}

    @abstractmethod
    def baseline(self, train: Sequence[Record], records: Sequence[Record]) -> tuple[str, Answers]:
        """What a simple rule answers, and its name: what a model is to be better than."""


def by_length(
    lengths: Sequence[int], tokens: int, *, progress: bool = False, unit: str = "example"
) -> Iterator[list[int]]:
    """Indices of examples in batches of like length, the longest first, each index once.

    Args:
        tokens: the most in a batch, as rows times the longest; a longer example is alone.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    with tqdm(total=len(order), unit=unit, disable=not progress) as bar:
        while order:
            rows = max(1, tokens // max(int(lengths[order[0]]), 1))
            chosen, order = order[:rows], order[rows:]
            yield chosen
            bar.update(len(chosen))


def batches(
    model: HookedTransformer, source: Examples, *, progress: bool = False
) -> Iterator[tuple[list[int], Batch]]:
    """All of a source once, on the model's device: which examples, and their batch."""
    lengths = source.order.lengths.tolist()
    for chosen in by_length(lengths, evaluation_tokens(model), progress=progress):
        yield chosen, source.collate(chosen).to(model.embed.weight.device)


def evaluation_tokens(model: HookedTransformer) -> int:
    """Tokens of a batch in evaluation: as many as keep the logits below about 256 MB."""
    outputs = model.cfg.d_vocab_out if model.cfg.has_vocabulary_head else 1
    return max(model.cfg.n_ctx, min(2**13, 2**26 // outputs))


@torch.no_grad()
def logits_of(model: HookedTransformer, batch: Batch) -> Tensor:
    """What the model puts out for a batch, in float32."""
    logits: Tensor = model(**batch.inputs)
    return logits.float()


@torch.no_grad()
def loss_of(model: HookedTransformer, source: Examples, objective: Objective) -> float:
    """The mean loss over all of a source."""
    total = count = 0.0
    for _, batch in batches(model, source):
        total += float(objective(model, batch))
        count += objective.count(batch)
    return total / count


def require_head(model: HookedTransformer, head: str, task: str) -> None:
    """Raises `ConfigError` unless the model has this head."""
    if model.cfg.head != head:
        raise ConfigError(
            f"The task {task} needs a model with the head {head!r}; this one has "
            f"{model.cfg.head!r}. Fine-tune it on the task first."
        )


def require_shape(model: HookedTransformer, shapes: tuple[str, ...], task: str) -> None:
    """Raises `ConfigError` unless the model has one of these shapes and a language model's head."""
    if model.cfg.shape not in shapes or model.cfg.head not in ("lm", "mlm"):
        raise ConfigError(
            f"The task {task} needs a language model of the shape {' or '.join(shapes)}; this one "
            f"is of the shape {model.cfg.shape} with the head {model.cfg.head!r}."
        )
