"""A scaling law from one's own runs, with intervals and with what the runs leave open.

The fit is that of Hoffmann et al. (2022), approach 3: the Huber loss between the logarithms of
predicted and measured loss, minimised by L-BFGS from many starts. Its value is summed over runs and
not averaged, and scaled, since a small objective makes L-BFGS stop early (Besiroglu et al. 2024).
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from interp.errors import InputError
from interp.train.size.laws import ScalingLaw, Unit
from interp.train.size.parameters import Counting, check_counting

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

DELTA = 1e-3
"""Residuals of the logarithm beyond this count linearly: one odd run does not bend the law."""
LEAST_RUNS = 6
_STEEPEST = 3.0  # no exponent is larger
_LEAST_NOISE = 1e-3  # runs that agree better than this are believed to this


def fit(
    runs: pd.DataFrame,
    *,
    counting: Counting = "matrices",
    unit: Unit = "nats per token",
    source: str = "your own runs",
    d_vocab: int | None = None,
    bytes_per_token: float | None = None,
    draws: int = 200,
    seed: int = 0,
) -> ScalingLaw:
    """The law of runs that differ in size and length and in nothing else.

    Args:
        runs: a row for each: `parameters`, `tokens` (all new to the model) and `loss` on held-out
            text, at the end of a run whose learning rate had decayed.
        counting: what `parameters` counts.
        unit: of `loss`.
        d_vocab, bytes_per_token: of all runs, for those who use the law.
        draws: fits to resampled runs, for the intervals.
        seed: of the resampling.

    Raises:
        InputError: columns are missing, values are not positive numbers, or the runs are too few.
    """
    check_counting(counting)
    n, d, loss = _columns(runs)
    points = np.array([np.log(n), np.log(d)])
    target = np.log(loss)
    centre = points.mean(1)
    x, y = points - centre[:, None]
    random = np.random.default_rng(seed)
    found = []
    # Threads that share problems of five unknowns wait sixty times longer than they work.
    with threadpool_limits(1, user_api="blas"):
        best = _best(x, y, target, _starts(target))
        for _ in range(draws):
            chosen = _resample(random, n, d)
            found.append(_best(x[chosen], y[chosen], target[chosen], [best]))
    residual = target - _predict(best, x, y)[0]
    compute = 6 * n * d
    E, A, B, alpha, beta = _coefficients(best, centre)
    return ScalingLaw(
        *(E, A, B, alpha, beta),
        counting=counting,
        unit=unit,
        source=source,
        compute=(float(compute.min()), float(compute.max())),
        n_runs=len(n),
        d_vocab=d_vocab,
        bytes_per_token=bytes_per_token,
        draws=tuple(_coefficients(draw, centre) for draw in found),
        scatter=_scatter(residual),
        unidentified=_unidentified(best, x, y, residual),
    )


def _columns(runs: pd.DataFrame) -> tuple[Floats, Floats, Floats]:
    names = ("parameters", "tokens", "loss")
    missing = [name for name in names if name not in runs.columns]
    if missing:
        raise InputError(
            f"The runs lack the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; they "
            f"have {', '.join(map(str, runs.columns)) or 'none'}."
        )
    columns = []
    for name in names:
        try:
            values = runs[name].to_numpy(dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"The column {name} of the runs is not numbers: {error}.") from error
        bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
        if len(bad):
            raise InputError(
                f"The column {name} of the runs holds {values[bad[0]]} in row {bad[0]}; every "
                "value must be a positive number. Leave out runs that failed."
            )
        columns.append(values)
    n, d, loss = columns
    pairs = len({*zip(n.tolist(), d.tolist(), strict=True)})
    if pairs < LEAST_RUNS:
        raise InputError(
            f"The runs have {pairs} different pairs of size and length; a law of five coefficients "
            f"needs {LEAST_RUNS} at least, better a dozen, of several sizes and lengths."
        )
    return n, d, loss


def _resample(random: np.random.Generator, n: Floats, d: Floats) -> NDArray[np.int64]:
    """Runs drawn with replacement, again until they could give a law at all."""
    while True:
        chosen = random.integers(len(n), size=len(n))
        if all(len(np.unique(v[chosen])) > 1 or len(np.unique(v)) == 1 for v in (n, d)):
            return chosen


# -- the objective, in theta = (a, b, e, alpha, beta) around the centre of the runs ---------------


def _predict(theta: Floats, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Logarithm of the loss of each run, [run], and its gradient [coefficient, run]."""
    a, b, e, alpha, beta = theta
    terms = np.array([a - alpha * x, b - beta * y, np.full_like(x, e)])
    top = terms.max(0)
    weights = np.exp(terms - top)
    total = weights.sum(0)
    weights /= total
    gradient = np.array([*weights, -weights[0] * x, -weights[1] * y])
    return top + np.log(total), gradient


