"""How good a model is at a task: one table, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interp.model.transformer import HookedTransformer
from interp.train.metrics import to_frame
from interp.train.tasks import Task, kind_of, records_of

if TYPE_CHECKING:
    import pandas as pd


def evaluate(
    model: HookedTransformer,
    task: Task[Any, Any] | str,
    data: Path | str | Sequence[Any],
    *,
    seed: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """Measures a model on a task.

    Args:
        model: with the head that the task needs.
        task: its name (see `interp.train.tasks.TASKS`), or the task itself. By its name alone,
            classes are those that occur in the data, in the order of their names.
        data: a file of examples, a public set, or records; see `interp.train.tasks.records_of`.
        seed: of the bootstrap.
        progress: whether to show a bar.

    Returns:
        A row a measure: `task`, `metric`, `value`, `ci_low`, `ci_high` (95%), `n` (independent
        examples) and `signature` (how it was computed, where that is a matter of choice).

    Raises:
        InputError: data that are empty or not of this task.
        ConfigError: an unknown task, or a model that cannot do it.
    """
    kind = kind_of(task) if isinstance(task, str) else type(task)
    records = records_of(kind, data)
    posed = kind.of(records) if isinstance(task, str) else task
    model.eval()
    answers = posed.answer(model, records, progress=progress)
    frame = to_frame(posed.measure(records, answers, seed=seed))
    frame.insert(0, "task", posed.name)
    return frame
