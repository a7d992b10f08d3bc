"""What a model says of a table of examples, kept under its recipe; see `apps.reading`."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import streamlit as st

from apps.reading import Opened
from interp import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

MOST = 500  # examples of a table
LONGEST = 2_000  # characters of one
SLICES = 12
SUFFIXES = (".csv", ".tsv", ".jsonl")


@st.cache_resource(max_entries=16, show_spinner=False)
def probabilities(_opened: Opened, identity: str, texts: tuple[str, ...]) -> NDArray[np.float64]:
    """A classifier's probabilities, [text, class], read in batches of like lengths.

    Raises:
        InterpError: the model cannot read a text.
    """
    from interp.data.records import Example
    from interp.train.tasks.classification import Classification

    model = _opened.model
    labels = tuple(model.cfg.class_names)
    return Classification(labels).answer(model, [Example(text, labels[0]) for text in texts])


@st.cache_resource(max_entries=16, show_spinner=False)
def surprises(_opened: Opened, identity: str, texts: tuple[str, ...]) -> NDArray[np.float64]:
    """Nats for each token of a text, [text], of a decoder; NaN where there is none to predict.

    Raises:
        InterpError: the model predicts no text.
    """
    import numpy as np

    from interp.train.tasks.language_modelling import LanguageModelling

    told = LanguageModelling().answer(_opened.model, list(texts))
    return np.array([one.nats / one.tokens if one.tokens else np.nan for one in told])


@st.cache_resource(max_entries=8, show_spinner=False)
def uploaded(digest: str, _content: bytes, suffix: str, names: tuple[str, ...]) -> pd.DataFrame:
    """The examples of an uploaded table, at most `MOST`, each cut to `LONGEST` characters.

    Args:
        digest: of the content, which names it.
        suffix: one of `SUFFIXES`; the reader's own file name goes nowhere.
        names: of the column of the texts, then of those that are kept.

    Returns:
        `text`, and `kept NAME` for each column that is kept.

    Raises:
        InterpError: it is no such table, or has no such column.
    """
    from pathlib import Path
    from tempfile import TemporaryDirectory

    import pandas as pd

    from interp.data.readers import Reading, read_documents

    column, *keep = names
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"table{suffix}"
        path.write_bytes(_content)
        found = islice(read_documents([path], Reading(column, tuple(keep))), MOST)
        rows = [
            {"text": one.text[:LONGEST], **{f"kept {k}": _short(one.metadata[k]) for k in keep}}
            for one in found
            if one.text.strip()
        ]
    if not rows:
        raise InputError("The table holds no text.")
    return pd.DataFrame(rows)


def _short(value: object) -> str:
    from interp.data.document import sound

    return sound(str(value)[:100])


def sliced(scores: NDArray[np.float64], names: list[str], share: bool) -> pd.DataFrame:
    """The mean score of each slice with its interval: `label`, `value`, `ci_low`, `ci_high`, `n`.

    Args:
        scores: [example]; right (1) or wrong (0) where `share`, else any number.
        names: of the slice of each example; the largest `SLICES` are kept.
    """
    import numpy as np
    import pandas as pd

    from interp.train.metrics import mean, proportion

    rows = []
    slices = pd.Series(names).value_counts(sort=False)
    for name in slices.index[slices.rank(method="first", ascending=False) <= SLICES]:
        here = scores[np.array(names) == name]
        one = proportion("", int(here.sum()), len(here)) if share else mean("", here)
        rows.append(
            {
                "label": name,
                "value": one.value,
                "ci_low": one.ci_low,
                "ci_high": one.ci_high,
                "n": one.n,
            }
        )
    return pd.DataFrame(rows)
