"""How well a language model foresees text: perplexity, and bits per byte.

Perplexities of models with different vocabularies do not compare, since their tokens are not the
same. Bits per byte of the text do.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interp.train.metrics.interval import Measure, of_sums, ratio


def likelihood(
    nats: NDArray[Any],
    tokens: NDArray[Any],
    n_bytes: NDArray[Any],
    signature: str = "",
    *,
    seed: int = 0,
) -> list[Measure]:
    """Measures of summed losses; documents are the independent examples.

    Args:
        nats: [n], the summed loss of each document's predicted tokens.
        tokens: [n], how many those are.
        n_bytes: [n], UTF-8 bytes of the text that they cover.
    """
    sums = np.stack([nats, tokens, n_bytes], 1)

    def measure(name: str, value: Any) -> Measure:
        return of_sums(name, sums, value, signature, seed=seed)

    return [
        measure("nats_per_token", lambda s: ratio(s[..., 0], s[..., 1])),
        measure("perplexity", lambda s: np.exp(ratio(s[..., 0], s[..., 1]))),
        measure("bits_per_byte", lambda s: ratio(s[..., 0], s[..., 2]) / math.log(2)),
    ]
