"""Expected gradients: integrated gradients over random baselines and random places on the path."""

from __future__ import annotations

import torch

from interp.explain.finding import Finding
from interp.explain.methods.sampling import check_draws, generator, mean_of_draws
from interp.explain.points import Point


def expected_gradients(point: Point, *, draws: int = 200, seed: int = 0) -> Finding:
    """The mean of (e_i - b_i) . dF/de_i at b + a (e - b), for a drawn uniformly from 0 to 1 and b
    from the baselines (Erion et al. 2021, arXiv 1906.10670, equation 2).

    The scores add up to F(e) - mean F(b) as well as their number of draws allows; the intervals
    say how well. It is meant for many baselines (`Baseline.uniform`, `Baseline.samples`), of which
    it does not integrate along every path; with a single one it is integrated gradients by chance.

    Args:
        draws: evaluations of the gradient.
    """
    check_draws(draws)
    random = generator(seed)
    which = torch.randint(len(point.baselines), (draws,), generator=random)
    places = torch.rand(draws, 1, 1, dtype=torch.float64, generator=random)
    scores = []
    for rows in torch.arange(draws).split(point.rows):
        start = point.baselines[which[rows].to(point.baselines.device)]
        step = point.embedded - start
        _, gradients = point.gradients(start + places[rows].to(step) * step)
        scores.append(point.by_unit((gradients * step).double().sum(-1)))
    return mean_of_draws(torch.cat(scores), seed, complete=True)
