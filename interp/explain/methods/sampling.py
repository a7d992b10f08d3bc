"""Scores that are means of random draws, with intervals."""

from __future__ import annotations

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.finding import Finding


def generator(seed: int) -> torch.Generator:
    """Draws on the CPU, so that they are the same on every device.

    Raises:
        InputError: the seed is no whole number from 0.
    """
    if type(seed) is not int or not 0 <= seed < 2**63:
        raise InputError(f"seed is {seed!r}; it must be a whole number from 0.")
    return torch.Generator().manual_seed(seed)


def check_draws(draws: int) -> None:
    """Raises an InputError unless an interval can be made of so many draws."""
    if type(draws) is not int or draws < 2:
        raise InputError(f"draws is {draws!r}; an interval needs at least 2.")


def mean_of_draws(scores: Tensor, seed: int, *, complete: bool = False) -> Finding:
    """The mean of independent draws [draw, unit] with its 95 % interval by Student's t."""
    from scipy.stats import t

    n = len(scores)
    mean, error = scores.mean(0), scores.std(0) / n**0.5
    half = float(t.ppf(0.975, n - 1)) * error
    return Finding(mean, complete=complete, low=mean - half, high=mean + half, seed=seed)
