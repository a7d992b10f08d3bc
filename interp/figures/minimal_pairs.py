"""Which sentences a model prefers, by paradigm, and since when."""

from __future__ import annotations

import pandas as pd

from interp.errors import InputError
from interp.figures.course import MOST, course_chart
from interp.figures.figure import Figure, finite, require_columns
from interp.figures.intervals import Values, model_names, rows_chart
from interp.figures.labels import percent
from interp.figures.theme import Scheme

_ACCURACY = Values("pairs in which the right sentence is more probable", reference=0.5)
_NOTE = "Dashed: half of the pairs, which a scorer without knowledge gets right."
ALL = "all paradigms"


def minimal_pairs_chart(frame: pd.DataFrame, scheme: Scheme = "light") -> Figure:
    """Accuracy on minimal pairs: fields over the steps of a training with every paradigm behind
    them, or the paradigms of one model, or the fields of several models.

    Args:
        frame: as `probes.minimal_pairs` makes it, with the keys of its models: `run`, `step`,
            `level`, `field`, `task`, `metric`, `value`, `ci_low`, `ci_high`, `n`.

    Raises:
        InputError: columns are missing, or there is no accuracy.
    """
    names = ("run", "step", "level", "field", "task", "metric", "value", "ci_low", "ci_high", "n")
    require_columns(frame, names, "minimal pairs")
    cells = frame[frame["metric"] == "accuracy"]
    if not len(cells):
        raise InputError(
            "The frame of the minimal pairs has no accuracy; there is nothing to draw."
        )
    finite(cells["value"], "accuracies")
    alt = _finding(cells)
    above = cells[cells["level"] != "kind"].sort_values("field", na_position="first")
    above = above.assign(part=above["field"].fillna(ALL), label=above["field"].fillna(ALL))
    kinds = cells[cells["level"] == "kind"].sort_values(["field", "value"], ascending=[True, False])
    kinds = kinds.assign(part=kinds["field"], label=kinds["task"])
    models = cells[["run", "step"]].drop_duplicates()
    if cells["step"].nunique() > 1 and cells["run"].nunique() <= MOST:
        chart = course_chart(
            above.assign(group=above["run"]),
            _ACCURACY,
            scheme,
            faint=kinds.assign(group=kinds["run"] + ", " + kinds["task"]),
            note=_NOTE,
        )
    elif len(models) == 1:
        rows = pd.concat([above[above["level"] == "all"], kinds])
        chart = rows_chart(rows, _ACCURACY, scheme, note=_NOTE)
    else:
        rows = above.assign(group=model_names(above))
        rows = rows.drop(columns="part")
        order = list(dict.fromkeys(rows["group"]))
        chart = rows_chart(rows, _ACCURACY, scheme, groups=order, note=_NOTE)
    return Figure(chart, alt, frame.loc[cells.index])


def _finding(cells: pd.DataFrame) -> str:
    parts = []
    for run, part in cells.groupby("run", sort=False):
        whole = part[part["level"] == "all"].sort_values("step")
        last = whole.iloc[-1]
        end = part[part["step"].isna() if pd.isna(last["step"]) else part["step"] == last["step"]]
        n = f"{int(last['n']):,} pairs"
        said = f"{run} prefers the right sentence in {_ACCURACY.sure(last)} of {n}"
        if len(whole) > 1:
            first = whole.iloc[0]
            before = f"{percent(first['value'])} at step {first['step']:,}"
            said += f" at step {last['step']:,}, and in {before}"
        fields = end[end["level"] == "field"].sort_values("value")
        if len(fields) > 1:
            low, high = fields.iloc[0], fields.iloc[-1]
            said += (
                f"; best in {high['field']} ({percent(high['value'])}), worst in {low['field']} "
                f"({percent(low['value'])})"
            )
        kinds = end[end["level"] == "kind"]
        below = int((kinds["ci_high"] < 0.5).sum())
        above = int((kinds["ci_low"] > 0.5).sum())
        said += f". Of {len(kinds)} paradigms {above} are surely above half, {below} below."
        parts.append(said)
    return " ".join(parts)
