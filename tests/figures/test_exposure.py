"""The chart of exposures says what it shows."""

from __future__ import annotations

import pandas as pd
import pytest

from interp.errors import InputError
from interp.figures.exposure import exposure_chart
from tests.figures.spec import drawn


def frame() -> pd.DataFrame:
    return pd.DataFrame({"duplicates": [0, 0, 16, 16], "value": [1.0, 3.0, 19.0, 20.0]})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_finding_is_the_mean_of_each_number_of_repeats(scheme: str) -> None:
    figure = exposure_chart(frame(), chance=1.443, highest=20.0, scheme=scheme)
    assert "4 canaries" in figure.alt
    assert "19.5 for 16 repeats; 2.0 for those that were never" in figure.alt
    svg = drawn(figure.chart)
    assert "never seen: 1.44" in svg
    assert "a canary repeated 16 times: 19.0 bits" in svg
    assert list(figure.frame["value"]) == [1.0, 3.0, 19.0, 20.0]


def test_what_no_secret_can_have_is_refused() -> None:
    with pytest.raises(InputError, match=r"not between 0 and 19\.0 bits"):
        exposure_chart(frame(), chance=1.443, highest=19.0)
    with pytest.raises(InputError, match="lacks the column"):
        exposure_chart(frame().drop(columns="duplicates"), chance=1.443, highest=20.0)
