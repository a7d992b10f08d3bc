"""Counts, means and scatter matrices of activations, gathered as they stream by and merged exactly.

Of n rows x_i with mean m, the *scatter* is sum_i (x_i - m)(x_i - m)^T. From it, the mean and the
sums of classes follow exactly: difference of means, nearest mean, linear discriminants, ridge
regression for every strength, least-squares erasure, principal components; and from the cross
scatter of two sites, linear CKA and canonical correlations. Two sets of rows merge by

    n = n_a + n_b,  d = m_b - m_a,  S = S_a + S_b + d d^T n_a n_b / n

(Chan, Golub & LeVeque 1979), which loses nothing, unlike differences of raw second moments.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from interp.errors import InputError


@dataclass(frozen=True)
class CrossMoments:
    """Count, means and cross scatter of pairs of rows (x_i, y_i), all in float64.

    `+` merges two sets of pairs, `-` takes one out of another that holds it.

    Attributes:
        n: how many pairs.
        mean_x, mean_y: [d], [e].
        scatter: sum_i (x_i - mean_x)(y_i - mean_y)^T, [d, e].
    """

    n: int
    mean_x: Tensor
    mean_y: Tensor
    scatter: Tensor

    @property
    def covariance(self) -> Tensor:
        """[d, e]: the scatter divided by n."""
        return self.scatter / self.n

    def __add__(self, other: CrossMoments) -> CrossMoments:
        return self._merged(other, 1)

    def __sub__(self, other: CrossMoments) -> CrossMoments:
        if other.n > self.n:
            raise InputError(f"{other.n} rows cannot be taken out of {self.n}.")
        return self._merged(other, -1)

    def _merged(self, other: CrossMoments, sign: int) -> CrossMoments:
        # The formula of the merge holds for a negative number of rows as well.
        added = sign * other.n
        n = self.n + added
        if n == 0:
            empty = (torch.zeros_like(x) for x in (self.mean_x, self.mean_y, self.scatter))
            return CrossMoments(0, *empty)
        dx, dy = other.mean_x - self.mean_x, other.mean_y - self.mean_y
        between = torch.outer(dx, dy) * (self.n * added / n)
        return CrossMoments(
            n,
            self.mean_x + dx * (added / n),
            self.mean_y + dy * (added / n),
            self.scatter + sign * other.scatter + between,
        )


@dataclass(frozen=True)
class Moments:
    """Count, mean and scatter of rows, and how many of each class there are with which sum, all in
    float64.

    `+` merges two sets of rows, `-` takes one out of another that holds it (leave one shard out).

    Attributes:
        n: how many rows, also those without a class.
        mean: [d].
        scatter: sum_i (x_i - mean)(x_i - mean)^T, [d, d].
        class_n: rows of each class, [class]; empty without classes.
        class_sums: their sums, [class, d].
    """

    n: int
    mean: Tensor
    scatter: Tensor
    class_n: Tensor
    class_sums: Tensor

    @property
    def sum(self) -> Tensor:
        """[d]"""
        return self.mean * self.n

    @property
    def second_moment(self) -> Tensor:
        """sum_i x_i x_i^T, [d, d]."""
        return self.scatter + torch.outer(self.mean, self.mean) * self.n

    @property
    def covariance(self) -> Tensor:
        """[d, d]: the scatter divided by n."""
        return self.scatter / self.n

    @property
    def class_means(self) -> Tensor:
        """[class, d]; NaN for a class without a row."""
        return self.class_sums / self.class_n[:, None]

    @property
    def between(self) -> Tensor:
        """Scatter of the classes around the mean of all rows that have one, [d, d]."""
        present = self.class_n > 0
        n, sums = self.class_n[present], self.class_sums[present]
        away = sums / n[:, None] - sums.sum(0) / n.sum()
        return (away * n[:, None]).T @ away

    def __add__(self, other: Moments) -> Moments:
        return self._merged(self._pairs() + other._pairs(), other, 1)

    def __sub__(self, other: Moments) -> Moments:
        return self._merged(self._pairs() - other._pairs(), other, -1)

    def _pairs(self) -> CrossMoments:
        return CrossMoments(self.n, self.mean, self.mean, self.scatter)

    def _merged(self, rows: CrossMoments, other: Moments, sign: int) -> Moments:
        class_n = self.class_n + sign * other.class_n
        class_sums = self.class_sums + sign * other.class_sums
        return Moments(rows.n, rows.mean_x, rows.scatter, class_n, class_sums)


class CrossMomentsFitter:
    """Gathers the moments of pairs of rows that stream by.

    Rows are shifted by the mean of the first ones. The products of a thousand rows or two are
    summed in float32 (float64 for rows of float64), and those sums in float64: a pass over any
    number of rows costs one matrix product, and errs by the rounding of two thousand.
    """

    _AT_ONCE = 1024

    def __init__(self) -> None:
        self._n = self._n_pending = 0
        self._shifts: tuple[Tensor, Tensor]
        self._sums: tuple[Tensor, Tensor]
        self._scatter: Tensor
        self._pending: Tensor

    def update(self, x: Tensor, y: Tensor) -> None:
        """Adds pairs of rows [n, d] and [n, e].

        Raises:
            InputError: unequal numbers of rows, or other widths than before.
        """
        if len(x) != len(y) or x.ndim != 2 or y.ndim != 2:
            raise InputError(
                f"Rows of shapes {list(x.shape)} and {list(y.shape)} are no pairs [n, d], [n, e]."
            )
        if len(x) == 0:
            return
        if self._n == 0:
            self._begin(x, y)
        if (x.shape[1], y.shape[1]) != self._scatter.shape:
            raise InputError(
                f"Rows of widths {x.shape[1]} and {y.shape[1]} came after rows of widths "
                f"{list(self._scatter.shape)}."
            )
        dtype = self._pending.dtype
        from_x = x.detach().to(dtype) - self._shifts[0].to(dtype)
        from_y = from_x if y is x else y.detach().to(dtype) - self._shifts[1].to(dtype)
        # The sums are of what is multiplied, rounded as it is.
        self._sums[0].add_(from_x.sum(0, dtype=torch.float64))
        self._sums[1].add_(from_y.sum(0, dtype=torch.float64))
        for some_x, some_y in zip(
            from_x.split(self._AT_ONCE), from_y.split(self._AT_ONCE), strict=True
        ):
            self._pending.addmm_(some_x.T, some_y)
            self._n_pending += len(some_x)
            if self._n_pending >= self._AT_ONCE:
                self._flush()
        self._n += len(x)

    @property
    def moments(self) -> CrossMoments:
        """Of all pairs so far.

        Raises:
            InputError: there was none.
        """
        if self._n == 0:
            raise InputError("There are no moments of no rows.")
        self._flush()
        away_x, away_y = (total / self._n for total in self._sums)
        return CrossMoments(
            self._n,
            self._shifts[0] + away_x,
            self._shifts[1] + away_y,
            self._scatter - torch.outer(away_x, away_y) * self._n,
        )

    def _begin(self, x: Tensor, y: Tensor) -> None:
        dtype = torch.promote_types(torch.promote_types(x.dtype, y.dtype), torch.float32)

        def shift(rows: Tensor) -> Tensor:
            # A value of the rows' own precision: of coarse ones, differences and their products
            # then have few bits, and sums of them are exact.
            return rows.detach().mean(0, dtype=dtype).to(rows.dtype).double()

        self._shifts = shift(x), shift(y)
        self._sums = torch.zeros_like(self._shifts[0]), torch.zeros_like(self._shifts[1])
        self._pending = x.new_zeros(x.shape[1], y.shape[1], dtype=dtype)
        self._scatter = torch.zeros_like(self._pending, dtype=torch.float64)

    def _flush(self) -> None:
        self._scatter.add_(self._pending)
        self._pending.zero_()
        self._n_pending = 0


class MomentsFitter:
    """Gathers the moments of rows that stream by, and the sums of their classes; as precisely as
    `CrossMomentsFitter` says.

    Args:
        n_classes: how many classes the labels may name.
    """

    def __init__(self, n_classes: int = 0):
        self.n_classes = n_classes
        self._pairs = CrossMomentsFitter()
        self._class_n: Tensor
        self._class_sums: Tensor
        self._empty = True

    def update(self, x: Tensor, labels: Tensor | None = None) -> None:
        """Adds rows.

        Args:
            x: [n, d].
            labels: classes, [n]; a row with a negative one counts, but in no class. Needed if there
                are classes.

        Raises:
            InputError: rows without labels, other widths than before, or a label too large.
        """
        if self.n_classes and (labels is None or labels.shape != x.shape[:1]):
            found = "none" if labels is None else f"{list(labels.shape)}"
            raise InputError(f"Rows {list(x.shape)} need a label each; given are {found}.")
        if len(x) == 0:
            return
        self._pairs.update(x, x)
        if self._empty:
            self._class_n = x.new_zeros(self.n_classes, dtype=torch.float64)
            self._class_sums = x.new_zeros(self.n_classes, x.shape[1], dtype=torch.float64)
            self._empty = False
        if self.n_classes and labels is not None:
            labels = labels.to(x.device)
            if int(labels.max()) >= self.n_classes:
                raise InputError(
                    f"A row has the label {int(labels.max())}; the classes are 0 to "
                    f"{self.n_classes - 1}."
                )
            classed = labels >= 0
            of = labels[classed].long()
            self._class_sums.index_add_(0, of, x.detach()[classed].double())
            self._class_n += torch.bincount(of, minlength=self.n_classes)

    @property
    def moments(self) -> Moments:
        """Of all rows so far.

        Raises:
            InputError: there was none.
        """
        rows = self._pairs.moments
        class_n, class_sums = self._class_n.clone(), self._class_sums.clone()
        return Moments(rows.n, rows.mean_x, rows.scatter, class_n, class_sums)
