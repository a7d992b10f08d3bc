"""The kinds of probes, all called alike: rows and problems in, scores out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from interp.activations import Moments, MomentsFitter
from interp.errors import InputError
from probes.solvers.attentive import fit_attentive
from probes.solvers.discriminant import (
    Linear,
    difference_of_means,
    discriminant,
    nearest_mean,
    ridge,
)
from probes.solvers.hidden import fit_hidden
from probes.solvers.logistic import Problems, fit_logistic


class Fitted(Protocol):
    """Probes that were fitted, one for each problem."""

    def logits(self, rows: Any, problem: int) -> Tensor:
        """Scores [row, class] of one problem for standardised rows of its site: [row, d], or
        `Spans`."""
        ...


class Fit(Protocol):
    """Fits one probe for each problem; arguments as for `fit_logistic`, with `Spans` in the place
    of rows where the probe pools."""

    def __call__(
        self,
        rows: Any,
        labels: Tensor,
        problems: Problems,
        *,
        n_classes: int,
        weights: Tensor | None = None,
    ) -> Fitted: ...


@dataclass(frozen=True)
class Family:
    """A kind of probe.

    Attributes:
        strengths: of the penalty, to choose from; one that means nothing where there is none.
        pools: it is fitted to all tokens of a stretch (`Spans`), and weighs them by itself.
    """

    fit: Fit
    strengths: tuple[float, ...] = (1.0,)
    pools: bool = False


@dataclass(frozen=True)
class Closed:
    """Probes in closed form, each from the moments of its rows."""

    probes: tuple[Linear, ...]

    def logits(self, rows: Tensor, problem: int) -> Tensor:
        return self.probes[problem].logits(rows)


def closed(solve: Callable[[Moments, tuple[float, ...]], list[Linear]]) -> Fit:
    """A family from moments; strengths of the same rows share their moments."""

    def fit(
        rows: Tensor,
        labels: Tensor,
        problems: Problems,
        *,
        n_classes: int,
        weights: Tensor | None = None,
    ) -> Closed:
        known: dict[tuple[int, int, int], Moments] = {}
        found: list[Linear] = []
        keys = torch.stack([problems.site, problems.labels, problems.weights], 1).tolist()
        for key, strength in zip(map(tuple, keys), problems.strength.tolist(), strict=True):
            if key not in known:
                site, label, weight = key
                chosen = torch.arange(rows.shape[1], device=rows.device)
                if weights is not None:  # a weight is a number of copies
                    chosen = chosen.repeat_interleave(weights[weight].long())
                fitter = MomentsFitter(n_classes)
                fitter.update(rows[site, chosen], labels[label, chosen])
                known[key] = fitter.moments
            found += solve(known[key], (strength,))
        return Closed(tuple(found))

    return fit


_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def family(name: str) -> Family:
    """A kind of probe by name: `logistic`, `ridge`, `lda`, `nearest_mean`, `difference_of_means`,
    `low_rank:R` (a logistic probe of rank R), `mlp:H` (H hidden units), `attentive:R` (pools all
    tokens of a stretch by itself, projected to R numbers, with R hidden units).

    Raises:
        InputError: there is none of that name.
    """
    kind, _, size = name.partition(":")
    if name in _PLAIN:
        return _PLAIN[name]
    if kind in _SIZED and size.isdecimal() and int(size) > 0:
        return _SIZED[kind](int(size))
    raise InputError(
        f"There is no probe {name!r}; there are {', '.join(_PLAIN)}, "
        f"{', '.join(f'{kind}:N' for kind in _SIZED)}."
    )


_PLAIN = {
    "logistic": Family(fit_logistic, _STRENGTHS),
    "ridge": Family(closed(ridge), _STRENGTHS),
    "lda": Family(closed(lambda moments, _: [discriminant(moments)])),
    "nearest_mean": Family(closed(lambda moments, _: [nearest_mean(moments)])),
    "difference_of_means": Family(closed(lambda moments, _: [difference_of_means(moments)])),
}

_SIZED: dict[str, Callable[[int], Family]] = {
    "low_rank": lambda n: Family(partial(fit_hidden, size=n, activation="none"), _STRENGTHS),
    "mlp": lambda n: Family(partial(fit_hidden, size=n, activation="relu"), _STRENGTHS),
    "attentive": lambda n: Family(partial(fit_attentive, size=n), (1e-4, 1e-3), pools=True),
}
