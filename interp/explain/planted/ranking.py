"""How well scores find what is known to matter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from interp.errors import InputError
from interp.explain.planted.record import Item

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

NOTHING = 1e-4
"""Scores that differ by less than this share of the item's scale are one score: it is rounding."""
_DRAWS = 1000


def auprc(scores: Floats, positive: Bools) -> float:
    """Area under the curve of precision over recall, as average precision: the mean, over the
    positives, of the precision at each one's score; nan where all or none are positive."""
    if positive.all() or not positive.any():
        return math.nan
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], positive[order]
    last = np.append(ranked[1:] != ranked[:-1], True)  # of each group of equal scores
    found, seen = hits.cumsum()[last], np.flatnonzero(last) + 1
    return float((np.diff(found, prepend=0) * found / seen).sum() / hits.sum())


def expected_auprc(n: int, positives: int) -> float:
    """Mean average precision over all orders of `n`, of which some are positive: chance."""
    if not 0 < positives < n:
        return math.nan
    harmonic = sum(1 / k for k in range(1, n + 1))
    return (harmonic + (positives - 1) / (n - 1) * (n - harmonic)) / n


def auroc(scores: Floats, positive: Bools) -> float:
    """The chance that a positive scores higher than a negative, ties counting half; nan where all
    or none are positive."""
    if positive.all() or not positive.any():
        return math.nan
    gap = scores[positive][:, None] - scores[~positive]
    return float((gap > 0).mean() + (gap == 0).mean() / 2)


def precision_at_k(scores: Floats, positive: Bools) -> float:
    """The share of positives among the k highest scores, k being how many there are."""
    k = int(positive.sum())
    if k in (0, len(positive)):
        return math.nan
    return float(positive[np.argsort(-scores, kind="stable")[:k]].mean())


def sign_accuracy(scores: Floats, truth: Floats) -> float:
    """The share of those with a true value whose score has its sign; nan where there are none. A
    score of 0 has none and is wrong."""
    real = truth != 0
    return float((np.sign(scores[real]) == np.sign(truth[real])).mean()) if real.any() else math.nan


def spearman(scores: Floats, truth: Floats) -> float:
    """The correlation of ranks; nan where the truth is the same for all, 0 where scores are."""
    from scipy.stats import rankdata

    if len(set(truth)) < 2:
        return math.nan
    if len(set(scores)) < 2:
        return 0.0
    return float(np.corrcoef(rankdata(scores), rankdata(truth))[0, 1])


def false_share(scores: Floats, truth: Floats) -> float:
    """How much of all that was handed out, in absolute terms, went to tokens without any part;
    0 where nothing was handed out, nan where every token has a part."""
    if truth.all():
        return math.nan
    total = np.abs(scores).sum()
    return float(np.abs(scores[truth == 0]).sum() / total) if total else 0.0


def measure(item: Item, scores: Sequence[float], seed: int = 0) -> dict[str, float]:
    """Every figure of one explanation of an item, by name.

    Positive is what has a contribution; in the figures named `causal`, what is causal. Tokens are
    ranked by the size of their scores; signs count in `sign accuracy` and `spearman`. Scores are
    rounded first, tokens that cannot move are left out, and ties are broken at random, so that
    silence is worth as much as guessing.

    Args:
        scores: one per unit of the item.
        seed: of the order of ties.

    Raises:
        InputError: there is not one finite score per unit.
    """
    given = np.asarray(scores, dtype=np.float64)
    if given.shape != (len(item.ids),) or not np.isfinite(given).all():
        raise InputError(
            f"There are scores of shape {list(given.shape)} for {len(item.ids)} tokens; give one "
            "finite score for each."
        )
    movable = item.movable.numpy()
    given, causal = given[movable], item.causal.numpy()[movable]
    grain = NOTHING * (item.scale or 1.0)  # of a target that is always 0, in its own unit
    given = np.round(given / grain)
    order = np.random.default_rng(seed).permutation(len(given))
    given, causal = given[order], causal[order]
    size = np.abs(given)
    ranked = np.argsort(np.argsort(size, kind="stable"), kind="stable").astype(float)
    found = {
        "auprc causal": auprc(ranked, causal),
        "auprc causal chance": expected_auprc(len(causal), int(causal.sum())),
        "auroc causal": auroc(ranked, causal),
    }
    if item.contribution is None:
        return found
    truth = np.round(item.contribution.numpy()[movable][order] / grain)
    positive = truth != 0
    return {
        "auprc": auprc(ranked, positive),
        "auprc chance": expected_auprc(len(positive), int(positive.sum())),
        "auroc": auroc(ranked, positive),
        "precision at k": precision_at_k(ranked, positive),
        "sign accuracy": sign_accuracy(given, truth),
        "spearman": spearman(given, truth),
        "false share": false_share(given, truth),
        **found,
    }


def oracle(item: Item, seed: int = 0) -> dict[str, float]:
    """The figures of each truth held against itself: what a perfect explainer gets."""
    found = measure(item, item.causal.tolist(), seed)
    if item.contribution is not None:
        known = measure(item, item.contribution.tolist(), seed)
        found |= {name: value for name, value in known.items() if "causal" not in name}
    return found


def noise(item: Item, seed: int = 0) -> list[float]:
    """Scores of one who knows nothing."""
    drawn: list[float] = np.random.default_rng(seed).normal(size=len(item.ids)).tolist()
    return drawn


def shuffled(item: Item, seed: int = 0) -> Item:
    """The item with its truth dealt out anew among the tokens that can move: no explainer can
    know it."""
    movable = item.movable.nonzero()[:, 0]
    dealt = movable[torch.randperm(len(movable), generator=torch.Generator().manual_seed(seed))]
    causal = item.causal.clone()
    causal[movable] = item.causal[dealt]
    contribution = item.contribution
    if contribution is not None:
        contribution = contribution.clone()
        contribution[movable] = contribution[dealt]
    return replace(item, causal=causal, contribution=contribution)


def summary(frame: pd.DataFrame, by: Sequence[str], seed: int = 0) -> pd.DataFrame:
    """Means of `value` with 95 % intervals, by bootstrap over rows (items of all seeds): the
    columns `by`, and value, ci_low, ci_high, n. Rows without a value are left out."""
    import pandas as pd

    rows: list[Mapping[str, object]] = []
    for key, group in frame.dropna(subset=["value"]).groupby(list(by), sort=False):
        values = group["value"].to_numpy()
        generator = np.random.default_rng(seed)
        drawn = values[generator.integers(len(values), size=(_DRAWS, len(values)))].mean(1)
        low, high = np.quantile(drawn, [0.025, 0.975])
        rows.append(
            {
                **dict(zip(by, key, strict=True)),
                "value": float(values.mean()),
                "ci_low": float(low),
                "ci_high": float(high),
                "n": len(values),
            }
        )
    return pd.DataFrame(rows, columns=[*by, "value", "ci_low", "ci_high", "n"])
