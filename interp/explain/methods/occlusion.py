"""What the target loses without a unit, or without several neighbours."""

from __future__ import annotations

from itertools import groupby

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.finding import Finding
from interp.explain.game import Game
from interp.explain.points import Point


def leave_one_out(point: Point) -> Finding:
    """v(N) - v(N without i): what a unit adds when all others are there.

    Of two units that can stand in for each other, neither has a score; Shapley values see both.
    """
    game = Game(point)
    without = ~torch.eye(len(game), dtype=torch.bool)
    return Finding(game.spread(point.value - game.values(without)))


def occlusion(point: Point, *, window: int = 3) -> Finding:
    """Leaves out `window` neighbouring units together (Zeiler and Fergus 2014, arXiv 1311.2901).

    A unit's score is the mean, over all windows that hold it, of v(N) - v(N without the window),
    so windows of one unit are `leave_one_out`. Neighbours are units that can move, of one side; a
    side with fewer than `window` is one window.

    Raises:
        InputError: `window` is no whole number from 1.
    """
    if type(window) is not int or window < 1:
        raise InputError(f"window is {window!r}; it must be a whole number of units from 1.")
    game = Game(point)
    inside = _windows([point.units.sides[i] for i in game.players.tolist()], window)
    loss = point.value - game.values(~inside)
    held = inside.double()
    return Finding(game.spread((loss @ held) / held.sum(0)))


def _windows(sides: list[str], window: int) -> Tensor:
    """[window, player], True inside; `sides` of the players, in reading order."""
    n, rows = len(sides), []
    for _, group in groupby(range(n), key=sides.__getitem__):
        mine = list(group)
        for start in range(max(1, len(mine) - window + 1)):
            row = torch.zeros(n, dtype=torch.bool)
            row[mine[start : start + window]] = True
            rows.append(row)
    return torch.stack(rows) if rows else torch.zeros(0, n, dtype=torch.bool)
