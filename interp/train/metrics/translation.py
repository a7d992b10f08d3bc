"""BLEU (Papineni et al. 2002) and chrF (Popović 2015), as sacreBLEU computes them.

A score without its signature says little (Post 2018, arXiv 1804.08771), so it stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interp.errors import InputError
from interp.train.metrics.interval import Floats, Measure, of_sums


def translation(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], *, seed: int = 0
) -> list[Measure]:
    """`bleu` and `chrf` (0 to 100) of raw, cased text.

    Args:
        hypotheses: [n] what the system wrote.
        references: [n] the right texts of each, one or several.

    Raises:
        InputError: nothing to measure, or a hypothesis without a reference.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    if len(hypotheses) != len(references) or not all(references) or not hypotheses:
        raise InputError(
            f"There are {len(hypotheses)} translations and references for "
            f"{sum(map(bool, references))}; each needs at least one reference."
        )
    streams = [list(stream) for stream in zip_longest(*references)]  # None where there are fewer
    return [
        _measure("bleu", BLEU(), hypotheses, streams, seed),
        _measure("chrf", CHRF(), hypotheses, streams, seed),
    ]


def sentence_chrf(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> NDArray[np.float64]:
    """chrF of each sentence by itself, [n], 0 to 100; their mean is not the corpus's chrF, in which
    long sentences count more."""
    from sacrebleu.metrics.chrf import CHRF

    metric = CHRF()
    pairs = zip(hypotheses, references, strict=True)
    return np.array([metric.sentence_score(one, list(right)).score for one, right in pairs])


def _measure(
    name: str, metric: Any, hypotheses: Sequence[str], streams: list[list[str]], seed: int
) -> Measure:
    # The library's own significance tests resample these statistics in the same way.
    statistics = np.array(metric._extract_corpus_statistics(hypotheses, streams), np.float64)

    def score(sums: Floats) -> Floats:
        flat = sums.reshape(-1, sums.shape[-1])
        scores = [metric._compute_score_from_stats(row.tolist()).score for row in flat]
        return np.array(scores).reshape(sums.shape[:-1])

    return of_sums(name, statistics, score, str(metric.get_signature()), seed=seed)
