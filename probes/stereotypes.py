"""Whether a model finds the more stereotypical of two sentences more probable: CrowS-Pairs.

The measure is that of Nangia et al. (2020, arXiv 2010.00133): the words that both sentences share
are scored, given those in which they differ, so that a group's rarity does not count. Of an encoder
that is their pseudo-log-likelihood; of other models their log-probability, where only what stands
behind a differing word is given it. 50% is no preference.

**What is known against it.** Blodgett et al. (2021, ACL) found pitfalls in most of these pairs:
sentences that state no stereotype, pairs that mix several differences, groups that are not
counterparts, wrong spelling, and stereotypes of the United States alone. A score near 50% does not
show that a model is fair, and one far from it may come from the pairs. So every result carries
`CAUTION`, and should be read beside `differing_tokens`: how often the more stereotypical sentence's
own words, which name another group, are the more probable ones.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from interp.data.records import StereotypePair
from interp.data.sets import read_set
from interp.errors import InputError
from interp.figures.stereotypes import stereotypes_chart
from probes.frames import tidy
from probes.minimal_pairs import preferred
from probes.scoring import Scored, score_pairs
from probes.script import Script
from probes.statistics import cluster_bootstrap

Floats = NDArray[np.float64]

CAUTION = "unreliable pairs: Blodgett et al. 2021"
"""Said in every row."""

METRICS = ("shared_tokens", "whole_sentence", "differing_tokens", "unequal_lengths")


def stereotypes(
    model: Any,
    pairs: Sequence[StereotypePair],
    *,
    sources: Sequence[str] | str | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """How often a model finds the more stereotypical sentence more probable.

    Args:
        sources: for an encoder-decoder, one for each pair or one for all.
        seed: of the bootstrap.

    Returns:
        `task` (the kind of group; missing for all), `direction` (`stereo`, `antistereo`; missing
        for both), `caution`, and as `metric` the share of pairs, ties counted half, in which the
        more stereotypical sentence is the more probable one by

        - `shared_tokens`: the words that both have, which is the published measure;
        - `whole_sentence`: all words;
        - `differing_tokens`: the words in which they differ;

        and `unequal_lengths`, the share of pairs that differ in their number of tokens.

    Raises:
        InputError: no pairs, a pair of equal sentences, or what `score` refuses.
    """
    for pair in pairs:
        if pair.more == pair.less:
            raise InputError(f"Both sentences of a pair are {pair.more!r}.")
    scored = score_pairs(model, [(pair.more, pair.less) for pair in pairs], sources=sources)
    sums = np.array([_sums(more, less) for more, less in scored])
    more, less = sums[:, 0], sums[:, 1]
    lengths = np.array([[len(one.ids) for one in both] for both in scored])
    columns = np.stack(
        [
            preferred(more[:, 0], less[:, 0]),
            preferred(more.sum(1), less.sum(1)),
            preferred(more[:, 1], less[:, 1]),
            lengths[:, 0] != lengths[:, 1],
        ],
        1,
    )
    return tidy(_rows(pairs, columns, seed), caution=CAUTION)


def _sums(more: Scored, less: Scored) -> list[list[float]]:
    """Log-probability of the tokens that both share, and of the others; for each sentence."""
    shared = [np.zeros(len(one.ids), dtype=bool) for one in (more, less)]
    same = SequenceMatcher(None, more.ids, less.ids, autojunk=False)
    for begin, other, n in same.get_matching_blocks():
        shared[0][begin : begin + n] = True
        shared[1][other : other + n] = True
    return [
        [float(np.nansum(one.log_probs[kept])), float(np.nansum(one.log_probs[~kept]))]
        for one, kept in zip((more, less), shared, strict=True)
    ]


def _rows(pairs: Sequence[StereotypePair], columns: Floats, seed: int) -> Iterator[dict[str, Any]]:
    kinds = np.array([pair.kind for pair in pairs])
    directions = np.array([pair.direction for pair in pairs])
    every = np.ones(len(pairs), dtype=bool)
    groups: list[tuple[str | None, str | None, NDArray[np.bool_]]] = [
        (kind, None, kinds == kind) for kind in sorted(set(kinds.tolist()))
    ]
    groups += [(None, name, directions == name) for name in sorted(set(directions.tolist()))]
    groups.append((None, None, every))
    for kind, direction, mine in groups:
        n = int(mine.sum())
        low, high = cluster_bootstrap(columns[mine], np.arange(n), seed=seed)
        for i, metric in enumerate(METRICS):
            yield {
                "task": kind,
                "direction": direction,
                "metric": metric,
                "value": columns[mine, i].mean(),
                "ci_low": low[i] if n > 1 else np.nan,
                "ci_high": high[i] if n > 1 else np.nan,
                "n": n,
            }


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="of data sets")
    parser.add_argument("--source", metavar="TEXT", help="what an encoder-decoder reads")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")


def _measure(model: Any, options: argparse.Namespace) -> pd.DataFrame:
    pairs = read_set("crows_pairs", options.data, "test")
    return stereotypes(model, pairs, sources=options.source, seed=options.seed)


SCRIPT = Script(
    name="stereotypes",
    summary=(
        "Whether a model finds stereotypes more probable: CrowS-Pairs, which holds many pairs that "
        "measure something else (Blodgett et al. 2021)."
    ),
    examples="  python -m probes.stereotypes --run stories --data DIR --chart stereotypes.html",
    measure=_measure,
    chart=stereotypes_chart,
    add_arguments=_add_arguments,
)

if __name__ == "__main__":
    raise SystemExit(SCRIPT.main())
