"""The reliability chart says what it shows."""

from __future__ import annotations

import pandas as pd
import pytest

from interp.errors import InputError
from interp.figures.reliability import reliability_chart
from tests.figures.spec import drawn, rows_of, spec_of


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "confidence": [0.9, 0.6],
            "value": [0.7, 0.6],
            "ci_low": [0.6, 0.5],
            "ci_high": [0.8, 0.7],
            "n": [30, 10],
        }
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_finding_is_the_mean_gap_and_its_direction(scheme: str) -> None:
    figure = reliability_chart(frame(), scheme=scheme)
    assert "40 predictions in 2 bins" in figure.alt
    assert "differ by 15% on average" in figure.alt  # (30 * 0.2 + 10 * 0) / 40
    assert "says more than it keeps, by 15%" in figure.alt
    assert "In 1 bin the confidence lies outside" in figure.alt
    assert list(figure.frame["confidence"]) == [0.6, 0.9]
    svg = drawn(figure.chart)
    assert "says 90%, is right in 70% of 30 examples" in svg


def test_a_modest_model_says_less_than_it_keeps() -> None:
    modest = frame().assign(confidence=[0.5, 0.55])
    assert "says less than it keeps" in reliability_chart(modest).alt


def test_both_axes_are_whole_shares_and_the_line_of_honesty_is_the_diagonal() -> None:
    chart = reliability_chart(frame()).chart
    for layer in spec_of(chart)["layer"]:
        for axis in ("x", "y"):
            assert layer["encoding"][axis]["scale"]["domain"] == [0, 1]
    assert [(row["confidence"], row["value"]) for row in rows_of(chart)] == [(0, 0), (1, 1)]
    assert [row["n"] for row in rows_of(chart, layer=2)] == [10, 30]


def test_what_is_no_share_is_refused() -> None:
    with pytest.raises(InputError, match="'value' of the reliability is not between"):
        reliability_chart(frame().assign(value=[1.2, 0.5]))
    with pytest.raises(InputError, match="lacks the column"):
        reliability_chart(frame().drop(columns="n"))
