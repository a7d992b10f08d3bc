"""Many questions at once: p-values of a whole result, corrected for how many there are."""

from __future__ import annotations

import pandas as pd

from probes.frames import tidy
from probes.statistics import benjamini_hochberg, holm


def corrected(frame: pd.DataFrame) -> pd.DataFrame:
    """A result with its p-values corrected over all rows of their metric: all layers of all models.

    Args:
        frame: with a column `p`, missing where nothing is tested.

    Returns:
        The frame with `p_holm`, at which the chance of any false alarm stays at the level, and
        `p_bh`, at which the expected share of false alarms among the alarms does.
    """
    found = {name: pd.Series(float("nan"), frame.index) for name in ("p_holm", "p_bh")}
    for _, p in frame["p"].dropna().groupby(frame["metric"]):
        found["p_holm"][p.index] = holm(p.to_numpy(float))
        found["p_bh"][p.index] = benjamini_hochberg(p.to_numpy(float))
    return tidy(frame.assign(**found))
