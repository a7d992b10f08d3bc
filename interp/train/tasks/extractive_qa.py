"""Questions whose answer is a piece of a given context (Rajpurkar et al. 2016, 1606.05250)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from interp.data.records import Answer, Question
from interp.data.spans import Spans, Window
from interp.errors import InputError
from interp.model.transformer import HookedTransformer
from interp.train.heads import with_head
from interp.train.metrics import Measure, Scores, squad
from interp.train.metrics.rouge import words
from interp.train.metrics.squad import squad_each
from interp.train.tasks.rows import Row
from interp.train.tasks.task import Trainable, batches, logits_of, require_head

_LONGEST = 30  # tokens of an answer
_SENTENCE = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class ExtractiveQA(Trainable[Question, list[str]]):
    """Extractive question answering; an answer is a piece of the context, or empty for none.

    Attributes:
        unanswerable: whether there are questions that the context does not answer. If not, the
            best piece is given, however doubtful.
    """

    name: ClassVar[str] = "extractive_qa"
    stop_on: ClassVar[str] = "f1"
    stop_higher: ClassVar[bool] = True

    unanswerable: bool = False

    @classmethod
    def of(cls, records: Sequence[Question]) -> Self:
        return cls(any(not record.answers for record in records))

    @classmethod
    def record(cls, row: Row) -> Question:
        context = row.text("context")
        texts = row.texts("answers") if row.has("answers") else ()
        if len(texts) == 1 and row.has("start"):
            starts = [row.number("start")]
        else:
            starts = [context.find(text) for text in texts]
        answers = []
        for text, start in zip(texts, starts, strict=True):
            if not text or start < 0 or context[start : start + len(text)] != text:
                raise InputError(f"{row.where}: the answer {text!r} is not where it should be.")
            answers.append(Answer(text, start))
        return Question(row.where, row.text("question"), context, tuple(answers))

    def prepare(self, model: HookedTransformer, seed: int = 0) -> HookedTransformer:
        return with_head(model, "span", seed=seed)

    def source(
        self, model: HookedTransformer, records: Sequence[Question], *, tokens: int, seed: int = 0
    ) -> Spans:
        return Spans(
            records,
            model.require_tokenizer(),
            tokens=tokens,
            max_length=model.cfg.n_ctx,
            stride=model.cfg.n_ctx // 4,
            seed=seed,
            segments=model.cfg.n_segments > 1,
        )

    def answer(
        self, model: HookedTransformer, records: Sequence[Question], *, progress: bool = False
    ) -> list[str]:
        """The best piece over all windows of the context.

        A piece scores by how much likelier its ends are than the first token as both, which stands
        for no answer in this window.
        """
        require_head(model, "span", self.name)
        least = 0.0 if self.unanswerable else -torch.inf
        best: list[tuple[float, str]] = [(least, "")] * len(records)
        source = self.source(model, records, tokens=1)
        for chosen, batch in batches(model, source, progress=progress):
            logits = logits_of(model, batch).cpu()
            mask = batch.inputs.get("attention_mask")
            if mask is not None:
                logits = logits.masked_fill(~mask.bool().cpu()[..., None], -torch.inf)
            for i, log_p in zip(chosen, logits.log_softmax(1), strict=True):
                window = source.windows[i]
                score, start, end = best_span(log_p, window)
                if score > best[window.question][0]:
                    context = records[window.question].context
                    best[window.question] = score, window.text(context, start, end)
        return [text for _, text in best]

    def measure(
        self, records: Sequence[Question], answers: list[str], *, seed: int = 0
    ) -> list[Measure]:
        return squad(answers, _right(records), seed=seed)

    def scores(self, records: Sequence[Question], answers: list[str]) -> Scores:
        return Scores.each("f1", squad_each(answers, _right(records))[:, 1])

    def watch(self, model: HookedTransformer, records: Sequence[Question]) -> dict[str, float]:
        found = self.measure(records, self.answer(model, records))
        return {one.metric: one.value for one in found}

    def baseline(
        self, train: Sequence[Question], records: Sequence[Question]
    ) -> tuple[str, list[str]]:
        """No answer, if most training questions have none; else the sentence of the context that
        shares the most words with the question."""
        if sum(not record.answers for record in train) > len(train) / 2:
            return "no answer", [""] * len(records)
        return "best-overlap sentence", [
            best_overlap(record.question, record.context) for record in records
        ]


def _right(records: Sequence[Question]) -> list[list[str]]:
    """The right answers to each question."""
    return [[answer.text for answer in record.answers] for record in records]


def best_span(log_p: Tensor, window: Window) -> tuple[float, int, int]:
    """The most probable start and end in the context: log-odds against none, and positions.

    The end is not before the start, and an answer has at most 30 tokens.

    Args:
        log_p: of starts and ends, [pos, 2].
    """
    inside = torch.tensor([span is not None for span in window.offsets])
    n = len(inside)
    start, end = (column.masked_fill(~inside, -torch.inf) for column in log_p[:n].unbind(1))
    allowed = torch.ones(n, n, dtype=torch.bool).triu().tril(_LONGEST - 1)
    scores = (start[:, None] + end[None, :]).masked_fill(~allowed, -torch.inf)
    place = int(scores.argmax())
    return float(scores.flatten()[place] - log_p[0].sum()), place // n, place % n


def best_overlap(question: str, context: str) -> str:
    """The first of the sentences that share the most different words with a question."""
    asked = set(words(question))
    return max(sentences(context), key=lambda sentence: len(asked & set(words(sentence))))


def sentences(text: str) -> list[str]:
    """A text cut behind marks that end a sentence; at least one."""
    return _SENTENCE.split(text.strip())
