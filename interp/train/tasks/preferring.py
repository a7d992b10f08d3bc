"""Pairs of answers of which one is preferred."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from interp.data.chat import Preferences
from interp.data.records import Preference, Turn
from interp.model.transformer import HookedTransformer
from interp.train.metrics import Measure, proportion
from interp.train.preference import DPO, answer_log_probs
from interp.train.tasks.chat import messages
from interp.train.tasks.generation import template_for
from interp.train.tasks.rows import Row
from interp.train.tasks.task import Trainable, batches, require_shape


@dataclass(frozen=True)
class Preferring(Trainable[Preference, list[float]]):
    """Preference tuning; an answer is by how many nats the preferred text is the likelier one.

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
    ) -> list[float]:
        require_shape(model, ("decoder",), self.name)
        out = [0.0] * len(records)
        source = self.source(model, records, tokens=1)
        for chosen, batch in batches(model, source, progress=progress):
            with torch.no_grad():
                log_p = answer_log_probs(model, batch)
            for i, margin in zip(chosen, (log_p[0::2] - log_p[1::2]).tolist(), strict=True):
                out[i] = margin
        return out

    def measure(
        self, records: Sequence[Preference], answers: list[float], *, seed: int = 0
    ) -> list[Measure]:
        return [proportion("accuracy", sum(margin > 0 for margin in answers), len(answers))]

    def watch(self, model: HookedTransformer, records: Sequence[Preference]) -> dict[str, float]:
        return {"accuracy": self.measure(records, self.answer(model, records))[0].value}

    def baseline(
        self, train: Sequence[Preference], records: Sequence[Preference]
    ) -> tuple[str, list[float]]:
        """The shorter answer, which is the likelier one under most models."""
        return "the shorter answer", [
            float(len(record.rejected) - len(record.chosen)) for record in records
        ]
