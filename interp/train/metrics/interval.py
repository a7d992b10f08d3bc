"""How sure a measured number is: Wilson's interval for a share, the bootstrap for the rest.

Every corpus metric here is a function of sums over the test examples: a perplexity is one of
summed losses and counts, BLEU one of summed n-gram matches. So one bootstrap serves them all: it
draws how often each example counts, and asks for the metric of the sums (Efron 1979; for two
systems on the same examples, Koehn 2004).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from interp.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
OfSums = Callable[[Floats], Floats]
"""A metric as a function of sums, [..., k] -> [...]."""

CONFIDENCE = 0.95
_AT_ONCE = 2**24  # counts that are drawn at once, which bounds the memory


@dataclass(frozen=True)
class Measure:
    """One number, and how sure it is.

    Attributes:
        metric: its name.
        value: the number, on all examples.
        ci_low, ci_high: the 95% interval over other examples of the same kind; NaN where one
            example says nothing about others.
        n: independent examples (not tokens) that it rests on.
        signature: how it was computed, where that is a matter of choice.
    """

    metric: str
    value: float
    ci_low: float
    ci_high: float
    n: int
    signature: str = ""


def to_frame(measures: Iterable[Measure]) -> pd.DataFrame:
    """The measures as a table, a row each."""
    import pandas as pd

    return pd.DataFrame([asdict(measure) for measure in measures])


def proportion(metric: str, hits: int, n: int, signature: str = "") -> Measure:
    """A share of independent examples, with Wilson's interval (1927).

    Raises:
        InputError: there are no examples.
    """
    from scipy.stats import binomtest

    _require_examples(n, metric)
    low, high = binomtest(hits, n).proportion_ci(CONFIDENCE, method="wilson")
    return Measure(metric, hits / n, float(low), float(high), n, signature)


def of_sums(
    metric: str,
    statistics: NDArray[Any],
    value: OfSums,
    signature: str = "",
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> Measure:
    """A function of sums over examples, with its bootstrap interval.

    Args:
        statistics: [n, k], what each independent example adds to the sums.
        value: the metric of the sums, [..., k] -> [...].

    Raises:
        InputError: there are no examples.
    """
    statistics = np.asarray(statistics, dtype=np.float64)
    _require_examples(len(statistics), metric)
    low, high = bootstrap(statistics, value, resamples=resamples, seed=seed)
    whole = float(value(statistics.sum(0)))
    return Measure(metric, whole, low, high, len(statistics), signature)


def mean(metric: str, values: NDArray[Any], signature: str = "", *, seed: int = 0) -> Measure:
    """The mean of one value an example, [n], with its bootstrap interval."""
    values = np.asarray(values, np.float64)
    sums = np.stack([values, np.ones(len(values))], 1)
    return of_sums(metric, sums, lambda s: ratio(s[..., 0], s[..., 1]), signature, seed=seed)


def bootstrap(
    statistics: Floats, value: OfSums, *, resamples: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """The 95% percentile interval of a function of sums, over resampled examples.

    To compare two systems on the same examples, put their statistics side by side, [n, 2 k], and
    let `value` be the difference: each resample then draws the same examples for both.

    Args:
        statistics: [n, k], a row for each independent example.
        value: [..., k] -> [...].
        seed: of the draws, the only thing they depend on.
    """
    n = len(statistics)
    if n < 2:
        return math.nan, math.nan
    random = np.random.default_rng(seed)
    found, at_once = [], max(1, _AT_ONCE // n)
    for first in range(0, resamples, at_once):
        rows = min(at_once, resamples - first)
        drawn = random.integers(0, n, (rows, n)) + n * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
        found.append(value(counts @ statistics))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.concatenate(found), [tail, 1 - tail])
    return float(low), float(high)


def ratio(above: Any, below: Any) -> Floats:
    """above / below, and 0 where both are: a class that never occurs has no hits."""
    above, below = np.broadcast_arrays(np.asarray(above, float), np.asarray(below, float))
    out: Floats = np.divide(above, below, out=np.zeros_like(above), where=below != 0)
    return out


def _require_examples(n: int, metric: str) -> None:
    if n < 1:
        raise InputError(f"There is no example to measure {metric} on; the data are empty.")
