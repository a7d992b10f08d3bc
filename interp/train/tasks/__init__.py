"""What models are fine-tuned on and measured by: a file for each kind of question."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from interp.atomic import writing
from interp.errors import ConfigError, LoadError
from interp.train.tasks.chat import Chatting
from interp.train.tasks.classification import Classification
from interp.train.tasks.extractive_qa import ExtractiveQA
from interp.train.tasks.language_modelling import LanguageModelling, MaskedLM
from interp.train.tasks.preferring import Preferring
from interp.train.tasks.sequence import GenerativeQA, Summarisation, Translation
from interp.train.tasks.task import Task, Trainable
from interp.train.tasks.token_classification import TokenClassification

TASKS: dict[str, type[Task[Any, Any]]] = {
    kind.name: kind
    for kind in (
        LanguageModelling,
        MaskedLM,
        Classification,
        TokenClassification,
        Translation,
        Summarisation,
        ExtractiveQA,
        GenerativeQA,
        Chatting,
        Preferring,
    )
}
"""Name -> kind of task."""

FILE = "task.json"

__all__ = ["TASKS", "Task", "Trainable", "from_dict", "kind_of", "open_task", "save_task"]


def kind_of(name: str) -> type[Task[Any, Any]]:
    """The kind of task of this name.

    Raises:
        ConfigError: there is none.
    """
    if name not in TASKS:
        raise ConfigError(f"There is no task {name!r}; there are {', '.join(TASKS)}.")
    return TASKS[name]


def from_dict(values: dict[str, Any]) -> Task[Any, Any]:
    """The task that `to_dict` wrote.

    Raises:
        ConfigError: the values are of no task.
    """
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k != "task"}
    try:
        return kind_of(str(values.get("task")))(**fields)
    except TypeError as error:
        raise ConfigError(f"These are no settings of a task: {error}.") from error


def save_task(task: Task[Any, Any], folder: Path) -> None:
    """Writes what a model was fine-tuned on beside its weights."""
    with writing(folder / FILE) as file:
        json.dump(task.to_dict(), file, indent=2, ensure_ascii=False)


def open_task(folder: Path) -> Task[Any, Any] | None:
    """What the model in a folder was fine-tuned on, if it says so.

    Raises:
        LoadError: it says so in no way that can be read.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        return from_dict(json.loads(path.read_text("utf-8")))
    except (ValueError, AttributeError) as error:
        raise LoadError(f"{path} names no task that can be read: {error}") from error
