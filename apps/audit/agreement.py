"""Figures that are stated of a model beside those that are measured: whether they agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from apps.audit.section import Finding, Level
from apps.audit.stated import Stated
from interp.figures.labels import count, number, percent
from interp.train.metrics import Measure
from probes.statistics import holm

if TYPE_CHECKING:
    import pandas as pd

LEVEL = 0.05
_SHARES = ("accuracy", "f1", "rougeL", "exact_match")
_LOWER = ("bits_per_byte", "nats_per_token", "perplexity", "ece", "brier")
"""Metrics of which less is better."""
_NAMES = {"bits_per_byte": "bits for each byte (fewer are better)", "sentence_chrf": "chrF"}


def agreement(
    stated: Stated, measured: Sequence[Measure]
) -> tuple[Finding, dict[str, pd.DataFrame]]:
    """The verdict, and the table `stated` where anything can be compared.

    A metric agrees if the measured value lies among those that are stated of it (a card may state
    several, of several data), or no farther from the nearest than chance allows: normal errors
    from both intervals, corrected for all metrics (Holm).
    """
    import pandas as pd
    from scipy.stats import norm

    frame = stated.frame()
    ours = {one.metric: one for one in measured}
    known = frame[frame["metric"].isin(list(ours)) & frame["value"].notna()]
    if not len(known):
        sentence = "No figure that comes with the model is of what was measured here."
        return Finding("performance.stated", "unknown", sentence), {}
    table = pd.DataFrame([_row(ours[row.metric], row) for row in known.itertuples()])
    distant = {str(name): _nearest(part) for name, part in table.groupby("metric", sort=False)}
    p = holm([float(2 * norm.sf(abs(z))) for z in distant.values()])
    off = [name for name, one in zip(distant, p, strict=True) if one <= LEVEL]
    worse = [name for name in off if (distant[name] > 0) == (name in _LOWER)]
    said = (worse or off)[:1]
    if said:
        some, told = table[table["metric"] == said[0]]["stated"], text_of_value(said[0])
        ends = [told(some.min())] + ([told(some.max())] if some.nunique() > 1 else [])
        sentence = (
            f"Stated are {' to '.join(ends)} in {words_of(said[0])}; measured here are "
            f"{sure(ours[said[0]])}, which is {'worse' if worse else 'better'} (of "
            f"{count(len(distant), 'metric')} that can be compared, {len(worse)} are worse than "
            f"stated and {len(off) - len(worse)} better)."
        )
    else:
        sentence = (
            f"What is stated of it agrees with what is measured here, in all of "
            f"{count(len(distant), 'metric')} that can be compared."
        )
    weight = max((abs(distant[name]) for name in worse), default=0.0)
    level: Level = "caution" if worse else "fine"
    return Finding("performance.stated", level, sentence, ("stated",), weight), {"stated": table}


def _row(mine: Measure, row: Any) -> dict[str, Any]:
    # An interval of 95% is 3.92 standard errors wide.
    widths = [mine.ci_high - mine.ci_low, row.ci_high - row.ci_low]
    error = float(np.sqrt(np.nansum(np.square(widths)))) / 3.92
    difference = mine.value - row.value
    return {
        "metric": row.metric,
        "of": row.of,
        "stated": row.value,
        "measured": mine.value,
        "ci_low": mine.ci_low,
        "ci_high": mine.ci_high,
        "standard_errors": difference / error if error > 0 else 0.0,
        "source": row.source,
    }


def _nearest(part: pd.DataFrame) -> float:
    """Standard errors to the nearest stated value; 0 if the measured one lies among them."""
    z = part["standard_errors"]
    return 0.0 if z.min() <= 0 <= z.max() else float(z.loc[z.abs().idxmin()])


# -- metrics in words ------------------------------------------------------------------------------


def text_of_value(metric: str) -> Callable[[float], str]:
    """How a value of a metric is written."""
    return percent if metric in _SHARES else lambda value: number(float(value))


def words_of(metric: str) -> str:
    """What a metric is called in a sentence."""
    return _NAMES.get(metric, metric.replace("_", " "))


def points(metric: str, value: float) -> str:
    """A difference of values of a metric."""
    return f"{100 * value:.1f}" if metric in _SHARES else number(float(value))


def sure(one: Measure) -> str:
    """A value with its interval."""
    told = text_of_value(one.metric)
    if np.isnan(one.ci_low):
        return told(one.value)
    return f"{told(one.value)} ({told(one.ci_low)} to {told(one.ci_high)})"
