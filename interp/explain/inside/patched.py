"""The result of activation patching: a value for every cell of a grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from torch import Tensor

if TYPE_CHECKING:
    import pandas as pd

Convention = Literal["denoising", "noising"]


@dataclass(frozen=True)
class Patched:
    """What a metric becomes when parts of one run are put into another.

    Attributes:
        kind: of activation.
        stack: that the layers count in.
        convention: `denoising` puts the clean run's parts into the corrupted run, `noising` the
            reverse.
        metric: in words.
        axes: `layer`, and the axes of a cell within it.
        values: the metric with each cell in place, float64, one dimension for each of `axes`; NaN
            where nothing was patched.
        clean, corrupted: the metric of the two runs.
        tokens, corrupted_tokens: what the positions hold in the two texts.
        forwards: copies of the text that were run, in whole or in part.
    """

    kind: str
    stack: str
    convention: Convention
    metric: str
    axes: tuple[str, ...]
    values: Tensor
    clean: float
    corrupted: float
    tokens: tuple[str, ...]
    corrupted_tokens: tuple[str, ...]
    forwards: int

    @property
    def recovered(self) -> Tensor:
        """The share of the difference that is there, (v - corrupted) / (clean - corrupted): 0 as
        in the corrupted run, 1 as in the clean one. Shaped as `values`."""
        return (self.values - self.corrupted) / (self.clean - self.corrupted)

    def to_frame(self) -> pd.DataFrame:
        """A row per cell: site, stack, its indices (with the two tokens at a position), metric,
        convention, value, recovered."""
        import pandas as pd

        cells = (~self.values.isnan()).nonzero()
        columns: dict[str, object] = {"site": self.kind, "stack": self.stack}
        for axis, index in zip(self.axes, cells.T.tolist(), strict=True):
            columns[axis] = index
            if axis == "position":
                columns["token"] = [self.tokens[i] for i in index]
                columns["corrupted_token"] = [self.corrupted_tokens[i] for i in index]
        at = tuple(cells.T)
        columns |= {
            "metric": self.metric,
            "convention": self.convention,
            "value": self.values[at].tolist(),
            "recovered": self.recovered[at].tolist(),
        }
        return pd.DataFrame(columns)

    def __repr__(self) -> str:
        shape = " x ".join(
            f"{n} {axis}" for axis, n in zip(self.axes, self.values.shape, strict=True)
        )
        return f"Patched({self.kind}, {shape}, {self.convention}, {self.metric})"
