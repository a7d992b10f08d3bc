"""Pairs of answers of which one is preferred."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from interp.data.batch import IGNORED
from interp.data.chat import Preferences
from interp.data.records import Preference, Turn
from interp.model.transformer import HookedTransformer
from interp.train.metrics import Measure, Scores, proportion
from interp.train.preference import DPO, answer_log_probs
from interp.train.tasks.chat import messages
from interp.train.tasks.generation import template_for
from interp.train.tasks.rows import Row
from interp.train.tasks.task import Trainable, batches, require_shape


@dataclass(frozen=True)
class Margin:
    """By how many nats the preferred text is the likelier one: in all, and per token of each."""

    nats: float
    per_token: float


@dataclass(frozen=True)
class Preferring(Trainable[Preference, list[Margin]]):
    """Preference tuning; measured by how often the preferred text is the likelier one.

    A longer text is less likely for its length alone, so there are two shares: of the whole texts
    (`accuracy`), and of the mean over their tokens (`accuracy_per_token`).

    Attributes:
        beta: how strongly DPO holds the model to what it was.
    """

    name: ClassVar[str] = "preference"

    beta: float = 0.1

    @classmethod
    def record(cls, row: Row) -> Preference:
        if isinstance(row.values.get("prompt"), list):
            prompt = messages(row, "prompt")
        else:
            prompt = (Turn("user", row.text("prompt")),)
        return Preference(prompt, row.text("chosen"), row.text("rejected"))

    def source(
        self, model: HookedTransformer, records: Sequence[Preference], *, tokens: int, seed: int = 0
    ) -> Preferences:
        tokenizer = model.require_tokenizer()
        return Preferences(
            records,
            tokenizer,
            template_for(tokenizer),
            tokens=tokens,
            max_length=model.cfg.n_ctx,
            seed=seed,
        )

    def objective(self, model: HookedTransformer) -> DPO:
        """DPO against the model as it is now."""
        reference = copy.deepcopy(model, {id(model.tokenizer): model.tokenizer})
        return DPO(reference.requires_grad_(False).eval(), self.beta)

    def answer(
        self, model: HookedTransformer, records: Sequence[Preference], *, progress: bool = False
    ) -> list[Margin]:
        require_shape(model, ("decoder",), self.name)
        out = [Margin(0.0, 0.0)] * len(records)
        source = self.source(model, records, tokens=1)
        for chosen, batch in batches(model, source, progress=progress):
            with torch.no_grad():
                log_p = answer_log_probs(model, batch)
            mean = log_p / (batch.labels != IGNORED).sum(1)
            margins = torch.stack([x[0::2] - x[1::2] for x in (log_p, mean)], 1)
            for i, margin in zip(chosen, margins.tolist(), strict=True):
                out[i] = Margin(*margin)
        return out

    def measure(
        self, records: Sequence[Preference], answers: list[Margin], *, seed: int = 0
    ) -> list[Measure]:
        n = len(answers)
        return [
            proportion("accuracy", sum(margin.nats > 0 for margin in answers), n),
            proportion("accuracy_per_token", sum(margin.per_token > 0 for margin in answers), n),
        ]

    def scores(self, records: Sequence[Preference], answers: list[Margin]) -> Scores:
        return Scores.each("accuracy", [float(margin.nats > 0) for margin in answers])

    def watch(self, model: HookedTransformer, records: Sequence[Preference]) -> dict[str, float]:
        found = self.measure(records, self.answer(model, records))
        return {one.metric: one.value for one in found}

    def baseline(
        self, train: Sequence[Preference], records: Sequence[Preference]
    ) -> tuple[str, list[Margin]]:
        """The shorter answer, which is the likelier one under most models."""
        shorter = [float(len(record.rejected) - len(record.chosen)) for record in records]
        return "the shorter answer", [Margin(by, by) for by in shorter]
