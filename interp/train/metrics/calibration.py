"""Whether a classifier is right as often as it says: calibration (Guo et al. 2017, 1706.04599)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from interp.errors import InputError
from interp.train.metrics.interval import Floats, Measure, mean, of_sums, proportion, ratio

if TYPE_CHECKING:
    import pandas as pd


def calibration(
    probabilities: NDArray[Any], true: NDArray[Any], *, bins: int = 10, seed: int = 0
) -> list[Measure]:
    """Expected calibration error and Brier score.

    - `ece`: how far, on average over examples, the share of right predictions is from the
      probability of the predicted class, within bins of equally many examples (Nixon et al. 2019,
      1904.01685). Noise within bins only ever adds to it, so on few examples it is too large, and
      its interval, drawn by the bootstrap, more so.
    - `brier`: squared error of the probabilities, summed over classes (Brier 1950): 0 to 2.

    Args:
        probabilities: [n, n_classes].
        true: [n] class numbers.
        bins: the most bins; equal probabilities are never parted.

    Raises:
        InputError: no examples, or rows that are no probabilities.
    """
    probabilities, true = _checked(probabilities, true)
    confidence, hit = probabilities.max(1), probabilities.argmax(1) == true
    place = equal_mass_bins(confidence, bins)
    n_bins = int(place.max()) + 1
    gaps = np.zeros((len(true), n_bins + 1))
    gaps[np.arange(len(true)), place] = hit - confidence
    gaps[:, -1] = 1.0
    squared = probabilities**2
    right = probabilities[np.arange(len(true)), true]
    return [
        of_sums(
            "ece",
            gaps,
            lambda s: ratio(np.abs(s[..., :-1]).sum(-1), s[..., -1]),
            f"{n_bins} equal-mass bins",
            seed=seed,
        ),
        mean("brier", squared.sum(1) - 2 * right + 1, seed=seed),
    ]


def reliability(probabilities: NDArray[Any], true: NDArray[Any], *, bins: int = 10) -> pd.DataFrame:
    """The accuracy within each bin of confidence: a row a bin.

    Returns:
        `bin`, `confidence` (its mean in the bin), `metric` (`accuracy`), `value`, `ci_low`,
        `ci_high` (Wilson's), `n`; by confidence.
    """
    import pandas as pd

    probabilities, true = _checked(probabilities, true)
    confidence, hit = probabilities.max(1), probabilities.argmax(1) == true
    place = equal_mass_bins(confidence, bins)
    rows = []
    for bin in range(int(place.max()) + 1):
        here = place == bin
        share = proportion("accuracy", int(hit[here].sum()), int(here.sum()))
        rows.append(
            {
                "bin": bin,
                "confidence": float(confidence[here].mean()),
                "metric": share.metric,
                "value": share.value,
                "ci_low": share.ci_low,
                "ci_high": share.ci_high,
                "n": share.n,
            }
        )
    return pd.DataFrame(rows)


def equal_mass_bins(confidence: Floats, bins: int) -> NDArray[np.int64]:
    """The bin of each example: as equal in size as whole groups of equal values allow."""
    if bins < 1:
        raise InputError(f"bins is {bins}; there must be at least one.")
    ascending = np.sort(confidence)
    first = np.arange(1, bins) * len(ascending) // bins
    cuts = np.unique(ascending[first])
    place = np.searchsorted(cuts, confidence, side="right")
    bin: NDArray[np.int64] = np.unique(place, return_inverse=True)[1]  # without empty ones
    return bin


def _checked(probabilities: NDArray[Any], true: NDArray[Any]) -> tuple[Floats, NDArray[np.int64]]:
    probabilities = np.asarray(probabilities, np.float64)
    true = np.asarray(true, np.int64)
    if probabilities.ndim != 2 or len(probabilities) != len(true) or not len(true):
        raise InputError(
            f"The probabilities have shape {list(probabilities.shape)} and there are {len(true)} "
            "right answers; give one row [n_classes] for each, and at least one."
        )
    if probabilities.min() < 0 or not np.allclose(probabilities.sum(1), 1.0, atol=1e-3):
        raise InputError("A row of the probabilities is none: take the softmax of logits first.")
    if true.min() < 0 or true.max() >= probabilities.shape[1]:
        raise InputError(f"A right answer is none of the {probabilities.shape[1]} classes.")
    return probabilities, true
