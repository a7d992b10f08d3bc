"""What models are fine-tuned on and measured by: a file for each kind of question."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from interp.atomic import writing
from interp.data.records import Split
from interp.data.sets import read_set
from interp.errors import ConfigError, InputError, LoadError
from interp.train.tasks.chat import Chatting
from interp.train.tasks.classification import Classification
from interp.train.tasks.extractive_qa import ExtractiveQA
from interp.train.tasks.language_modelling import LanguageModelling, MaskedLM
from interp.train.tasks.preferring import Preferring
from interp.train.tasks.sequence import GenerativeQA, Summarisation, Translation
from interp.train.tasks.task import Task, Trainable
from interp.train.tasks.token_classification import TokenClassification
from interp.untrusted import MALFORMED, read_json

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

__all__ = [
    "TASKS",
    "Task",
    "Trainable",
    "from_dict",
    "kind_of",
    "open_task",
    "records_of",
    "save_task",
]


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


def records_of(kind: type[Task[Any, Any]], data: Path | str | Sequence[Any]) -> Sequence[Any]:
    """Records of a task.

    Args:
        data: a file of them; `set:NAME:SPLIT` for one side of a public set (see
            `interp.data.sets.SETS`) in the folder that the environment's `INTERP_DATA` names; or
            the records themselves.

    Raises:
        InputError: data that are empty or not of this task.
        ConfigError, LoadError: no such set.
    """
    if not isinstance(data, (str, Path)):
        if not data:
            raise InputError("There are no examples.")
        return data
    if not str(data).startswith("set:"):
        return kind.read(data)
    name, _, split = str(data).removeprefix("set:").partition(":")
    folder = os.environ.get("INTERP_DATA")
    if folder is None or split not in ("train", "dev", "test"):
        raise InputError(
            f"{data}: write set:NAME:train, set:NAME:dev or set:NAME:test, and say in INTERP_DATA "
            "which folder the sets are in."
        )
    return read_set(name, folder, cast(Split, split))


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
        return from_dict(read_json(path))
    except MALFORMED as error:
        raise LoadError(f"{path} names no task that can be read: {error}") from error
