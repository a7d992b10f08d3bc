"""From what was named on the command line to what is audited."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apps.audit.audited import Audited, Depth, Examples
from apps.audit.recipe import sha256_of, sha256_of_records
from interp import InputError, Run, load
from interp.train.recorder import CHECKPOINTS, MODEL
from interp.train.tasks import Task, from_dict, kind_of, open_task, records_of
from interp.zoo import ZOO, Side, sample, zoo_folder

# Shape and head -> the task that such a model is made for, unless it says another.
_MADE_FOR = {
    ("decoder", "lm"): "lm",
    ("encoder", "mlm"): "mlm",
    ("encoder_decoder", "lm"): "translation",
}
_HEADS = {
    "classification": "classification",
    "token_classification": "token_classification",
    "span": "extractive_qa",
}


def open_audited(
    what: str,
    *,
    data: str | None = None,
    learnt: str | None = None,
    task: str | None = None,
    purpose: Mapping[str, str] | None = None,
    depth: Depth = "quick",
    seed: int = 0,
    command: str = "",
    since: Path | None = None,
) -> Audited:
    """Opens what is to be audited.

    Args:
        what: a model or suite of the zoo, a model folder, the folder of a run, or an id of the hub.
        data: examples that the model has not learnt from, as `records_of` reads them; by default
            those that come with a model of the zoo.
        learnt: examples that it has learnt from; likewise.
        task: name of the task; by default what the folder says, or what the head is made for.
        purpose: what the model is for, in the user's words; see `apps.audit.stated`.

    Raises:
        LoadError: there is no such model, or it is damaged.
        InputError: examples that are not of the task, or of a model that has no task.
        ConfigError: no task of this name.
    """
    folder = zoo_folder(what) if what in ZOO else Path(what).expanduser()
    model = load(what, bridge=False)
    known = _said(folder)
    kind = _kind(model, known, task)
    held_out = _examples(what, "held_out", data, kind)
    return Audited(
        name=folder.resolve().name if folder.is_dir() else what,
        model=model,
        folder=folder if folder.is_dir() else None,
        run=Run.open(folder) if (folder / CHECKPOINTS).is_dir() else None,
        task=known if kind is type(known) else _posed(kind, model, held_out),
        held_out=held_out,
        learnt=_examples(what, "learnt", learnt, kind),
        purpose=purpose or {},
        depth=depth,
        seed=seed,
        command=command,
        since=since,
    )


def _said(folder: Path) -> Task[Any, Any] | None:
    """The task that a model's files name: those of a run are one folder below."""
    return open_task(folder) or open_task(folder / MODEL)


def _kind(
    model: Any, known: Task[Any, Any] | None, name: str | None
) -> type[Task[Any, Any]] | None:
    if name is not None:
        return kind_of(name)
    if known is not None:
        return type(known)
    if model.tokenizer is None:
        return None
    cfg = model.cfg
    made_for = _HEADS.get(cfg.head) or _MADE_FOR.get((cfg.shape, cfg.head))
    return None if made_for is None else kind_of(made_for)


def _posed(
    kind: type[Task[Any, Any]] | None, model: Any, held_out: Examples | None
) -> Task[Any, Any] | None:
    """The task itself: with the model's own names for its classes, if it has some."""
    if kind is None:
        return None
    if not any(field.name == "labels" for field in dataclasses.fields(kind)):  # type: ignore[arg-type]
        return kind()
    labels = list(model.cfg.class_names)
    if not labels and held_out is not None:
        return kind.of(held_out.records)
    return from_dict(
        {"task": kind.name, "labels": labels or [str(i) for i in range(model.cfg.n_classes)]}
    )


def _examples(
    what: str, side: Side, given: str | None, kind: type[Task[Any, Any]] | None
) -> Examples | None:
    """The examples that were named, else those that come with the model, else none."""
    own = sample(what, side) if what in ZOO else None
    if given is None and own is None:
        return None
    if kind is None:
        raise InputError(
            f"{what} says no task that examples could be of; leave out --data and --learnt, or "
            "name the task with --task."
        )
    records = records_of(kind, given or own or "")
    if given is None and own is not None:
        return Examples(records, f"comes with {what}", sha256_of(own))
    assert given is not None
    if given.startswith("set:"):
        return Examples(records, given, sha256_of_records(records))
    return Examples(records, Path(given).name, sha256_of(Path(given)))
