"""How many items of each syntactic test a model gets right, beside chance."""

from __future__ import annotations

import pandas as pd

from interp.errors import InputError
from interp.figures.course import MOST, course_chart
from interp.figures.figure import Figure, finite, require_columns
from interp.figures.intervals import Values, model_names, rows_chart
from interp.figures.labels import percent
from interp.figures.theme import Scheme

_ACCURACY = Values("items whose surprisals are as grammar predicts")
_MODEL, _CHANCE = "the model", "its surprisals dealt out anew"
_NAMES = {"accuracy": _MODEL, "chance": _CHANCE}


def syntaxgym_chart(frame: pd.DataFrame, scheme: Scheme = "light") -> Figure:
    """Accuracy and chance: of each suite for one model, of all suites over a training.

    Args:
        frame: as `probes.syntaxgym` makes it, with the keys of its models: `run`, `step`, `task`
            (missing for all), `formula`, `metric`, `value`, `ci_low`, `ci_high`, `n`.

    Raises:
        InputError: columns are missing, or there are several runs without steps.
    """
    names = ("run", "step", "task", "formula", "metric", "value", "ci_low", "ci_high", "n")
    require_columns(frame, names, "syntactic tests")
    finite(frame["value"], "accuracies")
    whole = frame[frame["task"].isna()]
    last = frame["step"].isna() | (frame["step"] == frame["step"].max())
    models = frame[["run", "step"]].drop_duplicates()
    if frame["step"].nunique() > 1 and models["run"].nunique() <= MOST // 2:
        several = models["run"].nunique() > 1
        group = whole["metric"].map(_NAMES)
        group = whole["run"] + ", " + group if several else group
        chart = course_chart(whole.assign(group=group), _ACCURACY, scheme)
    elif len(models) == 1:
        suites = frame[frame["task"].notna()]
        order = suites[suites["metric"] == "accuracy"].sort_values("value", ascending=False)
        place = {key: i for i, key in enumerate(zip(order["task"], order["formula"], strict=True))}
        suites = suites.assign(
            place=[place[key] for key in zip(suites["task"], suites["formula"], strict=True)],
            label=_labels(suites),
        ).sort_values("place", kind="stable")
        rows = pd.concat([whole.assign(label="all suites"), suites])
        rows = rows.assign(
            group=rows["metric"].map(_NAMES),
            part=["all suites" if pd.isna(task) else "each suite" for task in rows["task"]],
        )
        chart = rows_chart(rows, _ACCURACY, scheme, groups=(_MODEL, _CHANCE))
    else:
        label = model_names(whole)
        rows = whole.assign(label=label, group=whole["metric"].map(_NAMES))
        chart = rows_chart(rows, _ACCURACY, scheme, groups=(_MODEL, _CHANCE))
    if not len(whole):
        raise InputError("The frame of the syntactic tests lacks the rows for all suites.")
    return Figure(chart, _finding(whole, frame[last & frame["task"].notna()]), frame)


def _labels(suites: pd.DataFrame) -> list[str]:
    """The suite's name, with the formula where it has several."""
    several = suites.groupby("task")["formula"].transform("nunique") > 1
    return [
        f"{row.task}: {row.formula}" if more else row.task
        for row, more in zip(suites.itertuples(), several, strict=True)
    ]


def _finding(whole: pd.DataFrame, suites: pd.DataFrame) -> str:
    parts = []
    for run, part in whole.groupby("run", sort=False):
        right = part[part["metric"] == "accuracy"].sort_values("step")
        chance = part[part["metric"] == "chance"].sort_values("step")
        said = (
            f"{run}: {_ACCURACY.sure(right.iloc[-1])} right over {int(right.iloc[-1]['n'])} tests"
        )
        said += f", where {percent(chance.iloc[-1]['value'])} would be chance"
        if len(right) > 1:
            said += f"; {percent(right.iloc[0]['value'])} at step {right.iloc[0]['step']:,}"
        parts.append(said + ".")
    sure = suites[suites["metric"] == "accuracy"].merge(
        suites.loc[suites["metric"] == "chance", ["run", "task", "formula", "value"]],
        on=["run", "task", "formula"],
        suffixes=("", "_chance"),
    )
    above = int((sure["ci_low"] > sure["value_chance"]).sum())
    return " ".join([*parts, f"{above} of {len(sure)} tests are surely above chance."])
