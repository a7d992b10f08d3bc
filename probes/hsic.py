"""The Hilbert-Schmidt norm of a cross-covariance, estimated without bias from moments that add up.

For rows x_i, y_i with linear kernels, Song et al. (2012, JMLR 13, equation 5) estimate |C_xy|^2 by

    HSIC = (tr KL + 1'K1 1'L1 / ((n-1)(n-2)) - 2 1'KL1 / (n-2)) / (n (n-3))

where K and L are the Gram matrices with zeros on the diagonal. All terms follow from sums over rows
(x y', x, y, |x|^2, ...), so that no matrix of n by n is formed, and leaving out a part of the rows
is a subtraction.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Interaction:
    """Sums over rows: of all in place 0, and of all but part g in place 1 + g, [1 + part, ...].

    Attributes:
        n: rows.
        cross: sum of x y', [d, e].
        x, y: sums, [d], [e].
        xx, yy: sums of squared lengths.
        xyy, yxx: sums of x |y|^2, [d], and of y |x|^2, [e].
        xxyy: sum of |x|^2 |y|^2.
    """

    n: Tensor
    cross: Tensor
    x: Tensor
    y: Tensor
    xx: Tensor
    yy: Tensor
    xyy: Tensor
    yxx: Tensor
    xxyy: Tensor

    @classmethod
    def of(cls, x: Tensor, y: Tensor, part: Tensor | None = None) -> Interaction:
        """Of rows [n, d] and [n, e] in float64, best centred.

        Args:
            part: which part each row is in, [n], from 0; without parts nothing is left out.
        """
        a, b = x.square().sum(1), y.square().sum(1)
        one = torch.ones_like(a)
        whole = cls(*_sums(x, y, a, b, one))
        if part is None:
            return cls(*(value[None] for value in vars(whole).values()))
        held = []
        for g in range(int(part.max()) + 1):
            mine = part == g
            left = cls(*_sums(x[mine], y[mine], a[mine], b[mine], one[mine]))
            held.append(
                [all_ - out for all_, out in zip(_values(whole), _values(left), strict=True)]
            )
        return cls(*(torch.stack(parts) for parts in zip(_values(whole), *held, strict=True)))

    def hsic(self) -> Tensor:
        """[1 + part]: the estimates of |C_xy|^2; of x with itself never negative."""
        n = self.n
        off = self.cross.square().sum((-2, -1)) - self.xxyy
        all_k = self.x.square().sum(-1) - self.xx
        all_l = self.y.square().sum(-1) - self.yy
        turned = torch.einsum("gd,gde,ge->g", self.x, self.cross, self.y)
        mixed = turned - (self.x * self.xyy).sum(-1) - (self.y * self.yxx).sum(-1) + self.xxyy
        return (off + all_k * all_l / ((n - 1) * (n - 2)) - 2 * mixed / (n - 2)) / (n * (n - 3))

    def trace_x(self) -> Tensor:
        """[1 + part]: the trace of the covariance of x, without bias."""
        return (self.xx - self.x.square().sum(-1) / self.n) / (self.n - 1)


def _sums(x: Tensor, y: Tensor, a: Tensor, b: Tensor, one: Tensor) -> tuple[Tensor, ...]:
    return one.sum(), x.T @ y, x.sum(0), y.sum(0), a.sum(), b.sum(), b @ x, a @ y, a @ b


def _values(sums: Interaction) -> list[Tensor]:
    return list(vars(sums).values())


def jackknife_interval(left_out: Tensor, value: float) -> tuple[float, float]:
    """The 95 % interval of a value from what it is without each of some parts (Tukey 1958).

    Args:
        left_out: [part]; with fewer than two there is no interval (NaN).
    """
    from scipy.stats import t

    n = len(left_out)
    if n < 2:
        return float("nan"), float("nan")
    spread = float(left_out.var(correction=0) * (n - 1)) ** 0.5
    reach = float(t.ppf(0.975, n - 1)) * spread
    return value - reach, value + reach
