"""What an analysis is asked about: models, each at one moment of its training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from interp import Run, load
from interp.errors import InputError, LoadError
from interp.model.fingerprint import weights_hash
from interp.train.recorder import CHECKPOINTS
from probes.frames import tidy


@dataclass(frozen=True)
class Subject:
    """One model at one moment.

    Attributes:
        run: what tables call it.
        step: of its training; None for a model that is no part of a run.
        open: reads the model.
    """

    run: str
    step: int | None
    open: Callable[[], Any] = field(repr=False, compare=False)

    def __str__(self) -> str:
        return self.run if self.step is None else f"{self.run} at step {self.step}"


def subjects(what: Any, *, steps: Sequence[int] | None = None) -> list[Subject]:
    """The models that `what` names.

    Args:
        what: a run (`Run`, a folder with checkpoints, a suite of the zoo), a model (of the zoo, a
            folder, an id on the hub, or an open one), or a list of those.
        steps: of runs, only these checkpoints; negative ones count from the end. By default all.

    Raises:
        LoadError: there is no such model.
        InputError: there is no such checkpoint, or two subjects have one name.
    """
    several = what if isinstance(what, list | tuple) else [what]
    found = [subject for one in several for subject in _subjects(one, steps)]
    names = [(subject.run, subject.step) for subject in found]
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise InputError(f"Two of the models are called {twice[0]}; tables could not tell them.")
    return found


def _subjects(what: Any, steps: Sequence[int] | None) -> list[Subject]:
    run = as_run(what)
    if run is not None:
        chosen = run.steps if steps is None else sorted({run.resolve(step) for step in steps})
        return [Subject(run.name, step, _reader(run, step)) for step in chosen]
    if isinstance(what, str | Path):
        return [Subject(Path(what).name or str(what), None, lambda: load(what))]
    name = getattr(getattr(what, "cfg", None), "model_name", None) or type(what).__name__
    return [Subject(name, None, lambda: what)]


def as_run(what: Any) -> Run | None:
    """The run that `what` is or names; None for a model."""
    if isinstance(what, Run):
        return what
    if not isinstance(what, str | Path):
        return None
    folder = Path(what).expanduser()
    if (
        folder.is_dir()
        and not (folder / CHECKPOINTS).is_dir()
        and (folder / "config.json").exists()
    ):
        return None
    try:
        return Run.open(what)
    except LoadError:
        return None  # `load` says what is wrong with a model that is not there


def _reader(run: Run, step: int) -> Callable[[], Any]:
    return lambda: run.load(step)


_SHAPE = ("shape", "n_layers", "d_model", "n_heads", "d_vocab", "n_ctx")


def opened(these: Sequence[Subject]) -> Iterator[tuple[Subject, Any]]:
    """Each subject with its model, in order; the next one is read while one is worked on.

    Raises:
        InputError: checkpoints of one run have unequal shapes: they are no training of one model.
    """
    shapes: dict[str, tuple[str, dict[str, Any]]] = {}
    with ThreadPoolExecutor(1) as reader:
        coming = [reader.submit(subject.open) for subject in these[:1]]
        for i, subject in enumerate(these):
            model = coming.pop().result()
            coming = [reader.submit(after.open) for after in these[i + 1 : i + 2]]
            if subject.step is not None:
                shape = {name: getattr(model.cfg, name, None) for name in _SHAPE}
                first, known = shapes.setdefault(subject.run, (str(subject), shape))
                other = [name for name in _SHAPE if shape[name] != known[name]]
                if other:
                    raise InputError(
                        f"{first} has {other[0]} {known[other[0]]} and {subject} has "
                        f"{shape[other[0]]}: they are no checkpoints of one model. Name the models "
                        "one by one to compare them."
                    )
            yield subject, model


def over(these: Sequence[Subject], measure: Callable[[Any], pd.DataFrame]) -> pd.DataFrame:
    """What `measure` says of each model, as one frame with the keys of the models.

    Args:
        measure: gets an open model, and returns rows for `tidy`.
    """
    frames = [of_one(subject, model, measure) for subject, model in opened(these)]
    return tidy(pd.concat(frames, ignore_index=True))


def of_one(subject: Subject, model: Any, measure: Callable[[Any], pd.DataFrame]) -> pd.DataFrame:
    """What `measure` says of an open model, with the keys of the subject."""
    step = pd.NA if subject.step is None else subject.step
    return tidy(measure(model), run=subject.run, step=step, model_hash=short_hash(model))


def short_hash(model: Any) -> str:
    """The first 16 hexadecimal digits of the hash of a model's weights, enough for a table."""
    return weights_hash(model)[:16]
