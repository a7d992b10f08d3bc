"""Shadow models: how probable a unit is to models that were trained like the target, without it.

Training is in this package, so a shadow is a call: the same recipe on a random half of the units.
Against them the target's own probability is no longer confounded with how easy a unit is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from interp.data.order import stream_seed
from interp.errors import InputError
from interp.model.transformer import HookedTransformer
from probes.privacy.likelihood import Floats, Unit, read
from probes.privacy.separation import auroc

QUICK, FULL = 8, 64
"""Shadow models of a quick audit and of a thorough one."""

OFFLINE = np.linspace(0, 1, 11)
"""Values of `a` in RMIA's guess at a unit's probability by models with it, from those without:
a p + (1 - a). The one is taken that would have attacked a shadow best."""

_PER_UNIT = 8  # shadows without a unit from which its own spread is estimated


@dataclass(frozen=True)
class Shadows:
    """What shadow models make of the units.

    Attributes:
        log_prob: [shadow, unit], mean log p a token.
        inside: [shadow, unit], whether the shadow was trained on the unit.
    """

    log_prob: Floats
    inside: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.log_prob.shape != self.inside.shape or self.inside.ndim != 2:
            raise InputError(
                f"Shadows need [shadow, unit] twice, not {self.log_prob.shape} and "
                f"{self.inside.shape}."
            )
        seen = self.inside.all(0)
        if seen.any():
            raise InputError(
                f"Every shadow was trained on unit {int(seen.argmax())}; offline attacks need some "
                "that were not."
            )


def halves(n_units: int, n_shadows: int, seed: int = 0) -> NDArray[np.bool_]:
    """Which units each shadow is trained on, [shadow, unit].

    Shadows come in pairs with opposite halves, so every unit is in half of them.

    Raises:
        InputError: an odd number of shadows, or none.
    """
    if n_shadows < 2 or n_shadows % 2 or n_units < 2:
        raise InputError(
            f"{n_shadows} shadows of {n_units} units; give an even number and two units at least."
        )
    random = np.random.default_rng(stream_seed("shadows", seed))
    inside = np.zeros((n_shadows, n_units), bool)
    for pair in range(0, n_shadows, 2):
        inside[pair, random.permutation(n_units)[: n_units // 2]] = True
        inside[pair + 1] = ~inside[pair]
    return inside


def train_shadows(
    train: Callable[[Sequence[Unit], int], HookedTransformer],
    units: Sequence[Unit],
    n_shadows: int = QUICK,
    *,
    labels: Sequence[str] = (),
    seed: int = 0,
) -> Shadows:
    """Trains shadow models and reads all units with each; one is in memory at a time.

    Args:
        train: a model trained on the given units as the target was, with a seed of its own.
        labels: as for `read`.
    """
    inside = halves(len(units), n_shadows, seed)
    found = np.zeros(inside.shape)
    for i, chosen in enumerate(inside):
        some = [unit for unit, taken in zip(units, chosen, strict=True) if taken]
        reading = read(train(some, stream_seed("shadow", seed, i)), units, labels=labels)
        found[i] = reading.total / reading.lengths
    return Shadows(found, inside)


def lira(target: Floats, shadows: Shadows) -> Floats:
    """The offline likelihood-ratio attack (Carlini et al. 2022, arXiv 2112.03570).

    How many standard deviations the target's log-odds of a unit, log p / (1 - p), are above those
    of the shadows that have not seen it. With few of those the spread is one for all units, as
    there.

    Args:
        target: [unit], mean log p a token by the model that is attacked.

    Returns:
        [unit]
    """
    outside = _log_odds(_outside(target, shadows))
    mean = np.nanmean(outside, 0)
    if (~shadows.inside).sum(0).min() >= _PER_UNIT:
        spread = np.nanstd(outside, 0, ddof=1)
    else:
        spread = np.sqrt(np.nanmean((outside - mean) ** 2))
    score: Floats = (_log_odds(target) - mean) / np.maximum(spread, np.finfo(float).eps)
    return score


def _log_odds(log_p: Floats) -> Floats:
    """log p / (1 - p), which is nearly normal where log p is not (p near 1)."""
    odds: Floats = log_p - np.log(np.maximum(-np.expm1(log_p), np.finfo(float).tiny))
    return odds


def rmia(target: Floats, shadows: Shadows, gamma: float = 1.0) -> Floats:
    """The offline robust attack (Zarifzadeh et al. 2024, arXiv 2312.03262).

    A unit's probability relative to what it is to models in general, compared with the same of all
    other units: the share of them that it exceeds by the factor `gamma`.

    Args:
        target: [unit], mean log p a token by the model that is attacked.

    Returns:
        [unit], from 0 to 1.
    """
    ratio = _ratio(target, _outside(target, shadows), _offline(shadows))
    share: Floats = np.searchsorted(np.sort(ratio), ratio / gamma, "right") / len(ratio)
    return share


def _ratio(target: Floats, outside: Floats, a: float) -> Floats:
    """p of each unit by the mean of p over models with it (guessed) and without."""
    without = np.nanmean(np.exp(outside), 0)
    ratio: Floats = np.exp(target) / ((without + a * without + 1 - a) / 2)
    return ratio


def _offline(shadows: Shadows) -> float:
    """The value of `a` with which the other shadows attack the first one best."""
    outside = np.where(shadows.inside, np.nan, shadows.log_prob)[1:]
    known = ~np.isnan(outside).all(0)
    target, member = shadows.log_prob[0, known], shadows.inside[0, known]
    if member.all() or not member.any():
        return 1.0  # nobody to learn from: as probable with as without
    areas = [auroc(_ratio(target, outside[:, known], a), member) for a in OFFLINE]
    return float(OFFLINE[int(np.argmax(areas))])


def _outside(target: Floats, shadows: Shadows) -> Floats:
    """[shadow, unit], NaN where the shadow was trained on the unit."""
    if shadows.log_prob.shape[1] != len(target):
        raise InputError(
            f"The shadows have read {shadows.log_prob.shape[1]} units, the target {len(target)}."
        )
    return np.where(shadows.inside, np.nan, shadows.log_prob)
