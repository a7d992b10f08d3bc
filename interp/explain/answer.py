"""Whole answers: every generated token explained by every token before it, in one matrix."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interp.errors import InputError, UnsupportedModelError
from interp.explain.attribution import Cost, write_text
from interp.explain.baseline import Baseline
from interp.explain.by_term import METHODS, TermScores
from interp.explain.memory import PeakMemory
from interp.explain.points import Point
from interp.explain.reading import read_tokens
from interp.explain.target import Target
from interp.explain.units import Units, UnitSpec, divide

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class AnswerAttribution:
    """How much each token raised the log-probability of each token of an answer, in nats.

    Attributes:
        answer: text of each token of the answer.
        tokens: text of each token (or unit) that is read: the prompt (or source), and the answer
            as far as anything is predicted from it.
        side: `input` (or `source` and `target`) of each.
        scores: [answer, unit]; 0 where a token comes after what is predicted.
        values, baseline_values: the log-probability of each token of the answer at the text and
            at the baseline.
        completeness_errors: of each row, as for `Attribution`; None if the method claims none.
        rows_converged: whether each row is within the method's tolerance.
    """

    answer: tuple[str, ...]
    answer_ids: tuple[int, ...]
    tokens: tuple[str, ...]
    token_ids: tuple[int, ...]
    side: tuple[str, ...]
    groups: tuple[tuple[int, ...], ...]
    scores: NDArray[np.float64]
    values: tuple[float, ...]
    baseline_values: tuple[float, ...]
    method: str
    baseline: str
    completeness_errors: tuple[float, ...] | None
    rows_converged: tuple[bool, ...]
    cost: Cost
    model: Any

    @property
    def converged(self) -> bool:
        """Whether every row is within the method's tolerance."""
        return all(self.rows_converged)

    def by(self, units: UnitSpec = "words", answer: UnitSpec = "words") -> AnswerAttribution:
        """The same with tokens put together; signed sums, so every row still adds up.

        Args:
            units, answer: of what is read and of the answer, as for `attribute`.
        """
        tokenizer = self.model.tokenizer
        sides = [self.side[i] for i, group in enumerate(self.groups) for _ in group]
        if len(self.groups) != len(self.token_ids):
            raise InputError("These scores are put together already; start from those of tokens.")
        columns = divide(units, self.token_ids, sides, self.tokens, tokenizer)
        one = ["answer"] * len(self.answer)
        rows = divide(answer, self.answer_ids, one, self.answer, tokenizer)
        scores = _added(_added(self.scores, columns, 1), rows, 0)
        values, starts = (
            tuple(_added(np.array(x), rows, 0).tolist())
            for x in (self.values, self.baseline_values)
        )
        errors = None
        if self.completeness_errors is not None:
            errors = _errors(scores, values, starts)
        return AnswerAttribution(
            **{
                **self.__dict__,
                "answer": rows.names,
                "tokens": columns.names,
                "side": columns.sides,
                "groups": columns.groups,
                "scores": scores,
                "values": values,
                "baseline_values": starts,
                "completeness_errors": errors,
                "rows_converged": tuple(
                    all(self.rows_converged[i] for i in group) for group in rows.groups
                ),
            }
        )

    def to_frame(self) -> pd.DataFrame:
        """A row per pair: answer_position, answer_token, position, token, side, score."""
        import pandas as pd

        n, m = self.scores.shape
        return pd.DataFrame(
            {
                "answer_position": np.repeat(np.arange(n), m),
                "answer_token": np.repeat(np.array(self.answer, dtype=object), m),
                "position": np.tile(np.arange(m), n),
                "token": np.tile(np.array(self.tokens, dtype=object), n),
                "side": np.tile(np.array(self.side, dtype=object), n),
                "score": self.scores.reshape(-1),
            }
        )

    def to_html(self, path: str | Path | None = None) -> str:
        """A page that opens without a network: the matrix, and what one must know of it."""
        from interp.figures.answer import answer_table_html
        from interp.figures.page import facts_html, page_html

        text = page_html(
            f"Where does the answer come from? ({self.method.replace('_', ' ')})",
            facts_html(self.facts()),
            answer_table_html(self.answer, self.tokens, self.scores),
        )
        if path is not None:
            write_text(Path(path), text)
        return text

    def facts(self) -> dict[str, str]:
        """What a reader must know to judge the scores, in words."""
        errors, cost = self.completeness_errors, self.cost
        claim = "not claimed by this method" if errors is None else f"{max(errors):.2%} at most"
        if not self.converged:
            late = [t for t, fine in zip(self.answer, self.rows_converged, strict=True) if not fine]
            claim += f", above the tolerance for {', '.join(map(repr, late))}: do not rely on those"
        return {
            "target": "log-probability of each token of the answer, in nats",
            "of the whole answer": f"{sum(self.values):.4g}",
            "baseline": f"{self.baseline}: {sum(self.baseline_values):.4g}",
            "completeness error": claim,
            "cost": f"{cost.forwards} forwards, {cost.backwards} backwards, {cost.seconds:.2f} s",
        }


