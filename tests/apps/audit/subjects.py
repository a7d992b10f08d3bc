"""Tiny models to be audited, of each kind of answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from apps.audit.audited import Audited, Examples
from interp.train.tasks.classification import Classification
from interp.train.tasks.language_modelling import LanguageModelling, MaskedLM
from interp.train.tasks.sequence import Translation
from tests.train.tasks.small import examples, model, pairs, sentences

KINDS = ("lm", "mlm", "classification", "translation")


def subject(kind: str, n: int = 60, **changes: Any) -> Audited:
    """An audit of an untrained model with held-out and learnt examples of its task."""
    if kind == "classification":
        task: Any = Classification(("neg", "pos"))
        one, records, learnt = task.prepare(model("encoder")), examples(n), examples(30, 7)
    elif kind == "translation":
        task, one = Translation(), model("encoder_decoder")
        records, learnt = pairs(min(n, 24)), pairs(20, 7)
    else:
        task = LanguageModelling() if kind == "lm" else MaskedLM()
        one = model("decoder" if kind == "lm" else "encoder")
        records, learnt = sentences(n), sentences(30, 7)
    values: dict[str, Any] = {
        "name": kind,
        "model": one,
        "folder": None,
        "run": None,
        "task": task,
        "held_out": Examples(records, "made here"),
        "learnt": Examples(learnt, "made here"),
        "depth": "quick",
        "seed": 0,
    }
    return Audited(**values | changes)


def card(folder: Path, text: str) -> Path:
    """A folder with a card."""
    (folder / "README.md").write_text(text, encoding="utf-8")
    return folder
