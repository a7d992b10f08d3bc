"""The chart of slices says which is best and which is worst."""

from __future__ import annotations

import pandas as pd
import pytest

from interp.errors import InputError
from interp.figures.slices import slices_chart
from tests.figures.spec import drawn


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "label": ["short", "long\u202e"],
            "value": [0.9, 0.5],
            "ci_low": [0.8, 0.3],
            "ci_high": [0.95, 0.7],
            "n": [40, 10],
        }
    )


def test_the_finding_names_the_best_and_the_worst() -> None:
    figure = slices_chart(frame(), title="accuracy", whole=0.82)
    assert "82% of the whole table" in figure.alt
    assert "from 50% (30% to 70%) in “long⟨U+202E⟩” to 90% (80% to 95%) in “short”" in figure.alt
    assert "short: 90% (80% to 95%), n = 40" in drawn(figure.chart)


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(InputError, match="lacks"):
        slices_chart(frame().drop(columns="n"), title="accuracy", whole=0.5)
