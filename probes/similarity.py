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

Each has an interval over texts, from leaving out each of twenty groups of them. Texts drawn twice,
as a bootstrap draws them, would not do: a row and its copy are alike in every layer, so that `rsa`
and `svcca` of the draws lie above those of the texts.
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
from probes.canonical import mean_correlation, scatter, whitening
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
        layers have; intervals are over texts.

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
    part = _parts(groups)
    found = [*_from_sums(centred, part), *_rsa(centred, groups)]
    order = {metric: i for i, metric in enumerate(("cka", "svcca", "rsa"))}
    found.sort(key=lambda row: order[row["metric"]])
    return pd.DataFrame([{**row, "n": n} for row in found])


def _pairs(n: int) -> Iterator[tuple[int, int]]:
    return ((i, j) for i in range(n) for j in range(i, n))


def _parts(groups: Tensor) -> Tensor:
    """Which part of the rows, of whole texts, each is in, [row]."""
    number: Tensor = groups.unique(return_inverse=True)[1]
    return number % min(_GROUPS, int(number.max()) + 1)


def _row(i: int, j: int, metric: str, every: Tensor, chance: float) -> dict[str, Any]:
    """A value from all rows, in place 0, with its interval from what it is without each part."""
    low, high = jackknife_interval(every[1:], float(every[0]))
    return {
        "a": i, "b": j, "metric": metric, "value": float(every[0]), "chance": chance,
        "ci_low": low, "ci_high": min(high, 1.0) if np.isfinite(high) else high,
    }  # fmt: skip


def _from_sums(values: list[Tensor], part: Tensor) -> Iterator[dict[str, Any]]:
    """CKA and SVCCA, which follow from sums over rows."""
    norms, white = [], []
    for value in values:
        own = Interaction.of(value, value, part)
        norms.append(own.hsic().clamp(min=0).sqrt())
        white.append(whitening(own))
    order = torch.randperm(len(part), generator=torch.Generator().manual_seed(0))
    for i, j in _pairs(len(values)):
        both = Interaction.of(values[i], values[j], part)
        size = norms[i] * norms[j]
        cka = torch.where(size > 0, both.hsic() / torch.where(size > 0, size, 1), 0.0)
        yield _row(i, j, "cka", cka, 0.0)
        svcca = mean_correlation(scatter(both), white[i], white[j])
        shuffled = (values[i][order].T @ values[j])[None]
        first = [(basis[:1], count[:1]) for basis, count in (white[i], white[j])]
        yield _row(i, j, "svcca", svcca, float(mean_correlation(shuffled, *first)))


def _rsa(values: list[Tensor], groups: Tensor) -> Iterator[dict[str, Any]]:
    """RSA on some of the rows, as it takes the distances between all pairs of them."""
    from scipy.stats import rankdata

    generator = torch.Generator().manual_seed(0)
    some = torch.randperm(len(groups), generator=generator)[:_RSA_ROWS]
    part = _parts(groups[some])
    one, other = torch.triu_indices(len(some), len(some), 1)  # in the order of `pdist`
    distances = [torch.nn.functional.pdist(value[some]) for value in values]
    found = []
    for left_out in range(-1, int(part.max()) + 1):
        kept = (part[one] != left_out) & (part[other] != left_out)
        ranks = []
        for distance in distances:
            rank = rankdata(distance[kept].numpy())
            rank -= rank.mean()
            length = np.linalg.norm(rank)
            ranks.append(rank / length if length > 0 else rank)
        table = np.stack(ranks)
        found.append(table @ table.T)
    every = torch.from_numpy(np.stack(found))
    for i, j in _pairs(len(values)):
        yield _row(i, j, "rsa", every[:, i, j], 0.0)


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
