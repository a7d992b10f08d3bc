"""What reading the same text again is worth (Muennighoff et al. 2023, arXiv 2305.16264)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FREE_EPOCHS = 4.0
"""Up to here repeated tokens are nearly as good as new ones."""
DECAY = 15.387756
"""Repetitions after which those to come are worth 1/e of new tokens (R*_D, appendix A there)."""


def effective_tokens(tokens: ArrayLike, unique: float | None) -> NDArray[np.float64]:
    """New tokens that are worth as much as `tokens` of which only `unique` are different.

    D' = U + U R* (1 - exp(-R / R*)) with R = D / U - 1 repetitions of all U. The paper also lets
    parameters beyond the best number for U decay; that is left out, since it would change the
    law where nothing is repeated.

    Args:
        unique: different tokens at hand, or None for as many as it takes.
    """
    read = np.asarray(tokens, float)
    if unique is None:
        return read
    again = np.maximum(read / unique - 1, 0.0)
    worth: NDArray[np.float64] = np.minimum(read, unique) - unique * DECAY * np.expm1(
        -again / DECAY
    )
    return worth
