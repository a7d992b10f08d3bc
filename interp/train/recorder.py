"""The folder that a training writes: what it was asked to do, what happened, and its weights.

- `run.json`: model, settings, objective, data and versions.
- `log.jsonl`: a line for each step.
- `checkpoints/step-00000128/`: a model folder each, complete or absent; they are kept.
- `state/step-00000640/`: what resuming needs, only the newest.
- `model/`: the model that the training ended with.
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import math
import os
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import torch
from torch import Tensor

from interp import __version__
from interp.atomic import writing
from interp.errors import TrainingError
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.pretrained.folder import METADATA, save_folder
from interp.processes import World
from interp.train.lora import merged
from interp.train.schedule import factor
from interp.train.settings import RESULT, Settings
from interp.train.state import load_state, newest_state, save_state
from interp.untrusted import MALFORMED, read_json, read_text

RUN, LOG, CHECKPOINTS, STATE, MODEL = "run.json", "log.jsonl", "checkpoints", "state", "model"


class Recorder:
    """Writes a run folder; the first of several processes does, the others only take part in it.

    Args:
        folder: new, or left by an earlier part of the same run.

    Raises:
        TrainingError: another process trains into this folder.
    """

    def __init__(self, folder: Path, world: World):
        self.folder, self.world = folder, world
        self.log_file: TextIO | None = None
        if not world.first:
            return
        folder.mkdir(parents=True, exist_ok=True)
        self.lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT)
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self.lock)
            raise TrainingError(
                f"Another process is training into {folder}. Wait for it, or give another folder."
            ) from error

    def close(self) -> None:
        """Lets others write into the folder."""
        if self.log_file is not None:
            self.log_file.close()
        if self.world.first:
            os.close(self.lock)

    # -- beginning -------------------------------------------------------------------------------

    def begin(self, description: dict[str, Any]) -> dict[str, Any] | None:
        """Says what the run is; returns the facts of the state to go on from, or None.

        Args:
            description: `model`, `settings`, `objective` and `data`, as plain values.

        Raises:
            TrainingError: the folder belongs to another run.
        """
        path = self.folder / RUN
        found = newest_state(self.folder / STATE)
        facts = None if found is None else found[1]
        if path.is_file():
            _compare(self.folder, read_json(path), description, facts)
        self.world.wait()
        if self.world.first:
            about = {
                "written_by": f"interp {__version__}",
                "torch": torch.__version__,
                "machine": f"{platform.machine()}, {os.cpu_count()} cores",
                "processes": self.world.size,
            }
            with writing(path) as file:
                json.dump({**description, "about": about}, file, indent=1)
            self._cut_log(0 if facts is None else int(facts["step"]))
            for half in (self.folder / CHECKPOINTS).glob(
                ".step-*"
            ):  # of a training that was killed
                shutil.rmtree(half)
            self.log_file = (self.folder / LOG).open("a", encoding="utf-8")
        return facts

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Reads the newest state into the given tensors."""
        found = newest_state(self.folder / STATE)
        assert found is not None
        load_state(found[0], tensors, self.world)

    def _cut_log(self, step: int) -> None:
        """Removes what was logged after the state, and a line that was cut short."""
        path = self.folder / LOG
        if not path.is_file():
            return
        kept = []
        for line in read_text(path).splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line)
            except MALFORMED:
                continue
        with writing(path) as file:
            file.writelines(f"{line}\n" for line in kept)

    # -- on the way ------------------------------------------------------------------------------

    def log(self, record: dict[str, Any]) -> None:
        """Adds a line to the log; numbers that are not finite become null."""
        if self.log_file is not None:
            finite = {
                name: None if isinstance(value, float) and not math.isfinite(value) else value
                for name, value in record.items()
            }
            self.log_file.write(json.dumps(finite) + "\n")
            self.log_file.flush()

    def save(self, step: int, tensors: Mapping[str, Tensor], facts: dict[str, Any]) -> None:
        """Keeps the state after `step` steps in place of the one before.

        Raises:
            TrainingError: it cannot be written; the one before is still there.
        """
        try:
            save_state(self.folder / STATE, step, tensors, facts, self.world)
        except OSError as error:
            raise TrainingError(
                f"The training state after step {step} could not be saved in {self.folder}: "
                f"{error}. The state before it is complete; make room and start again to go on."
            ) from error

    def checkpoint(self, step: int, model: HookedTransformer) -> None:
        """Keeps the weights after `step` steps, for good; does nothing if they are there."""
        self._model(self.folder / CHECKPOINTS / f"step-{step:08}", model)

    def finish(self, model: HookedTransformer) -> None:
        """Keeps the model that the training ended with."""
        self._model(self.folder / MODEL, model, again=True)

    def _model(self, path: Path, model: HookedTransformer, *, again: bool = False) -> None:
        if self.world.first and (again or not (path / METADATA).is_file()):
            try:
                save_folder(merged(model), path)  # readable without its adapters
            except OSError as error:
                raise TrainingError(
                    f"{path} could not be written: {error}. What was saved before is complete; "
                    "make room and start again to go on."
                ) from error
        self.world.wait()


def _is_plain(value: Any) -> bool:
    """Whether JSON can hold it."""
    return isinstance(value, str | int | float | bool | tuple | type(None))


def _compare(
    folder: Path, old: dict[str, Any], new: dict[str, Any], facts: dict[str, Any] | None
) -> None:
    """That a run goes on as it began.

    Raises:
        TrainingError: naming what differs.
    """

    def plain(values: Any) -> Any:
        values = json.loads(json.dumps(values))
        if isinstance(values, dict) and isinstance(values.get("corpus"), dict):
            values["corpus"].pop("folder", None)  # a corpus is the same wherever it lies
        return values

    def completed(values: Any, kind: type) -> Any:
        """A field that is younger than the run had its default's effect."""
        if not isinstance(values, dict):
            return values
        fields = dataclasses.fields(kind)
        known = {f.name: f.default for f in fields if f.default is not dataclasses.MISSING}
        return plain({name: known[name] for name in known if _is_plain(known[name])} | values)

    after = plain(new["settings"])
    before = completed(old.get("settings", {}), Settings)
    different: dict[str, Any] = {
        f"settings.{name}": (before.get(name), after.get(name))
        for name in sorted(RESULT)
        if before.get(name) != after.get(name) and name != "steps"
    }
    for part in ("model", "objective", "data"):
        was, now = old.get(part), new.get(part)
        if part == "model":
            was, now = (completed(values, TransformerConfig) for values in (was, now))
        if plain(was) != plain(now):
            different[part] = (old.get(part), new.get(part))
    if facts is not None and before.get("steps") != after.get("steps"):
        was, now = Settings.from_dict(before), Settings.from_dict(after)
        if any(
            factor(was, step, was.steps) != factor(now, step, now.steps)
            for step in range(int(facts["step"]))
        ):
            different["settings.steps"] = (before.get("steps"), after.get("steps"))
    if different:
        name, (was, now) = next(iter(different.items()))
        raise TrainingError(
            f"{folder} holds another run: its {name} is {_short(was)}, not {_short(now)}"
            + (f" (and {len(different) - 1} more differences)" if len(different) > 1 else "")
            + ". Go on with what it was begun with, or give a new folder."
        )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
