"""One figure of a scorecard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Better = Literal["higher", "lower", "near 0", "n/a"]


@dataclass(frozen=True)
class Line:
    """A metric's value.

    Attributes:
        ci_low, ci_high: a 95 % interval; NaN where the figure is exact for this text.
        n: what it is a mean over (draws, tokens, cuts).
        better: which way is good.
        note: what a reader should know, in words.
    """

    metric: str
    value: float
    better: Better
    ci_low: float = float("nan")
    ci_high: float = float("nan")
    n: int = 1
    note: str = ""


def mean_line(metric: str, values: Sequence[float], better: Better, note: str = "") -> Line:
    """The mean of draws with its interval by bootstrap."""
    array = np.asarray(values, dtype=float)
    low, high = bootstrap(array)
    return Line(metric, float(array.mean()), better, low, high, len(array), note)


def bootstrap(values: NDArray[np.float64], draws: int = 500) -> tuple[float, float]:
    """A 95 % percentile interval of the mean over resampled values [n]."""
    if len(values) < 2:
        return float("nan"), float("nan")
    picks = np.random.default_rng(0).integers(0, len(values), (draws, len(values)))
    low, high = np.percentile(values[picks].mean(1), [2.5, 97.5])
    return float(low), float(high)


def averaged(runs: Sequence[Sequence[Line]]) -> list[Line]:
    """The mean of each line over several runs, with the range of 95 % of them."""
    lines = []
    for same in zip(*runs, strict=True):
        values = np.array([line.value for line in same])
        known = values[np.isfinite(values)]
        low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (np.nan, np.nan)
        value = float(known.mean()) if len(known) else float("nan")
        first = same[0]
        lines.append(
            Line(
                first.metric,
                value,
                first.better,
                float(low),
                float(high),
                len(same),
                "mean of runs",
            )
        )
    return lines