def _objective(theta: Floats, x: Floats, y: Floats, target: Floats) -> tuple[float, Floats]:
    """Sum of Huber losses in units of `DELTA` squared, and its gradient."""
    predicted, gradient = _predict(theta, x, y)
    residual = (predicted - target) / DELTA
    size = np.abs(residual)
    value = np.where(size <= 1, residual**2 / 2, size - 0.5).sum()
    return float(value), gradient @ np.clip(residual, -1, 1) / DELTA


def _best(x: Floats, y: Floats, target: Floats, starts: list[Floats]) -> Floats:
    middle = float(np.median(target))
    amount = (middle - 12.0, middle + 3.0)
    slope = (0.0, _STEEPEST)
    results = [
        minimize(
            _objective,
            start,
            (x, y, target),
            "L-BFGS-B",
            jac=True,
            bounds=[amount, amount, amount, slope, slope],
            options={"maxiter": 3000, "maxfun": 6000, "ftol": 1e-14, "gtol": 1e-8},
        )
        for start in starts
    ]
    best: Floats = min(results, key=lambda result: result.fun).x
    return best


def _starts(target: Floats) -> list[Floats]:
    """Every combination of how much never goes away, how the rest is shared, and two exponents."""
    middle = float(np.median(target))
    return [
        np.array(
            [
                middle + np.log((1 - floor) * share),
                middle + np.log((1 - floor) * (1 - share)),
                middle + np.log(floor),
                alpha,
                beta,
            ]
        )
        for floor, share, alpha, beta in itertools.product(
            (0.2, 0.5, 0.8), (0.25, 0.75), (0.15, 0.4, 0.8), (0.15, 0.4, 0.8)
        )
    ]


# -- what the fit says ---------------------------------------------------------------------------


def _coefficients(theta: Floats, centre: Floats) -> tuple[float, ...]:
    """E, A, B, alpha, beta of the law itself."""
    a, b, e, alpha, beta = theta.tolist()
    terms = (e, a + alpha * centre[0], b + beta * centre[1])
    return (*(float(np.exp(term)) for term in terms), alpha, beta)


def _scatter(residual: Floats) -> float:
    """Standard deviation of the residuals, for as many runs as the coefficients leave free."""
    free = max(len(residual) - 5, 1)
    return float(np.sqrt((residual**2).sum() / free))


def _unidentified(theta: Floats, x: Floats, y: Floats, residual: Floats) -> tuple[str, ...]:
    """Coefficients whose distance to nothing is less than twice their standard error.

    The standard errors are those of least squares at the optimum, for runs with the scatter that
    they have; of E, relative to its size.
    """
    jacobian = _predict(theta, x, y)[1].T
    noise = max(_scatter(residual), _LEAST_NOISE)
    _, size, right = np.linalg.svd(jacobian, full_matrices=False)
    steps = right / np.maximum(size, 1e-9)[:, None]
    error = noise * np.sqrt((steps**2).sum(0))
    alpha, beta = theta[3], theta[4]
    open_ = {
        "E": 2 * error[2] > 1,
        "A": 2 * error[3] > alpha,
        "B": 2 * error[4] > beta,
        "alpha": 2 * error[3] > alpha,
        "beta": 2 * error[4] > beta,
    }
    return tuple(name for name, is_open in open_.items() if is_open)
