"""Canonical correlations of two layers, from their covariances alone: all rows, and all but a part.

The principal components that hold the variance of a layer but for 1 % are made white, U = X A for
the rows X; the canonical correlations of two such are the singular values of U_x' U_y =
A_x' X' Y A_y (SVCCA, Raghu et al. 2017, arXiv 1706.05806). As X' Y is a sum over rows, leaving out
a part of the rows is a subtraction (`probes.hsic.Interaction`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from probes.hsic import Interaction

_KEPT = 0.99


def scatter(sums: Interaction) -> Tensor:
    """Of centred rows x and y, the sum of x y', [1 + part, d, e]."""
    means = sums.x / sums.n[:, None]
    return sums.cross - means[:, :, None] * sums.y[:, None, :]


def whitening(own: Interaction) -> tuple[Tensor, Tensor]:
    """What makes the principal components of a layer white, and how many there are.

    Args:
        own: of a layer with itself.

    Returns:
        [1 + part, d, k], zeros where one has fewer components than another, and [1 + part]; none of
        a layer that does not vary.
    """
    variance, axes = torch.linalg.eigh(scatter(own))
    variance, axes = variance.flip(1).clamp(min=0), axes.flip(2)
    whole = variance.sum(1, keepdim=True)
    before = (variance.cumsum(1) - variance) / torch.where(whole > 0, whole, 1)
    kept = (before < _KEPT) & (whole > 0) & (variance > 0)
    scale = torch.where(kept, variance, 1).rsqrt() * kept
    count = kept.sum(1)
    most = max(int(count.max()), 1)
    return axes[:, :, :most] * scale[:, None, :most], count


def mean_correlation(cross: Tensor, x: tuple[Tensor, Tensor], y: tuple[Tensor, Tensor]) -> Tensor:
    """The mean canonical correlation, [1 + part]; 0 where a layer does not vary.

    Args:
        cross: from `scatter`, of both; x, y: from `whitening`, of each.
    """
    (a, of_x), (b, of_y) = x, y
    summed = torch.linalg.svdvals(a.mT @ cross @ b).sum(1)
    found: Tensor = (summed / torch.minimum(of_x, of_y).clamp(min=1)).clamp(max=1.0)
    return found
