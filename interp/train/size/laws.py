"""Scaling laws: the loss of a language model as a function of its size and of what it has read.

L(N, D) = E + A / N^alpha + B / D^beta for N parameters and D tokens (Hoffmann et al. 2022, arXiv
2203.15556, equation 2): what no model learns, what this size does not hold, what so many tokens do
not teach.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from interp.errors import InputError
from interp.train.size.parameters import COUNTINGS, Counting, check_counting

Unit = Literal["nats per token", "bits per byte"]
Floats = NDArray[np.float64]

COEFFICIENTS = ("E", "A", "B", "alpha", "beta")
LEVEL = 0.95
"""Of all intervals."""
FAR = 10.0
"""A law is not to be trusted beyond so many times the compute of the runs that it was fitted to."""


@dataclass(frozen=True)
class ScalingLaw:
    """Five coefficients, and what must be known to use them.

    Attributes:
        counting: what N counts, see `COUNTINGS`.
        unit: of E and of every loss.
        source: where the coefficients come from.
        compute: least and most 6 N D of the runs they were fitted to.
        n_runs: how many those were.
        d_vocab: vocabulary of those runs; losses per token of another do not compare.
        bytes_per_token: of the text they were scored on, or None if unknown.
        draws: coefficients fitted to resampled runs, each in the order of `COEFFICIENTS`; empty
            for a law that was published without them.
        scatter: standard deviation of the logarithm of a single run's loss around the law.
        unidentified: coefficients that the runs leave open.
    """

    E: float
    A: float
    B: float
    alpha: float
    beta: float
    counting: Counting
    unit: Unit
    source: str
    compute: tuple[float, float]
    n_runs: int
    d_vocab: int | None = None
    bytes_per_token: float | None = None
    draws: tuple[tuple[float, ...], ...] = ()
    scatter: float = 0.0
    unidentified: tuple[str, ...] = ()

    def loss(self, parameters: ArrayLike, tokens: ArrayLike) -> Floats:
        """Expected loss of each pair of a size and a number of (new) tokens, any shape."""
        return _loss(self._coefficients, parameters, tokens)

    def losses(self, parameters: ArrayLike, tokens: ArrayLike) -> Floats:
        """The same for each draw of the coefficients: [draw, ...]."""
        n, d = np.broadcast_arrays(np.asarray(parameters, float), np.asarray(tokens, float))
        if not self.draws:
            return np.empty((0, *n.shape))
        columns = np.array(self.draws).T.reshape(len(COEFFICIENTS), -1, *[1] * n.ndim)
        return _loss(columns, n, d)

    def interval(self, parameters: ArrayLike, tokens: ArrayLike) -> tuple[Floats, Floats]:
        """Where the loss of one run lies in 95 of 100 cases; NaN for a law without draws.

        The spread of the coefficients and the scatter of single runs add up in quadrature.
        """
        centre = np.log(self.loss(parameters, tokens))
        if not self.draws:
            return np.full_like(centre, np.nan), np.full_like(centre, np.nan)
        tail = (1 - LEVEL) / 2
        ends = np.quantile(np.log(self.losses(parameters, tokens)), [tail, 1 - tail], axis=0)
        below, above = centre - ends[0], ends[1] - centre
        single = 1.96 * self.scatter
        # The fit to all runs may lie outside of what its resamples give.
        low = centre - np.hypot(np.maximum(below, 0), single)
        high = centre + np.hypot(np.maximum(above, 0), single)
        return np.exp(low), np.exp(high)

    def optimum(self, flops: float) -> tuple[float, float]:
        """The N and D of least loss among those with 6 N D = `flops` (equation 4 there)."""
        ratio = (self.alpha * self.A / (self.beta * self.B)) ** (1 / (self.alpha + self.beta))
        parameters = ratio * (flops / 6) ** (self.beta / (self.alpha + self.beta))
        return parameters, flops / 6 / parameters

    def beyond(self, flops: float) -> float:
        """How many times outside of the fitted compute 6 N D lies; 1 inside of it."""
        low, high = self.compute
        return max(flops / high, low / flops, 1.0)

    @property
    def _coefficients(self) -> Floats:
        return np.array([getattr(self, name) for name in COEFFICIENTS])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ScalingLaw:
        """The inverse of `to_dict`."""
        lists = {
            "compute": tuple(values["compute"]),
            "draws": tuple(map(tuple, values["draws"])),
            "unidentified": tuple(values["unidentified"]),
        }
        return cls(**{**values, **lists})


def _loss(coefficients: Floats, parameters: ArrayLike, tokens: ArrayLike) -> Floats:
    E, A, B, alpha, beta = coefficients
    n, d = np.asarray(parameters, float), np.asarray(tokens, float)
    found: Floats = E + A / n**alpha + B / d**beta
    return found


PUBLISHED: dict[str, ScalingLaw] = {
    "hoffmann": ScalingLaw(
        *(1.69, 406.4, 410.7, 0.34, 0.28),
        counting="all",
        unit="nats per token",
        source="Hoffmann et al. 2022 (arXiv 2203.15556), approach 3; web text, 70M parameters up",
        compute=(6e18, 3e21),  # their nine budgets
        n_runs=400,
        d_vocab=32_000,
    ),
    "besiroglu": ScalingLaw(
        *(1.8172, 482.01, 2085.43, 0.3478, 0.3658),
        counting="all",
        unit="nats per token",
        source="Besiroglu et al. 2024 (arXiv 2404.10102), from the runs of Hoffmann et al.",
        compute=(6e18, 3e21),
        n_runs=240,
        d_vocab=32_000,
    ),
}
LAWS = ("stories", *PUBLISHED)
"""The laws that come with the package."""


def known_law(name: str = "stories", counting: Counting = "matrices") -> ScalingLaw:
    """A law that comes with the package.

    `stories` is fitted to small models trained on two cores (`docs/records/size-sweep.csv`), once
    for each way of counting; a published law has only the one that its authors chose.

    Raises:
        InputError: an unknown law, or one that does not count like this.
    """
    check_counting(counting)
    if name == "stories":
        return _stories()[counting]
    if name not in PUBLISHED:
        raise InputError(f"There is no law called {name!r}; there are {', '.join(LAWS)}.")
    law = PUBLISHED[name]
    if law.counting != counting:
        raise InputError(
            f"The law {name} counts {COUNTINGS[law.counting]} ({law.counting!r}); its coefficients "
            f"do not hold for {counting!r}."
        )
    return law


@functools.cache
def _stories() -> dict[Counting, ScalingLaw]:
    text = resources.files("interp.train.size").joinpath("stories.json").read_text("utf-8")
    return {name: ScalingLaw.from_dict(values) for name, values in json.loads(text).items()}
