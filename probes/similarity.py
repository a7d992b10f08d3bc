"""How alike the layers of models are: what one layer represents, compared with another's.

    python -m probes.similarity --run stories-suite --steps 0 -1 --chart cka.html

Three measures, all blind to turns and scale of the activations:

- `cka`: linear centred kernel alignment (Kornblith et al. 2019, arXiv 1905.00414) with the unbiased
  estimate of HSIC (Song et al. 2012, equation 5). The usual, biased estimate calls any two layers
  alike when rows are few: independent noise of width 8 reads 0.2 on 32 rows.
- `svcca`: the mean canonical correlation of the principal components that hold 99 % of the variance
  (Raghu et al. 2017, arXiv 1706.05806). It grows with width over rows even without any likeness,
  so it comes with what shuffled rows have.
- `rsa`: the rank correlation of the distances between rows (Kriegeskorte et al. 2008).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from interp.data.examples import Examples
from interp.errors import InputError
from interp.figures.similarity import similarity_chart
from probes.frames import tidy
from probes.hsic import Interaction, jackknife_interval
from probes.passages import REPEATS, add_text_arguments, read_texts
from probes.script import Script
from probes.stream import By, Stream, read_stream
from probes.subjects import Subject, opened, short_hash

ROWS = 2000
"""Rows that are compared by default."""
_RSA_ROWS = 500  # distances are between all pairs of rows
_GROUPS = 20
_KEPT = 0.99


def similarity(
    these: Sequence[Subject],
    examples: Callable[[Any], Examples],
    *,
    by: By = "token",
    rows: int = ROWS,
) -> pd.DataFrame:
    """Every layer of every model against every other, and itself.

    Args:
        these: from `probes.subjects.subjects`.
        examples: what a model reads; the same texts for all.
        by: compare tokens, or means over texts. Models that split text differently can only be
            compared by texts.
        rows: compare so many, drawn at random.

    Returns:
        A row for each metric and pair of sites: one in `run`, `step`, `model_hash`, `site`,
        `layer`, the other in `run_b`, `step_b`, `site_b`, `layer_b`; `chance` is what unrelated
        layers have; `cka` has an interval over texts.

    Raises:
        InputError: models that read different tokens, fewer than four rows.
    """
    known: list[dict[str, Any]] = []
    values: list[Tensor] = []
    first: Stream | None = None
    for subject, model in opened(these):
        stream = read_stream(model, examples(model), by=by)
        if first is None:
            first = stream
        elif not torch.equal(stream.tokens, first.tokens):
            raise InputError(
                f"{subject} reads other tokens than {these[0]}, so that their rows do not belong "
                "together; compare them by texts."
            )
        stream = stream.sample(rows)
        step = pd.NA if subject.step is None else subject.step
        for site, value in stream.values.items():
            key = {"run": subject.run, "step": step, "model_hash": short_hash(model)}
            known.append({**key, "site": site, "layer": stream.layers[site]})
            values.append(value)
    assert first is not None
    frame = compare(values, first.sample(rows).text)
    one = pd.DataFrame(known).astype({"step": "Int64", "layer": "Int64"})
    names = ["run", "step", "site", "layer"]
    left = one.iloc[frame.pop("a")].reset_index(drop=True)
    right = one[names].iloc[frame.pop("b")].reset_index(drop=True).add_suffix("_b")
    return tidy(pd.concat([left, right, frame], axis=1))


def compare(values: Sequence[Tensor], groups: Tensor) -> pd.DataFrame:
    """All pairs of representations of the same rows.

    Args:
        values: [row, d] each; widths may differ.
        groups: what rows belong to together (their text), [row]; for the intervals.

    Returns:
        `a`, `b` (places in `values`, a <= b), `metric`, `value`, `ci_low`, `ci_high`, `n`,
        `chance`.

    Raises:
        InputError: fewer than four rows, or not equally many.
    """
    n = len(groups)
    if n < 4 or any(len(value) != n for value in values):
        raise InputError(
            f"There are {sorted({len(value) for value in values})} rows and {n} groups; similarity "
            "needs at least four rows, the same of every layer."
        )
    centred = [value.double() - value.double().mean(0) for value in values]
    parts = [_cka(centred, groups), _svcca(centred), _rsa(centred)]
    return pd.DataFrame([{**row, "n": n} for part in parts for row in part])


def _pairs(n: int) -> Iterator[tuple[int, int]]:
    return ((i, j) for i in range(n) for j in range(i, n))


def _cka(values: list[Tensor], groups: Tensor) -> Iterator[dict[str, Any]]:
    """The value from all rows, its interval from leaving out each of some groups of texts."""
    _, number = groups.unique(return_inverse=True)
    part = number % min(_GROUPS, int(number.max()) + 1)
    hsic = {
        (i, j): Interaction.of(values[i], values[j], part).hsic() for i, j in _pairs(len(values))
    }
    for (i, j), both in hsic.items():
        size = (hsic[i, i] * hsic[j, j]).clamp(min=0).sqrt()
        every = torch.where(size > 0, both / torch.where(size > 0, size, 1), 0.0)
        low, high = jackknife_interval(every[1:], float(every[0]))
        yield {
            "a": i,
            "b": j,
            "metric": "cka",
            "value": float(every[0]),
            "ci_low": low,
            "ci_high": min(high, 1.0) if np.isfinite(high) else high,
            "chance": 0.0,
        }


def _svcca(values: list[Tensor]) -> Iterator[dict[str, Any]]:
    bases = [_principal(value) for value in values]
    generator = torch.Generator().manual_seed(0)
    order = torch.randperm(len(values[0]), generator=generator)
    for i, j in _pairs(len(values)):
        both = torch.stack([bases[i].T @ bases[j], bases[i][order].T @ bases[j]])
        found = torch.linalg.svdvals(both).mean(1) if min(both.shape[1:]) else torch.zeros(2)
        yield {"a": i, "b": j, "metric": "svcca"} | {
            "value": min(float(found[0]), 1.0),
            "chance": float(found[1]),
        }


def _principal(centred: Tensor) -> Tensor:
    """The principal components that hold the variance but for 1 %, each of length 1, [row, k]."""
    variance, axes = torch.linalg.eigh(centred.T @ centred)
    variance, axes = variance.flip(0).clamp(min=0), axes.flip(1)
    if not float(variance[0]) > 0:
        return centred[:, :0]
    share = variance.cumsum(0) / variance.sum()
    kept = int((share < _KEPT).sum()) + 1
    scores: Tensor = centred @ axes[:, :kept] / variance[:kept].sqrt()
    return scores


def _rsa(values: list[Tensor]) -> Iterator[dict[str, Any]]:
    from scipy.stats import rankdata

    generator = torch.Generator().manual_seed(0)
    some = torch.randperm(len(values[0]), generator=generator)[:_RSA_ROWS]
    ranks = []
    for value in values:
        rank = rankdata(torch.nn.functional.pdist(value[some]).numpy())
        rank -= rank.mean()
        length = np.linalg.norm(rank)
        ranks.append(rank / length if length > 0 else rank)
    table = np.stack(ranks)
    found = table @ table.T
    for i, j in _pairs(len(values)):
        yield {"a": i, "b": j, "metric": "rsa", "value": float(found[i, j]), "chance": 0.0}


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_text_arguments(parser, default=REPEATS)
    parser.add_argument("--by", choices=("token", "text"), default="token", help="what is a row")
    parser.add_argument("--rows", type=int, default=ROWS, metavar="N", help="compare so many")


SCRIPT = Script(
    name="similarity",
    summary="How alike the layers of models are: debiased CKA, SVCCA and RSA.",
    examples=(
        "  python -m probes.similarity --run stories --texts childrens_stories --data DATA\n"
        "  python -m probes.similarity --run stories-suite --steps 0 64 1024 -1 --chart cka.html"
    ),
    whole=lambda these, options: similarity(
        these,
        lambda model: read_texts(model, options),
        by=options.by,
        rows=options.rows,
    ),
    chart=lambda frame, scheme: similarity_chart(frame, scheme=scheme),
    add_arguments=_arguments,
)


if __name__ == "__main__":
    raise SystemExit(SCRIPT.main())
