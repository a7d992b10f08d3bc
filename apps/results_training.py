"""What is measured at each checkpoint of a run, kept under its recipe; see `apps.reading`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import streamlit as st

from apps.reading import Passage
from interp import InterpError

if TYPE_CHECKING:
    import pandas as pd

    from interp import Run

ROWS = 16  # of random tokens that repeat


def over_steps(
    run: Run, what: str, passage: Passage | None, told: Callable[[float, int], object]
) -> tuple[pd.DataFrame, dict[int, InterpError]]:
    """The heads, or the lens on a passage, at every checkpoint that can be opened.

    Args:
        what: where the run lies.
        passage: of the lens; None for the scores of the heads.
        told: hears the share that is done, and of which step.

    Returns:
        what was measured, and the steps that were not, with why.

    Raises:
        InterpError: no checkpoint can be opened, or the model has no such figures.
    """
    import pandas as pd

    frames, missing = [], {}
    for i, step in enumerate(run.steps):
        told(i / len(run), step)
        try:
            frames.append(_at(run, what, step, passage))
        except InterpError as error:
            missing[step] = error
    if not frames:
        raise missing[run.steps[-1]]
    return pd.concat(frames, ignore_index=True), missing


@st.cache_resource(max_entries=512, show_spinner=False)
def _at(_run: Run, what: str, step: int, passage: Passage | None) -> pd.DataFrame:
    from probes.heads import heads
    from probes.lens import lens
    from probes.passages import repeats
    from probes.subjects import of_one, subjects

    (subject,) = subjects(_run, steps=[step])

    def measure(model: Any) -> pd.DataFrame:
        if passage is None:
            return heads(model, repeats(model, rows=ROWS))
        return lens(model, _examples(passage))

    return of_one(subject, subject.open(), measure)


def _examples(passage: Passage) -> Any:
    """One row, in which each token but the last is followed by the next."""
    from interp.data.batch import IGNORED
    from probes.passages import Passages

    ids = list(passage.ids)
    sources = [list(passage.source)] if passage.source else None
    return Passages([ids], [[*ids[1:], IGNORED]], sources=sources)
