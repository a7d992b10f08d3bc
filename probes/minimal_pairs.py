"""Which of two sentences a model finds more probable, where only one is right: minimal pairs.

A pair counts 1 where the right sentence has the larger summed log-probability, 0 where the other
has, and 1/2 where both have the same: a scorer that says the same of everything is right in half of
the pairs, never in all. What is summed for which kind of model, and which token has no number, is
said in `probes.scoring`.

A sum favours the shorter sentence. So the pairs whose sentences differ in their number of tokens
are counted (`unequal_lengths`), those of equal length are also judged alone, and all are judged by
the mean per token too.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from interp.data.order import stream_seed
from interp.data.records import MinimalPair
from interp.data.sets import read_set
from interp.errors import InputError
from interp.figures.minimal_pairs import minimal_pairs_chart
from probes.frames import tidy
from probes.scoring import score_pairs
from probes.script import Script
from probes.statistics import cluster_bootstrap

Floats = NDArray[np.float64]

TIE = 1e-6
"""Scores that differ by no larger part of themselves than this are the same: float32 tells no
more."""

METRICS = ("accuracy", "accuracy_per_token", "margin", "ties", "unequal_lengths")


def preferred(good: Floats, bad: Floats) -> Floats:
    """1 where the first score is the larger one, 0 where it is the smaller one, 1/2 at a tie.

    Raises:
        InputError: a score that is not finite.
    """
    if not (np.isfinite(good).all() and np.isfinite(bad).all()):
        raise InputError("A score is not finite, so that nothing can be preferred.")
    tied = np.abs(good - bad) <= TIE * np.maximum(np.abs(good), np.abs(bad))
    won: Floats = np.where(tied, 0.5, good > bad)
    return won


def minimal_pairs(
    model: Any,
    pairs: Sequence[MinimalPair],
    *,
    sources: Sequence[str] | str | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """How often a model prefers the right sentence: by kind of pair, by field, and in all.

    Args:
        sources: for an encoder-decoder, one for each pair or one for all.
        seed: of the bootstrap.

    Returns:
        `task` (the kind; missing where several are taken together), `field`, `level` (`kind`,
        `field`, `all`), and as `metric`

        - `accuracy`: by summed log-probability;
        - `accuracy_per_token`: by its mean;
        - `accuracy_equal_lengths`: by the sum, in the pairs of equally many tokens, if there are;
        - `margin`: by how many nats the right sentence is more probable, on average;
        - `ties`, `unequal_lengths`: the shares of such pairs.

        Each pair counts alike. Intervals are over other pairs of the kind, and where several kinds
        are taken together, over other kinds.

    Raises:
        InputError: no pairs, or what `probes.scoring.score` refuses.
    """
    scored = score_pairs(model, [(pair.good, pair.bad) for pair in pairs], sources=sources)
    totals = np.array([[one.total for one in both] for both in scored])
    lengths = np.array([[len(one.ids) for one in both] for both in scored])
    won = preferred(totals[:, 0], totals[:, 1])
    means = totals / np.array([[max(1, one.n) for one in both] for both in scored])
    columns = np.stack(
        [
            won,
            preferred(means[:, 0], means[:, 1]),
            totals[:, 0] - totals[:, 1],
            won == 0.5,
            lengths[:, 0] != lengths[:, 1],
        ],
        1,
    )
    return tidy(_rows(pairs, columns, seed))


def _rows(pairs: Sequence[MinimalPair], columns: Floats, seed: int) -> Iterator[dict[str, Any]]:
    kinds = np.array([pair.kind for pair in pairs])
    fields = np.array([pair.field for pair in pairs])
    for kind in dict.fromkeys(kinds.tolist()):
        mine = kinds == kind
        group = {"task": kind, "field": fields[mine][0], "level": "kind"}
        yield from _measured(group, columns[mine], np.arange(mine.sum()), seed)
    for field in dict.fromkeys(fields.tolist()):
        mine = fields == field
        group = {"task": None, "field": field, "level": "field"}
        yield from _measured(group, columns[mine], kinds[mine], seed)
    yield from _measured({"task": None, "field": None, "level": "all"}, columns, kinds, seed)


def _measured(
    group: dict[str, Any], columns: Floats, clusters: NDArray[Any], seed: int
) -> Iterator[dict[str, Any]]:
    yield from _means(group, METRICS, columns, clusters, seed)
    equal = columns[:, -1] == 0
    if equal.any():
        yield from _means(
            group, ("accuracy_equal_lengths",), columns[equal, :1], clusters[equal], seed
        )


def _means(
    group: dict[str, Any],
    metrics: Sequence[str],
    columns: Floats,
    clusters: NDArray[Any],
    seed: int,
) -> Iterator[dict[str, Any]]:
    several = len(np.unique(clusters)) > 1
    # One cluster says nothing about others.
    nothing = np.full(len(metrics), math.nan)
    low, high = cluster_bootstrap(columns, clusters, seed=seed) if several else (nothing, nothing)
    for i, metric in enumerate(metrics):
        yield {
            **group,
            "metric": metric,
            "value": columns[:, i].mean(),
            "ci_low": low[i],
            "ci_high": high[i],
            "n": len(columns),
        }


def sample(pairs: Sequence[MinimalPair], n: int, *, seed: int = 0) -> list[MinimalPair]:
    """At most n pairs of each kind, drawn once and for all by the seed; the order is kept.

    Raises:
        InputError: n is not positive.
    """
    if n < 1:
        raise InputError(f"{n} pairs of each kind leave nothing to judge.")
    places: dict[str, list[int]] = {}
    for i, pair in enumerate(pairs):
        places.setdefault(pair.kind, []).append(i)
    kept: set[int] = set()
    for kind, mine in places.items():
        random = np.random.default_rng(stream_seed("pairs", kind, seed))
        kept.update(random.permutation(mine)[:n].tolist())
    return [pair for i, pair in enumerate(pairs) if i in kept]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="of data sets")
    parser.add_argument("--pairs", type=int, metavar="N", help="of each paradigm (default: all)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample and the bootstrap")
    parser.add_argument("--source", metavar="TEXT", help="what an encoder-decoder reads")


def _measure(model: Any, options: argparse.Namespace) -> pd.DataFrame:
    pairs: list[MinimalPair] = read_set("blimp", options.data, "test")
    if options.pairs is not None:
        pairs = sample(pairs, options.pairs, seed=options.seed)
    return minimal_pairs(model, pairs, sources=options.source, seed=options.seed)


SCRIPT = Script(
    name="minimal_pairs",
    summary="Which of two sentences a model finds more probable: BLiMP, by paradigm and field.",
    examples=(
        "  python -m probes.minimal_pairs --run stories-suite --data DIR --out blimp.parquet \\\n"
        "    --chart blimp.html\n"
        "  python -m probes.minimal_pairs --run stories --data DIR --pairs 100"
    ),
    measure=_measure,
    chart=minimal_pairs_chart,
    add_arguments=_add_arguments,
)

if __name__ == "__main__":
    raise SystemExit(SCRIPT.main())
