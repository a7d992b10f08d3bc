"""SmoothGrad: the gradient averaged over noise around the text."""

from __future__ import annotations

import torch

from interp.errors import InputError
from interp.explain.finding import Finding
from interp.explain.methods.gradients import times_step
from interp.explain.methods.sampling import check_draws, generator, mean_of_draws
from interp.explain.points import Point


def smoothgrad(point: Point, *, noise: float = 0.1, draws: int = 32, seed: int = 0) -> Finding:
    """(e_i - b_i) . mean of dF/de_i over embeddings with Gaussian noise (Smilkov et al. 2017,
    arXiv 1706.03825), which smooths over kinks of the target near the text.

    Args:
        noise: expected length of a token's noise, relative to the mean length of the embeddings.
            Tokens that the baseline does not change get none.
        draws: of the noise.
    """
    if not 0 < noise < float("inf"):
        raise InputError(f"noise is {noise!r}; it must be a positive number.")
    check_draws(draws)
    random, shape = generator(seed), point.embedded.shape
    size = noise * point.embedded.norm(dim=-1).mean() / shape[-1] ** 0.5
    scores = []
    for rows in torch.arange(draws).split(point.rows):
        # One by one, so that a draw does not depend on how many fit into a batch.
        drawn = torch.stack(
            [torch.randn(shape, dtype=torch.float64, generator=random) for _ in rows]
        )
        moved = drawn.to(point.embedded) * size * point.moves[:, None]
        _, gradients = point.gradients(point.embedded + moved)
        scores.append(times_step(point, gradients.double()))
    return mean_of_draws(torch.cat(scores), seed)
