"""Attention patterns as tables and arrays, and in what place a head looks."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from interp.errors import InputError
from interp.figures.figure import finite, require_columns


def attention_frame(patterns: NDArray[np.floating], *, causal: bool) -> pd.DataFrame:
    """Attention patterns [layer, head, query, key] as a tidy frame.

    Args:
        causal: leave out the cells right of the diagonal, which a causal mask forbids.

    Raises:
        InputError: not four dimensions.
    """
    if patterns.ndim != 4:
        raise InputError(
            f"The attention patterns have shape {list(patterns.shape)}; stack them to "
            "[layer, head, query, key], of one text."
        )
    keep = np.ones(patterns.shape[2:], dtype=bool)
    query, key = np.nonzero(np.tril(keep) if causal else keep)
    heads = patterns.shape[0] * patterns.shape[1]
    layer, head = np.divmod(np.arange(heads), patterns.shape[1])
    return pd.DataFrame(
        {
            "layer": np.repeat(layer, len(query)),
            "head": np.repeat(head, len(query)),
            "query": np.tile(query, heads),
            "key": np.tile(key, heads),
            "weight": patterns[:, :, query, key].reshape(-1),
        }
    )


def head_summary(pattern: NDArray[np.floating]) -> dict[str, float]:
    """Where a head looks: mean shares of attention over the queries after the first, and entropy.

    Args:
        pattern: weights [query, key], NaN where a cell is masked or unknown.
    """
    weights = np.nan_to_num(pattern)
    queries, keys = weights.shape
    later = weights[1:] if queries > 1 else weights
    place = np.arange(1, queries) if queries > 1 else np.zeros(1, dtype=int)

    def share(target: NDArray[np.int_]) -> float:
        there = (target >= 0) & (target < keys)
        return float(later[there, target[there]].sum() / len(later))

    logs = np.log(weights, where=weights > 0, out=np.zeros_like(weights))
    return {
        "first": share(np.zeros_like(place)) if queries > 1 else 0.0,
        "previous": share(place - 1),
        "itself": share(place),
        "next": share(place + 1),
        "entropy": float(-(weights * logs).sum(axis=1).mean()),
    }


def require_weights(frame: pd.DataFrame, limit: float | None) -> None:
    """Raise `InputError` unless a frame holds attention weights at whole positions."""
    require_columns(frame, ("layer", "head", "query", "key", "weight"), "attention patterns")
    weights = finite(frame["weight"], "attention weights")
    outside = np.flatnonzero((weights < 0) | (weights > 1 + 1e-4))
    if len(outside):
        raise InputError(
            f"Row {outside[0]} of the attention patterns has weight {weights[outside[0]]}; "
            "weights are between 0 and 1. Give the pattern, not the scores before the softmax."
        )
    for column in ("query", "key"):
        kind = frame[column].dtype.kind
        if kind not in "iu" or frame[column].min() < 0:
            raise InputError(
                f"The column {column} of the attention patterns must hold positions from 0, as "
                f"integers; it holds {frame[column].dtype} from {frame[column].min()}."
            )
    if limit is not None and not 0 < limit <= 1:
        raise InputError(f"The limit of the colour scale is {limit}; give one in (0, 1].")


def dense(
    frame: pd.DataFrame, names: list[tuple[int, int]], shape: tuple[int, int] | None = None
) -> NDArray[np.float64]:
    """Patterns [head, query, key], in the order of `names` (layer, head), NaN without a row.

    Raises:
        InputError: a cell comes twice.
    """
    queries, keys = shape or (int(frame["query"].max()) + 1, int(frame["key"].max()) + 1)
    number = pd.MultiIndex.from_tuples(names)
    which = number.get_indexer(pd.MultiIndex.from_frame(frame[["layer", "head"]]))
    cell = (which * queries + frame["query"].to_numpy()) * keys + frame["key"].to_numpy()
    if np.bincount(cell).max() > 1:
        raise InputError(
            "The attention patterns hold a cell (layer, head, query, key) more than once; give "
            "the pattern of one text."
        )
    weights = np.full(len(names) * queries * keys, np.nan)
    weights[cell] = frame["weight"].to_numpy(dtype=np.float64)
    return weights.reshape(len(names), queries, keys)
