"""A text as a cooperative game: its movable units are the players, the target is what they win."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.coalitions import coalition_values
from interp.explain.finding import rounding
from interp.explain.points import Point

Value = Callable[[Tensor], Tensor]
"""v(S) of coalitions [coalition, player], True for the present: [coalition], float64."""


class Game:
    """The value of coalitions of the units that can move; the other units are always present.

    Each coalition is computed once, however often it is asked for.

    Attributes:
        point: the text on the model.
        players: index of each movable unit.
    """

    def __init__(self, point: Point):
        self.point = point
        self.players = point.movable.nonzero()[:, 0].cpu()
        self._known: dict[bytes, float] = {}

    def __len__(self) -> int:
        return len(self.players)

    @property
    def difference(self) -> float:
        """v(everybody) - v(nobody): F(text) - F(baseline)."""
        return self.point.value - self.point.baseline_value

    @property
    def moves(self) -> bool:
        """Whether there is a difference to explain."""
        return abs(self.difference) > rounding(self.point)

    def values(self, present: Tensor) -> Tensor:
        """v(S) of coalitions [coalition, player], [coalition] float64."""
        rows = present.bool().cpu()
        keys = [row.numpy().tobytes() for row in rows]
        fresh: dict[bytes, int] = {}
        for i, key in enumerate(keys):
            if key not in self._known:
                fresh.setdefault(key, i)
        if fresh:
            found = coalition_values(self.point, self.whole(rows[list(fresh.values())]))
            self._known.update(zip(fresh, found.tolist(), strict=True))
        return torch.tensor([self._known[key] for key in keys], dtype=torch.float64)

    def shares(self, values: Tensor) -> Tensor:
        """Values of the target as shares of the difference: 1 at the text, 0 at the baseline."""
        return (values - self.point.baseline_value) / self.difference

    def check_budget(self, max_evaluations: int, least: int) -> None:
        """Raises an InputError unless a method may have the evaluations that it takes at least."""
        if type(max_evaluations) is not int or max_evaluations < least:
            raise InputError(
                f"max_evaluations is {max_evaluations!r}; {len(self)} movable units take {least} "
                "at least. Allow more, or choose larger units: words, sentences or spans."
            )

    def whole(self, present: Tensor) -> Tensor:
        """Coalitions of players [coalition, player] as coalitions of all units."""
        units = torch.ones(len(present), len(self.point.units), dtype=torch.bool)
        units[:, self.players] = present
        return units

    def spread(self, scores: Tensor) -> Tensor:
        """Scores of players [..., player] as scores of all units, 0 for those that cannot move."""
        units = torch.zeros(*scores.shape[:-1], len(self.point.units), dtype=torch.float64)
        units[..., self.players] = scores.double().cpu()
        return units
