"""When a curve over a training jumps: change points, against the null that it never does.

The statistic of a cut is the difference of the means on its two sides, in units of what noise would
make it (CUSUM, Page 1954). The largest over all cuts is compared with the largest in shuffled
copies of the curve, so that a curve of noise has a change point with probability alpha, whatever
the distribution of the noise. The sides of a cut that is found are searched in turn (binary
segmentation, Scott & Knott 1974), each at a part of alpha in proportion to its length, so that the
chance of any false one stays at alpha (Meinshausen 2008).

What is tested is a constant level: a curve that falls steadily is no noise, and is cut in two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from interp.errors import InputError

ALPHA = 0.05
_SHUFFLES = 999
_FEWEST = 2  # points on a side of a cut


@dataclass(frozen=True)
class ChangePoint:
    """A jump of a curve.

    Attributes:
        place: of the first point after it.
        before, after: the mean levels on its sides, up to the next jumps that were found earlier.
        p: share of the shuffled curves (of this side of earlier cuts) that have as large a jump.
    """

    place: int
    before: float
    after: float
    p: float


def change_points(
    curve: ArrayLike, *, alpha: float = ALPHA, shuffles: int = _SHUFFLES, seed: int = 0
) -> list[ChangePoint]:
    """The jumps of a curve [time], in order.

    Args:
        alpha: chance of any jump in a curve of noise; at least 1 / (shuffles + 1).

    Raises:
        InputError: values that are not finite, or an alpha that no number of jumps can reach.
    """
    values = np.asarray(curve, dtype=np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise InputError("A curve is a list of finite numbers, one for each moment.")
    if not 1 / (shuffles + 1) <= alpha < 1:
        raise InputError(
            f"alpha is {alpha}, and {shuffles} shuffled curves tell levels from "
            f"{1 / (shuffles + 1):.2g} up to 1."
        )
    generator = np.random.default_rng(seed)
    return sorted(_search(values, 0, alpha, shuffles, generator), key=lambda found: found.place)


def _search(
    values: NDArray[np.float64],
    start: int,
    alpha: float,
    shuffles: int,
    generator: np.random.Generator,
) -> Iterator[ChangePoint]:
    n = len(values)
    if n < 2 * _FEWEST or np.ptp(values) == 0:
        return
    observed = _jumps(values[None])[0]
    copies = generator.permuted(np.tile(values, (shuffles, 1)), axis=1)
    largest = _jumps(copies).max(1)
    # A tie counts against the jump, but for rounding.
    p = (1 + int((largest >= observed.max() * (1 - 1e-12)).sum())) / (shuffles + 1)
    if p > alpha:
        return
    cut = int(observed.argmax()) + _FEWEST
    yield ChangePoint(start + cut, float(values[:cut].mean()), float(values[cut:].mean()), p)
    yield from _search(values[:cut], start, alpha * cut / n, shuffles, generator)
    yield from _search(values[cut:], start + cut, alpha * (n - cut) / n, shuffles, generator)


def _jumps(curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """The statistic of each cut [curve, cut] of curves [curve, time]; the noise's size is the same
    in all shuffles of a curve, and is left out."""
    n = curves.shape[1]
    left = np.arange(_FEWEST, n - _FEWEST + 1)
    away = curves - curves.mean(1, keepdims=True)
    sums = away.cumsum(1)[:, left - 1]
    jumps: NDArray[np.float64] = np.abs(sums) * np.sqrt(n / (left * (n - left)))
    return jumps
