"""What steering does to a target, beside what any push of the same strength does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.attribute import read_target
from interp.explain.inside.run import TOKENS, Run, block_of
from interp.explain.inside.steering import Positions, Steer, SteeringVector
from interp.explain.reading import finite
from interp.explain.target import Target

if TYPE_CHECKING:
    import pandas as pd


def steering_effect(
    model: Any,
    texts: Sequence[str] | Tensor,
    vector: SteeringVector,
    target: Target | Callable[[Tensor], Tensor] | None = None,
    coefficients: Sequence[float] = (-2.0, -1.0, 1.0, 2.0),
    *,
    positions: Positions = None,
    n_random: int = 10,
    seed: int = 0,
    inputs: dict[str, Any] | None = None,
) -> pd.DataFrame:
    """The change of a target along a steering vector, and along random directions of its length.

    A vector that does no more than random ones of equal length disturbs the model; it does not
    steer it.

    Args:
        texts: texts, or ids [batch, pos] without padding; not those that the vector is made of.
        target: as for `interp.attribute`, read at the end of each text.
        coefficients: multiples of the vector.
        positions: as for `steered`.
        n_random: random directions; each is the same for all texts.
        seed: of the random directions.
        inputs: further inputs of every forward.

    Returns:
        A row per direction and coefficient: site, direction (`steering` or `random`), draw (of a
        random one), coefficient, metric, value (mean over texts), change (its difference from
        the run without), ci_low, ci_high (95 % of the mean change over texts, by Student's t;
        missing for one text), n (texts).

    Raises:
        InputError: no texts or coefficients, or what the model or target refuses.
    """
    import pandas as pd

    if len(texts) == 0 or isinstance(texts, str):
        raise InputError("Give a list of texts, or ids [batch, pos]; there is none here.")
    if len(coefficients) == 0 or type(n_random) is not int or n_random < 0:
        raise InputError("Give at least one coefficient, and n_random as a whole number from 0.")
    wanted = read_target(target)
    vectors = torch.cat([vector.vector[None], _random(vector.vector, n_random, seed)])
    pushes = torch.tensor(list(coefficients)).to(vectors)
    pushes = pushes.view(1, -1, *(1 for _ in vectors.shape[1:])) * vectors[:, None]
    own, pushed, described = [], [], []
    with torch.inference_mode(False), torch.no_grad():
        for text in texts:
            run = Run.read(model, text, wanted, inputs)
            resolved = run.resolve(wanted)
            own.append(run.value(resolved))
            described.append(resolved.description)
            pushed.append(_pushed(run, resolved, vector.name, pushes.flatten(0, 1), positions))
    values = torch.stack(pushed).view(len(own), len(vectors), len(coefficients))
    changes = values - torch.tensor(own, dtype=torch.float64)[:, None, None]
    half = _half_width(changes)
    mean, rows = changes.mean(0), []
    for i in range(len(vectors)):
        for j, coefficient in enumerate(coefficients):
            change, width = float(mean[i, j]), float(half[i, j])
            rows.append(
                {
                    "site": vector.name,
                    "direction": "random" if i else "steering",
                    "draw": i - 1 if i else pd.NA,
                    "coefficient": float(coefficient),
                    "metric": _one(described),
                    "value": float(values[:, i, j].mean()),
                    "change": change,
                    "ci_low": change - width,
                    "ci_high": change + width,
                    "n": len(own),
                }
            )
    return pd.DataFrame(rows).astype({"draw": "Int64"})


def _random(vector: Tensor, n: int, seed: int) -> Tensor:
    """Random directions of the vector's length, [n, ...]."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(n, vector.numel(), generator=generator, dtype=torch.float64)
    drawn = torch.nn.functional.normalize(drawn) * float(vector.norm())
    return drawn.view(n, *vector.shape).to(vector)


def _pushed(run: Run, target: Any, name: str, pushes: Tensor, positions: Positions) -> Tensor:
    """The target with each vector added, [push], float64."""
    stack, layer = block_of(name)
    size = max(1, TOKENS // len(run.ids(stack)))
    found = []
    for some in pushes.split(size):
        steer = Steer(name, some, positions)
        found.append(run.edited(target, steer, len(some), stack, layer))
    return finite(torch.cat(found), "target").double().cpu()


def _half_width(changes: Tensor) -> Tensor:
    """Half of the 95 % interval of the mean over texts, NaN for a single one."""
    from scipy.stats import t

    n = len(changes)
    if n == 1:
        return torch.full(changes.shape[1:], torch.nan, dtype=torch.float64)
    width: Tensor = changes.std(0) * (float(t.ppf(0.975, n - 1)) / n**0.5)
    return width


def _one(described: list[str]) -> str:
    """One description for all texts: their own predictions may be different tokens."""
    same = set(described) == {described[0]}
    return described[0] if same else f"{described[0].split(' of ')[0]} of each text's prediction"
