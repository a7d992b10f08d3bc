"""Questions whose answer is a piece of a context (Rajpurkar et al. 2016, arXiv 1606.05250)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from interp.data.batch import Batch, pad
from interp.data.encoding import encode_framed, pad_id
from interp.data.examples import Examples, padded
from interp.data.order import Indices
from interp.data.records import Answer, Question
from interp.errors import InputError
from interp.tokenizer import Tokenizer


@dataclass(frozen=True)
class Window:
    """A question with a part of its context that fits the model.

    Attributes:
        question: place of the question in the list.
        tokens, token_type_ids: [pos], question and context in the tokenizer's template.
        offsets: [pos], the characters of the context that a token stands for; None for the
            question and special tokens.
        label: positions of the first and the last token of the answer; (0, 0), the first special
            token, where this part of the context has none.
    """

    question: int
    tokens: list[int]
    token_type_ids: list[int]
    offsets: list[tuple[int, int] | None]
    label: tuple[int, int]

    def text(self, context: str, start: int, end: int) -> str:
        """What the context says from token `start` to token `end`; empty outside the context."""
        first, last = self.offsets[start], self.offsets[end]
        if first is None or last is None:
            return ""
        return context[first[0] : last[1]].strip()


class Spans(Examples):
    """Question and context in the tokenizer's template; first and last token of the answer.

    A context that does not fit becomes several windows, each repeating `stride` tokens of the one
    before. Of several right answers the first is learnt.

    Args:
        questions: an answer must stand in its context where it says.
        tokens: the most in a batch, padding included.
        max_length: tokens of a window.
        stride: tokens of the context that neighbouring windows share, so that no answer shorter
            than that is lost between them.
        segments: give `token_type_ids`, for models that have segments.

    Raises:
        InputError: no questions, an answer that is not in its context, or a question so long that
            no context fits.
    """

    def __init__(
        self,
        questions: Sequence[Question],
        tokenizer: Tokenizer,
        *,
        tokens: int,
        max_length: int,
        stride: int,
        seed: int,
        segments: bool = True,
    ):
        self.pad = pad_id(tokenizer)
        self.segments = segments
        encoded = encode_framed(
            tokenizer,
            [question.question.strip() for question in questions],
            [question.context for question in questions],
            max_length=max_length,
            stride=stride,
        )
        self.windows: list[Window] = []
        for i, (question, first) in enumerate(zip(questions, encoded, strict=True)):
            answer = _checked(question)
            for part in (first, *first.overflowing):
                spans = zip(part.offsets, part.sequence_ids, strict=True)
                offsets = [span if text == 1 else None for span, text in spans]
                label = _positions(offsets, answer)
                self.windows.append(Window(i, list(part.ids), list(part.type_ids), offsets, label))
        super().__init__([len(window.tokens) for window in self.windows], tokens, seed)

    def collate(self, chosen: Indices | Sequence[int]) -> Batch:
        """`tokens`, `token_type_ids`, mask, and labels [row, 2]."""
        windows = [self.windows[i] for i in chosen]
        inputs = padded([window.tokens for window in windows], self.pad)
        if self.segments:
            inputs["token_type_ids"] = pad([window.token_type_ids for window in windows], 0)
        return Batch(inputs, torch.tensor([window.label for window in windows]))


def _checked(question: Question) -> Answer | None:
    for answer in question.answers:
        end = answer.start + len(answer.text)
        found = question.context[answer.start : end] if answer.start >= 0 else ""
        if not answer.text or found != answer.text:
            raise InputError(
                f"Question {question.id}: the context has {found!r} at character {answer.start}, "
                f"not the answer {answer.text!r}."
            )
    return question.answers[0] if question.answers else None


def _positions(offsets: Sequence[tuple[int, int] | None], answer: Answer | None) -> tuple[int, int]:
    """First and last token with characters of the answer; (0, 0) unless all of it is here."""
    if answer is None:
        return 0, 0
    begin, end = answer.start, answer.start + len(answer.text)
    here = [(i, span) for i, span in enumerate(offsets) if span is not None]
    inside = [i for i, span in here if span[0] < end and span[1] > begin]
    if not inside or here[0][1][0] > begin or here[-1][1][1] < end:
        return 0, 0
    return inside[0], inside[-1]
