"""The result of conductance: what flows through each unit of some activations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.inside.cells import AXES
from interp.model.hook_points import HookPoint

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Flow:
    """What each unit passes on of the difference between a text and its baseline.

    Attributes:
        points: the activations by name.
        scores: conductance of every unit, in the shape of the activation without batch, float64.
        tokens, sides: of the text (and the target of a pair, behind it).
        target, baseline: in words.
        value, baseline_value: the target at both ends of the path.
        gap: by how much the integral of the whole slope misses their difference.
        converged: whether that is within the tolerance.
        forwards, backwards: passes, per copy of the text.
    """

    points: Mapping[str, HookPoint]
    scores: Mapping[str, Tensor]
    tokens: tuple[str, ...]
    sides: tuple[str, ...]
    target: str
    baseline: str
    value: float
    baseline_value: float
    gap: float
    converged: bool
    forwards: int
    backwards: int

    @property
    def difference(self) -> float:
        """What is there to flow."""
        return self.value - self.baseline_value

    def through(self, name: str) -> float:
        """What flows through all units of an activation; of a full cut, the difference."""
        return float(self.scores[name].sum())

    def to_frame(self, by: str | Sequence[str] = "position") -> pd.DataFrame:
        """A row per unit: site, layer, its indices along the axes (with the token at a position),
        metric, value, share (of the difference).

        Args:
            by: of `position`, `head`, `neuron` and `key`; along other dimensions units are added
                up.

        Raises:
            InputError: an activation has no such axis.
        """
        import pandas as pd

        axes = (by,) if isinstance(by, str) else tuple(by)
        frames = []
        for name, point in self.points.items():
            dims = point.shape.split()[1:]
            places = [self._place(name, axis, dims) for axis in axes]
            others = [i for i in range(len(dims)) if i not in places]
            scores = self.scores[name].movedim(places, list(range(len(places))))
            scores = scores.flatten(len(places)).sum(-1) if others else scores
            index = torch.ones_like(scores).nonzero()
            columns: dict[str, object] = {"site": name, "layer": point.layer()}
            for axis, at in zip(axes, index.T.tolist(), strict=True):
                columns[axis] = at
                if axis == "position":
                    tokens = self._tokens(name)
                    columns["token"] = [tokens[i] for i in at]
            columns["metric"] = self.target
            columns["value"] = scores[tuple(index.T)].tolist()
            frames.append(pd.DataFrame(columns))
        frame = pd.concat(frames, ignore_index=True)
        return frame.assign(share=frame["value"] / self.difference)

    def _place(self, name: str, axis: str, dims: list[str]) -> int:
        found = [i for i, dim in enumerate(dims) if dim in AXES.get(axis, ())]
        if not found:
            raise InputError(f"{name} has the dimensions {', '.join(dims)}, and no {axis!r}.")
        return found[0]

    def _tokens(self, name: str) -> list[str]:
        """The tokens at the positions of an activation."""
        crossed = name.endswith(("cross_attn.hook_k", "cross_attn.hook_v"))
        decoder = name.startswith("decoder.") and not crossed
        side = "target" if decoder else self.sides[0]
        return [token for token, s in zip(self.tokens, self.sides, strict=True) if s == side]