def attribute_answer(
    model: Any,
    text: str | Tensor | list[int],
    answer: str | Sequence[int] | None = None,
    method: str = "integrated_gradients",
    baseline: Baseline | None = None,
    *,
    fixed: bool = False,
    max_new_tokens: int = 25,
    inputs: dict[str, Any] | None = None,
    batch_size: int | None = None,
    **options: Any,
) -> AnswerAttribution:
    """Explains every token of an answer by everything before it, at once.

    One forward serves all tokens of the answer: each is predicted by the same teacher-forced pass.
    The rows add up to what `attribute` gives for `Target.continuation(answer)`.

    Args:
        text: the prompt; of an encoder-decoder, the source.
        answer: text or ids; by default what the model itself writes, greedily.
        method: `integrated_gradients`, `gradient_x_input` or `leave_one_out`.
        fixed: the answer's own tokens have no scores, see `Target.continuation`.
        max_new_tokens: of an answer that is still to be written.

    Raises:
        InputError: an unknown method or option; see `attribute` for the rest.
        UnsupportedModelError: a model that writes no text.
    """
    if method not in METHODS:
        raise InputError(f"A whole answer is explained by {', '.join(METHODS)}, not {method!r}.")
    if model.cfg.shape == "encoder" or not model.cfg.has_vocabulary_head:
        raise UnsupportedModelError("This model writes no text, so it has no answer to explain.")
    baseline = baseline or Baseline.mean()
    started = time.perf_counter()
    with torch.inference_mode(False), PeakMemory(model.W_E.device) as memory:
        target = Target.continuation(
            _written(model, text, max_new_tokens) if answer is None else answer, fixed=fixed
        )
        point = Point.read(model, text, target, baseline, inputs or {}, batch_size=batch_size)
        try:
            rows: TermScores = METHODS[method](point, **options)
        except TypeError as problem:
            if "unexpected keyword" not in str(problem):
                raise
            raise InputError(f"{method} does not take these options: {problem}.") from problem
    found = rows.scores.double().cpu().numpy()
    ids = point.target.tokens
    values = tuple(point.ends[0].tolist())
    starts = tuple(point.ends[1:].mean(0).tolist())
    return AnswerAttribution(
        answer=tuple(_texts(model, ids)),
        answer_ids=ids,
        tokens=point.units.names,
        token_ids=tuple(point.token_ids),
        side=point.units.sides,
        groups=point.units.groups,
        scores=found,
        values=values,
        baseline_values=starts,
        method=method,
        baseline=baseline.description,
        completeness_errors=_errors(found, values, starts) if rows.complete else None,
        rows_converged=rows.converged,
        cost=Cost(point.forwards, point.backwards, time.perf_counter() - started, memory.peak),
        model=model,
    )


# -- small things --


def _written(model: Any, text: Any, max_new_tokens: int) -> list[int]:
    """The ids that the model writes after a text."""
    tokens = read_tokens(model, text)
    with torch.no_grad():
        out = model.generate(
            tokens,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            return_type="tokens",
            verbose=False,
        )
    start = 1 if model.cfg.shape == "encoder_decoder" else tokens.shape[1]
    ids: list[int] = out[0, start:].tolist()
    if not ids:
        raise InputError("The model writes nothing after this text; give an answer.")
    return ids


def _texts(model: Any, ids: Sequence[int]) -> list[str]:
    if model.tokenizer is None:
        return [str(i) for i in ids]
    return [str(t) for t in model.to_str_tokens(torch.tensor(list(ids)))]


def _added(values: NDArray[np.float64], units: Units, axis: int) -> NDArray[np.float64]:
    parts = [values.take(list(group), axis).sum(axis, keepdims=True) for group in units.groups]
    return np.concatenate(parts, axis)


def _errors(
    scores: NDArray[np.float64], values: Sequence[float], starts: Sequence[float]
) -> tuple[float, ...]:
    difference = np.array(values) - np.array(starts)
    gap = np.abs(scores.sum(1) - difference)
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.where(gap == 0, 0.0, gap / np.abs(difference))
    return tuple(errors.tolist())
