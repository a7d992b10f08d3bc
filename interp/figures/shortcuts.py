"""Which single words turn what a model says, beside random ones."""

from __future__ import annotations

import pandas as pd

from interp.errors import InputError
from interp.figures.figure import Figure, finite, require_columns
from interp.figures.intervals import Values, model_names, rows_chart
from interp.figures.labels import percent, shorten, visible
from interp.figures.theme import Scheme

_TURNED = Values(
    "share of texts that the word turns from one sure answer to another",
    reference=0.9,
    domain=(0.0, 1.0),
)
_GROUPS = {"word": "the word", "chance": "random words"}
_NOTE = (
    "Each word was put into texts of which the model was sure that the answer is another. A word "
    "that turns nine of ten (dashed) decides whatever the text says."
)


def shortcuts_chart(frame: pd.DataFrame, scheme: Scheme = "light") -> Figure:
    """The share of texts that each word turns, beside random words, a part for each model.

    Args:
        frame: as `probes.shortcuts` makes it, with the keys of its models: `run`, `step`,
            `feature`, `token`, `place`, `label`, `metric`, `value`, `ci_low`, `ci_high`, `n`.

    Raises:
        InputError: columns are missing, or no word was tried.
    """
    names = ("run", "step", "feature", "token", "place", "label", "metric")
    require_columns(frame, (*names, "value", "ci_low", "ci_high", "n"), "shortcuts")
    cells = frame[(frame["metric"] == "turned") & frame["feature"].isin(list(_GROUPS))]
    if not (cells["feature"] == "word").any():
        raise InputError("The frame of the shortcuts has no words; there is nothing to draw.")
    finite(cells["value"], "shares")
    # Some words were tried at one place and anywhere: the place where they turn more is shown.
    best = cells.sort_values("value", ascending=False, kind="stable")
    best = best.drop_duplicates(["run", "step", "feature", "token", "label"])
    cells = cells.loc[best.index.sort_values()]
    cells = cells.assign(
        label=[_named(row) for row in cells.itertuples()],
        group=cells["feature"].map(_GROUPS),
        part=model_names(cells),
    )
    chart = rows_chart(cells, _TURNED, scheme, groups=list(_GROUPS.values()), note=_NOTE)
    return Figure(chart, _finding(cells), frame.loc[cells.index])


def _named(row: object) -> str:
    token, place, label = (str(getattr(row, name)) for name in ("token", "place", "label"))
    if getattr(row, "feature") == "chance":  # noqa: B009
        return f"random words → {visible(label)}"
    at = "" if place == "anywhere" else f", at the {place}"
    return f"“{shorten(visible(token), 24)}”{at} → {shorten(visible(label), 14)}"


def _finding(cells: pd.DataFrame) -> str:
    parts = []
    for model, mine in cells.groupby("part", sort=False):
        words = mine[mine["feature"] == "word"]
        top = words.loc[words["value"].idxmax()]
        chance = mine.loc[mine["feature"] == "chance", "value"]
        beside = f", random words at most {percent(chance.max())}" if len(chance) else ""
        parts.append(
            f"{model}: of {len(words)} words {top['label']} turns the most texts, "
            f"{_TURNED.sure(top)}{beside}."
        )
    return " ".join(parts)
