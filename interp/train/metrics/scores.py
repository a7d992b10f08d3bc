"""What each example adds to a metric, so that parts of a table of examples can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from interp.train.metrics.interval import Floats, Measure, of_sums, proportion, ratio


@dataclass(frozen=True)
class Scores:
    """One metric of many examples that is a sum over them by another sum.

    Attributes:
        metric: its name.
        above, below: [example], what each adds to the two sums; of a mean over examples, its value
            and 1.
        higher: whether more is better.
    """

    metric: str
    above: Floats
    below: Floats
    higher: bool = True

    @classmethod
    def each(cls, metric: str, values: NDArray[Any] | Sequence[float]) -> Self:
        """A mean over examples, of a value for each."""
        above = np.asarray(values, np.float64)
        return cls(metric, above, np.ones(len(above)))

    def __len__(self) -> int:
        return len(self.above)

    @property
    def values(self) -> Floats:
        """The metric of each example by itself, [example]; 0 where it adds nothing."""
        return ratio(self.above, self.below)

    @property
    def is_share(self) -> bool:
        """Whether it is a share of the examples: each is right or wrong."""
        return bool((self.below == 1).all() and np.isin(self.above, (0, 1)).all())

    def of(self, chosen: NDArray[np.bool_]) -> Scores:
        """Those of some examples, [example]."""
        return Scores(self.metric, self.above[chosen], self.below[chosen], self.higher)

    def measure(self, *, seed: int = 0) -> Measure:
        """The metric of all examples, with its interval."""
        if self.is_share:
            return proportion(self.metric, int(self.above.sum()), len(self))
        sums = np.stack([self.above, self.below], 1)
        return of_sums(self.metric, sums, lambda s: ratio(s[..., 0], s[..., 1]), seed=seed)
