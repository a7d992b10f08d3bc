"""How many dimensions the activations of a layer fill.

    python -m probes.dimension --run stories-suite --steps 0 -1 --chart dimension.html

Two answers to two questions:

- `two_nn`: the dimension of the manifold on which rows lie, curved or not, from the distances to
  the nearest and the second nearest row (Facco et al. 2017, arXiv 1803.06992). It is a matter of
  scale: with fewer rows the neighbours are farther, and fine structure, or noise, is not seen any
  more. So it is measured on all rows, on halves, quarters and eighths. Edges make it a little
  small: a cube of 4 dimensions reads 3.8 on 4,000 rows.
- `participation_ratio`: how many directions share the variance, (tr C)^2 / tr C^2, with tr C^2
  without the bias that makes few rows look low-dimensional.

In trained language models the first tends to rise and fall over the layers, as a hunchback
(Valeriani et al. 2023, arXiv 2302.00294).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from interp.data.examples import Examples
from interp.errors import InputError
from interp.figures.dimension import dimension_chart
from probes.frames import tidy
from probes.hsic import Interaction, jackknife_interval
from probes.passages import REPEATS, add_text_arguments, read_texts
from probes.script import Script
from probes.stream import By, read_stream

ROWS = 4000
"""Rows that are looked at by default."""
_SHARES = (1, 2, 4, 8)
_FEWEST = 32  # rows of a part; below it an estimate is noise
_PARTS = 20
_DISCARDED = 0.1
_BLOCK = 2**24  # distances at a time


@dataclass(frozen=True)
class TwoNN:
    """An estimate of the intrinsic dimension.

    Attributes:
        value, ci_low, ci_high: the interval takes the ratios of different rows as independent.
        scale: the mean distance to the second neighbour.
        n: distinct rows.
    """

    value: float
    ci_low: float
    ci_high: float
    scale: float
    n: int


def dimension(
    model: Any, examples: Examples, *, by: By = "token", rows: int = ROWS, seed: int = 0
) -> pd.DataFrame:
    """The dimension of every layer.

    Args:
        by: whether a row is a token or the mean over a text.
        rows: look at so many, drawn at random.

    Returns:
        Rows of `two_nn` at each `share` of the rows (1, 1/2, 1/4, 1/8: mean over disjoint parts,
        with `scale`, the distance to the second neighbour) and of `participation_ratio` (with
        `scale`, the root mean square distance from the mean), for each site.

    Raises:
        InputError: fewer than 32 distinct rows in a layer.
    """
    stream = read_stream(model, examples, by=by).sample(rows, seed)
    found = []
    for site, value in stream.values.items():
        key = {"site": site, "layer": stream.layers[site]}
        measured = [_of_shares(value, seed), [_participation(value, stream.text)]]
        found += [{**key, **row} for part in measured for row in part]
    return tidy(found)


def _of_shares(value: Tensor, seed: int) -> Iterator[dict[str, Any]]:
    distinct = value.unique(dim=0)
    if len(distinct) < _FEWEST:
        raise InputError(
            f"A layer has {len(distinct)} distinct rows of {len(value)}; its dimension needs at "
            f"least {_FEWEST}. Read more text, or words that differ."
        )
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(distinct), generator=generator)
    for parts in _SHARES:
        size = len(distinct) // parts
        if size < _FEWEST:
            return
        each = [two_nn(distinct[order[i * size : (i + 1) * size]]) for i in range(parts)]
        # The parts are disjoint, so that their intervals shrink together.
        mean = {
            name: sum(getattr(one, name) for one in each) / parts
            for name in ("value", "ci_low", "ci_high", "scale")
        }
        for name in ("ci_low", "ci_high"):
            mean[name] = mean["value"] + (mean[name] - mean["value"]) / parts**0.5
        yield {"metric": "two_nn", "share": 1 / parts, "n": size, **mean}


def two_nn(rows: Tensor, *, discarded: float = _DISCARDED) -> TwoNN:
    """The dimension d for which log(r2 / r1) is exponential with rate d (Facco et al., equation 3).

    The largest tenth of the ratios, which the edges and the density disturb, counts only as being
    larger than the rest: the maximum of the likelihood is k / (sum of the k smallest logs + (n - k)
    times the largest of them), and 2 d times that sum is chi-squared with 2 k degrees of freedom.

    Args:
        rows: [n, d], without doubles.
        discarded: share of the ratios that counts so.

    Raises:
        InputError: fewer than three rows, or equal ones.
    """
    from scipy.stats import chi2

    n = len(rows)
    if n < 3:
        raise InputError(f"There are {n} rows; neighbours of neighbours need at least three.")
    near, next_ = neighbours(rows)
    if not float(near.min()) > 0:
        raise InputError("Two rows are equal; leave doubles out, since they have no dimension.")
    logs = (next_ / near).log().sort().values
    k = max(1, round((1 - discarded) * n))
    total = float(logs[:k].sum() + (n - k) * logs[k - 1])
    if not total > 0:
        raise InputError("All rows are as far from their second neighbour as from their first.")
    low, high = (float(chi2.ppf(q, 2 * k)) / (2 * total) for q in (0.025, 0.975))
    return TwoNN(k / total, low, high, float(next_.mean()), n)


def neighbours(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Distances to the nearest and the second nearest other row, [n] each, in float64.

    Products of matrices find the candidates; their distances are then taken without cancellation.
    """
    rows = rows.double() - rows.double().mean(0)
    square = rows.square().sum(1)
    height = max(1, _BLOCK // len(rows))
    found = []
    for start in range(0, len(rows), height):
        block = rows[start : start + height]
        distance = square - 2 * block @ rows.T  # up to a constant for each row of the block
        mine = torch.arange(len(block))
        distance[mine, start + mine] = torch.inf
        nearest = distance.topk(min(4, len(rows) - 1), largest=False).indices
        exact = (block[:, None] - rows[nearest]).norm(dim=-1)
        found.append(exact.sort(1).values[:, :2])
    first, second = torch.cat(found).T
    return first, second


def _participation(value: Tensor, text: Tensor) -> dict[str, Any]:
    """The ratio, with an interval from leaving out each of some groups of texts."""
    _, number = text.unique(return_inverse=True)
    part = number % min(_PARTS, int(number.max()) + 1)
    centred = value.double() - value.double().mean(0)
    sums = Interaction.of(centred, centred, part)
    trace, square = sums.trace_x(), sums.hsic()
    every = trace.square() / square
    low, high = jackknife_interval(every[1:], float(every[0]))
    return {
        "metric": "participation_ratio",
        "value": float(every[0]),
        "ci_low": low,
        "ci_high": high,
        "n": len(value),
        "share": 1.0,
        "scale": float(trace[0]) ** 0.5,
    }


def participation_ratio(rows: Tensor) -> float:
    """(tr C)^2 / tr C^2 of rows [n, d], from 1 to d, both traces without bias."""
    return float(_participation(rows, torch.arange(len(rows)))["value"])


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_text_arguments(parser, default=REPEATS)
    parser.add_argument("--by", choices=("token", "text"), default="token", help="what is a row")
    parser.add_argument("--rows", type=int, default=ROWS, metavar="N", help="look at so many")


SCRIPT = Script(
    name="dimension",
    summary="How many dimensions the activations of each layer fill: TwoNN, participation ratio.",
    examples=(
        "  python -m probes.dimension --run stories --texts childrens_stories --data DATA\n"
        "  python -m probes.dimension --run stories-suite --steps 0 256 -1 --chart d.html"
    ),
    measure=lambda model, options: dimension(
        model, read_texts(model, options), by=options.by, rows=options.rows
    ),
    chart=lambda frame, scheme: dimension_chart(frame, scheme=scheme),
    add_arguments=_arguments,
)


if __name__ == "__main__":
    raise SystemExit(SCRIPT.main())
