"""The chart of a steering effect says what the frame says."""

from __future__ import annotations

import pandas as pd
import pytest

from interp import InputError
from interp.figures.steering import steering_chart


def frame(own: list[float], *random: list[float]) -> pd.DataFrame:
    strengths = [-1.0, 1.0, 2.0]
    rows = [
        {"direction": "steering", "draw": pd.NA, "coefficient": c, "metric": "logit", "change": v}
        for c, v in zip(strengths, own, strict=True)
    ]
    for draw, values in enumerate(random):
        rows += [
            {"direction": "random", "draw": draw, "coefficient": c, "metric": "logit", "change": v}
            for c, v in zip(strengths, values, strict=True)
        ]
    return pd.DataFrame(rows)


def test_finding_compares_the_largest_change_with_random_ones_of_that_strength() -> None:
    figure = steering_chart(frame([-1.0, 1.0, 3.0], [9.0, 9.0, 0.5], [0.0, 0.0, -3.5]))
    assert "2.00 times the direction changes the logit by +3.00" in figure.alt
    assert "more than 1 of 2 random directions" in figure.alt
    assert "at most 3.50 either way" in figure.alt


def test_every_line_passes_through_zero() -> None:
    spec = steering_chart(frame([-1.0, 1.0, 3.0], [0.0, 0.0, 0.5])).chart.to_dict()
    (rows,) = spec["datasets"].values()
    at_zero = [row for row in rows if row["strength"] == 0]
    assert len(at_zero) == 2
    assert all(row["change"] == 0 for row in at_zero)


def test_only_the_direction_itself_is_needed() -> None:
    assert "random" not in steering_chart(frame([-1.0, 1.0, 3.0])).alt


def test_frames_without_the_direction_or_with_nan_are_refused() -> None:
    whole = frame([-1.0, 1.0, 3.0], [0.0, 0.0, 0.5])
    with pytest.raises(InputError, match="direction itself"):
        steering_chart(whole[whole["direction"] == "random"])
    with pytest.raises(InputError, match="not finite"):
        steering_chart(frame([-1.0, float("nan"), 3.0]))
