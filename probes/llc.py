"""The local learning coefficient: how fast the volume of nearly as good weights shrinks around a
model, half the number of dimensions for a regular one, and less the more degenerate it is.

    llc = n beta (E[L(w)] - L(w*))

with w drawn from the posterior around the weights w* at inverse temperature beta, by stochastic
gradient Langevin dynamics (Lau et al. 2023, arXiv 2308.12108; Watanabe 2013):

    w += -step / 2 (n beta grad L(w) + localization (w - w*)) + N(0, step)

All chains are one batched computation. L(w*) is measured on the very rows that L(w) is, at each
draw, so that the noise of the rows falls out of the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap

from interp.errors import ConfigError, InputError, TrainingError

Weights = Mapping[str, Tensor]
Loss = Callable[[Weights, Any], Tensor]
"""The mean loss of one chain: its weights by name, and the rows that it reads -> a scalar."""


@dataclass(frozen=True)
class Sampling:
    """How the posterior is sampled.

    Args:
        n_beta: inverse temperature, `n / log(n)` for n rows is usual.
        step: of Langevin dynamics, squared length. Its bias is about a quarter of step * n_beta *
            the largest curvature.
        localization: strength of the pull back to the weights.
        burn_in, draws: steps of each chain that are forgotten, and that count.

    Raises:
        ConfigError: a value is out of range.
    """

    n_beta: float
    step: float = 1e-5
    localization: float = 100.0
    chains: int = 4
    burn_in: int = 100
    draws: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.n_beta, self.step) <= 0 or self.localization < 0:
            raise ConfigError("n_beta and step must be positive, localization not negative.")
        if self.chains < 2 or self.draws < 4 or self.burn_in < 0:
            raise ConfigError("Chains are compared with each other: take two, of four draws each.")


@dataclass(frozen=True)
class LLC:
    """An estimate.

    Attributes:
        value, ci_low, ci_high: the interval is over chains.
        rhat: how much chains differ from each other, 1 if not; above 1.1 they have not mixed.
        excess: L(w) - L(w*) of each draw, [chain, draw].
    """

    value: float
    ci_low: float
    ci_high: float
    rhat: float
    excess: Tensor


def llc(loss: Loss, weights: Weights, rows: Callable[[int], Any], sampling: Sampling) -> LLC:
    """Samples around `weights`, which stay as they are.

    Args:
        loss: is called under `torch.func.vmap`, for all chains at once.
        rows: step -> what the chains read in it: tensors [chain, ...] in any nesting.

    Raises:
        TrainingError: a chain has run away; the message says what to lower.
    """
    start = {name: value.detach() for name, value in weights.items()}
    first = next(iter(start.values()))
    n = sampling.chains
    chains = {name: value.expand(n, *value.shape).clone() for name, value in start.items()}
    generator = torch.Generator(first.device).manual_seed(sampling.seed)
    slope = vmap(grad_and_value(loss), in_dims=(0, 0))
    base = vmap(loss, in_dims=(None, 0))
    excess = []
    for draw in range(sampling.burn_in + sampling.draws):
        here = rows(draw)
        gradients, value = slope(chains, here)
        if draw >= sampling.burn_in:
            with torch.no_grad():
                excess.append(value.detach().double() - base(start, here).double())
        for name, chain in chains.items():
            drift = sampling.n_beta * gradients[name]
            drift += sampling.localization * (chain - start[name])
            noise = torch.randn(
                chain.shape, generator=generator, device=chain.device, dtype=chain.dtype
            )
            chain.add_(drift, alpha=-sampling.step / 2).add_(noise, alpha=sampling.step**0.5)
        if not bool(value.isfinite().all()):
            raise TrainingError(
                f"A chain has run away after {draw + 1} steps. Lower the step ({sampling.step:g}), "
                f"or hold it closer by more localization ({sampling.localization:g})."
            )
    return _estimate(torch.stack(excess, 1), sampling.n_beta)


def _estimate(excess: Tensor, n_beta: float) -> LLC:
    from scipy.stats import t

    each = n_beta * excess.mean(1)
    n = len(each)
    reach = float(t.ppf(0.975, n - 1)) * float(each.std()) / n**0.5
    value = float(each.mean())
    return LLC(value, value - reach, value + reach, rhat(excess), excess)


def rhat(draws: Tensor) -> float:
    """Split R-hat of draws [chain, draw]: the spread of all halves of chains by the mean spread
    within them (Gelman et al. 2013, section 11.4).

    Raises:
        InputError: fewer than four draws.
    """
    if draws.ndim != 2 or draws.shape[1] < 4:
        raise InputError(f"Draws have the shape {list(draws.shape)}; R-hat needs [chain, >= 4].")
    half = draws.shape[1] // 2
    parts = torch.cat([draws[:, :half], draws[:, -half:]]).double()
    within = parts.var(1).mean()
    between = parts.mean(1).var()
    if float(within) == 0:
        return 1.0 if float(between) == 0 else float("inf")
    return float(((half - 1) / half + between / within).sqrt())
