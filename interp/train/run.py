"""A training as a suite of checkpoints: list them, open them, compare them, and find what is wrong.

What opens as a run: a folder that `fit` wrote; a suite of the zoo; a folder with one model folder
for each step (`step1000/`, `step-00001000/`, `checkpoint-1000/`); a model on the Hugging Face hub
whose revisions are named by steps, as Pythia's are (Biderman et al. 2023, arXiv 2304.01373).
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
import torch

from interp.data.batch import Batch
from interp.errors import InputError, LoadError
from interp.model.transformer import HookedTransformer
from interp.pretrained import load
from interp.pretrained.folder import CONFIG, METADATA
from interp.pretrained.hub import revisions
from interp.train.audit import audit
from interp.train.recorder import CHECKPOINTS, LOG, MODEL, RUN
from interp.untrusted import MALFORMED, read_json, read_text

_STEP = re.compile(r"(?:.*[^\d])?(?:step|checkpoint)[-_]?(\d+)")
_ZOO = Path(__file__).resolve().parent.parent / "zoo"  # a floor above, so known by its folders


@dataclass(frozen=True)
class Run:
    """An open run; weights are read when they are asked for.

    Attributes:
        name: of the run, for tables.
        checkpoints: step -> what `interp.load` opens, in ascending order.
        folder: where it lies; None for a run on the hub.
    """

    name: str
    checkpoints: Mapping[int, Path | tuple[str, str]]
    folder: Path | None = None
    about: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, what: str | Path) -> Run:
        """Opens a run.

        Args:
            what: a folder, the name of a suite of the zoo, or the id of a model on the hub.

        Raises:
            LoadError: there is none, or it has no checkpoint.
        """
        folder = Path(what).expanduser()
        if isinstance(what, str) and what == folder.name and (_ZOO / what / CHECKPOINTS).is_dir():
            folder = _ZOO / what
        if folder.is_dir():
            return cls._of_folder(folder)
        if isinstance(what, Path) or what.startswith((".", "/", "~")) or what.count("/") > 1:
            raise LoadError(f"There is no folder {what}.")
        named = {_step_of(name): name for name in revisions(what)}
        found = {step: (what, name) for step, name in named.items() if step is not None}
        if not found:
            raise LoadError(f"No revision of {what} on the hub is named by a step.")
        return cls(what, _sorted(found))

    @classmethod
    def _of_folder(cls, folder: Path) -> Run:
        path = folder / RUN
        about = read_json(path) if path.is_file() else {}
        inside = folder / CHECKPOINTS if (folder / CHECKPOINTS).is_dir() else folder
        found: dict[int, Path | tuple[str, str]] = {}
        for checkpoint in sorted(inside.iterdir()):
            step = _step_of(checkpoint.name)
            if step is not None and (checkpoint / CONFIG).is_file():
                if step in found:
                    raise LoadError(f"{inside} has two checkpoints of step {step}.")
                found[step] = checkpoint
        if not found:
            raise LoadError(
                f"{folder} holds no checkpoint: a run has folders named by their steps, such as "
                f"{CHECKPOINTS}/step-00001000, with a {CONFIG} in each."
            )
        return cls(folder.resolve().name, _sorted(found), folder, about)

    # -- reading ---------------------------------------------------------------------------------

    @property
    def steps(self) -> list[int]:
        """The steps that have a checkpoint, ascending."""
        return list(self.checkpoints)

    def __len__(self) -> int:
        return len(self.checkpoints)

    def __iter__(self) -> Iterator[tuple[int, HookedTransformer]]:
        """Step and model, one at a time."""
        return ((step, self.load(step)) for step in self.steps)

    def load(self, step: int, **options: Any) -> Any:
        """The model at a step; negative counts from the end (-1 is the last).

        Args:
            **options: as for `interp.load`.

        Raises:
            InputError: there is no such checkpoint.
        """
        where = self.checkpoints[self.resolve(step)]
        if isinstance(where, tuple):
            return load(where[0], revision=where[1], **options)
        return load(where, **options)

    def resolve(self, step: int) -> int:
        """The step of a checkpoint, given by itself or counted from the end.

        Raises:
            InputError: there is none; the message names the nearest.
        """
        if step in self.checkpoints:
            return step
        if -len(self) <= step < 0:
            return self.steps[step]
        nearest = sorted(self.steps, key=lambda known: abs(known - step))[:3]
        raise InputError(
            f"{self.name} has no checkpoint at step {step}; near it are "
            f"{', '.join(map(str, sorted(nearest)))}."
        )

    @property
    def final(self) -> Any:
        """The model that the training ended with: with its best or averaged weights if it asked
        for those, else the last checkpoint."""
        if self.folder is not None and (self.folder / MODEL / METADATA).is_file():
            return load(self.folder / MODEL)
        return self.load(-1)

    @functools.cached_property
    def log(self) -> pd.DataFrame:
        """What was logged: a row a step. Evaluated figures are columns `evaluation.NAME`.

        Raises:
            LoadError: it is damaged.
        """
        path = None if self.folder is None else self.folder / LOG
        if path is None or not path.is_file():
            return pd.DataFrame(columns=["step", "loss"])
        records = []
        for line in read_text(path).splitlines():
            try:
                records.append(json.loads(line))
            except MALFORMED:  # the end of a training that was killed
                continue
        try:
            return pd.json_normalize(records)
        except MALFORMED as error:
            raise LoadError(f"{path} holds a line that is no record: {error}.") from error

    def batch(self, step: int, data: str | Path | None = None) -> Batch:
        """Exactly what the training read in a step (counted from 0).

        Args:
            data: the corpus, if it is no longer where it was.

        Raises:
            InputError: the run does not say how its batches are made.
            LoadError: the corpus is gone, or is another one.
        """
        from interp.data.sources import open_source

        description = self.about.get("data")
        if not isinstance(description, dict):
            raise InputError(f"{self.name} does not say how its batches were made.")
        return open_source(description, data).batch(step)

    # -- comparing -------------------------------------------------------------------------------

    def compare(self, first: int, second: int) -> pd.DataFrame:
        """How far every parameter moved from one checkpoint to another.

        Returns:
            Columns `parameter`, `shape`, `norm` (of the first), `change` (norm of the difference),
            `relative` (the one by the other) and `cosine` of the two.
        """
        a, b = (dict(self.load(step).named_parameters()) for step in (first, second))
        rows = []
        for name in a.keys() & b.keys():
            x, y = a[name].detach().double().flatten(), b[name].detach().double().flatten()
            same = x.shape == y.shape
            change = float((y - x).norm()) if same else float("nan")
            cosine = float(torch.cosine_similarity(x, y, dim=0)) if same else float("nan")
            norm = float(x.norm())
            row = (name, list(a[name].shape), norm, change, change / norm if norm else 0.0, cosine)
            rows.append(row)
        columns = ["parameter", "shape", "norm", "change", "relative", "cosine"]
        return pd.DataFrame(sorted(rows), columns=columns)

    def average(self, steps: list[int]) -> HookedTransformer:
        """The mean of the weights at several steps (Vaswani et al. 2017, section 6.1)."""
        if not steps:
            raise InputError("There is nothing to average: no step is given.")
        mean: HookedTransformer = self.load(steps[0])
        with torch.no_grad():
            for n, step in enumerate(steps[1:], 2):
                other = self.load(step)
                for x, y in zip(mean.parameters(), other.parameters(), strict=True):
                    x.lerp_(y.to(x.dtype), 1 / n)
        return mean

    def audit(self) -> pd.DataFrame:
        """What is wrong with the checkpoints; see `interp.train.audit.audit`."""
        return audit(
            {step: functools.partial(self.load, step) for step in self.steps},
            self.about.get("model"),
        )


def _step_of(name: str) -> int | None:
    found = _STEP.fullmatch(name)
    return int(found[1]) if found else None


def _sorted(found: dict[int, Any]) -> Mapping[int, Any]:
    return MappingProxyType(dict(sorted(found.items())))
