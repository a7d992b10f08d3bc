"""Owen values: Shapley values of groups within groups, along a hierarchy of the units.

Owen 1977; as an explainer, the partition explainer of the `shap` library (Lundberg 2020). The two
halves of a group share what the group adds as two players would, with whatever is present outside
it; each half shares its part in the same way. That takes n^2 evaluations where Shapley values take
2^n, and neighbours that only count together, as the tokens of a word, stay together. Of a game in
which players simply add up, both are the same.
"""

from __future__ import annotations

import heapq
import warnings
from collections.abc import Sequence
from itertools import count
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from interp.errors import InputError
from interp.explain.finding import Finding
from interp.explain.game import Game, Value
from interp.explain.points import Point

TOGETHER = 32  # groups divided at once: more fill a batch, fewer follow the largest stakes

Joins = list[tuple[int, int]]
"""The pairs of clusters that are joined, of n units n - 1: a number below n is a unit, n + j is
what row j made. As the first two columns of scipy's linkage matrix."""


def owen(
    point: Point, *, hierarchy: ArrayLike | None = None, max_evaluations: int = 2000
) -> Finding:
    """Owen values; groups with the largest stakes are divided first.

    Args:
        hierarchy: which units belong together, as `scipy.cluster.hierarchy` writes it: a row
            (a, b, ...) for each join of two clusters, of which the first are the units themselves.
            By default the text is halved, and halved again; an encoder-decoder's sides first.
        max_evaluations: of coalitions; the same number as that of `shap`. When they are used up,
            the units of an undivided group share its part equally, and a warning says so.

    Raises:
        InputError: a hierarchy that is none of these units.
    """
    game = Game(point)
    game.check_budget(max_evaluations, 4)  # everybody, nobody and two halves
    if not len(game):
        return Finding(game.spread(torch.zeros(0)), complete=True)
    if hierarchy is None:
        joins = halves([point.units.sides[i] for i in game.players.tolist()])
    else:
        joins = _among(_read(hierarchy, len(point.units)), game.players.tolist())
    scores, undivided = owen_values(game.values, joins, max_evaluations)
    if undivided:
        warnings.warn(
            f"{max_evaluations} evaluations did not suffice to divide {undivided} groups, whose "
            "units have equal shares. Allow more with max_evaluations, or choose larger units.",
            stacklevel=3,
        )
    return Finding(game.spread(scores[: len(game)]), complete=True, converged=not undivided)


class _Group(NamedTuple):
    """A group in a context: `around` is who is present outside it. Those with the largest stakes
    come first; `tie` settles which of equal ones."""

    stake: float
    tie: int
    node: int
    around: Tensor
    without: float
    with_: float
    weight: float

    @property
    def part(self) -> float:
        return (self.with_ - self.without) * self.weight


def owen_values(
    value: Value, joins: Joins, max_evaluations: int, together: int = TOGETHER
) -> tuple[Tensor, int]:
    """Owen values [player] of a game, and how many groups were not divided in every context."""
    n = len(joins) + 1
    members = torch.zeros(2 * n - 1, n, dtype=torch.bool)
    members[:n] = torch.eye(n, dtype=torch.bool)
    for j, (a, b) in enumerate(joins):
        members[n + j] = members[a] | members[b]
    part = torch.zeros(2 * n - 1, dtype=torch.float64)
    nobody = torch.zeros(n, dtype=torch.bool)
    without, with_ = value(torch.stack([nobody, ~nobody])).tolist()
    used, ties = 2, count()
    queue = [_Group(0.0, next(ties), 2 * n - 2, nobody, without, with_, 1.0)]
    while queue and used + 2 <= max_evaluations:
        groups: list[_Group] = []
        while queue and len(groups) < together and used + 2 <= max_evaluations:
            group = heapq.heappop(queue)
            if group.node < n:
                part[group.node] += group.part
                continue
            groups.append(group)
            used += 2
        if not groups:
            break
        masks = [g.around | members[half] for g in groups for half in joins[g.node - n]]
        found = value(torch.stack(masks)).tolist()
        for i, g in enumerate(groups):
            (a, b), (only_a, only_b) = joins[g.node - n], found[2 * i : 2 * i + 2]
            with_a, with_b = masks[2 * i : 2 * i + 2]
            for half, around, low, high in (
                (a, g.around, g.without, only_a),
                (b, g.around, g.without, only_b),
                (a, with_b, only_b, g.with_),
                (b, with_a, only_a, g.with_),
            ):
                stake = -abs(high - low) * g.weight
                item = _Group(stake, next(ties), half, around, low, high, g.weight / 2)
                heapq.heappush(queue, item)
    for group in queue:
        part[group.node] += group.part
    undivided = {group.node for group in queue if group.node >= n}
    return _handed_down(part, joins, members), len(undivided)


def _handed_down(part: Tensor, joins: Joins, members: Tensor) -> Tensor:
    """What stayed with groups, given to their units in equal shares."""
    n = members.shape[1]
    for j in reversed(range(len(joins))):
        whole = members[n + j].sum()
        for half in joins[j]:
            part[half] += part[n + j] * members[half].sum() / whole
    return part[:n]


def halves(sides: Sequence[str]) -> Joins:
    """Units in reading order, halved again and again, where their sides meet first."""
    joins: Joins = []
    n = len(sides)

    def join(start: int, stop: int) -> int:
        if stop - start == 1:
            return start
        seams = [i for i in range(start + 1, stop) if sides[i] != sides[i - 1]]
        middle = seams[0] if seams else (start + stop) // 2
        joins.append((join(start, middle), join(middle, stop)))
        return n + len(joins) - 1

    if n:
        join(0, n)
    return joins


def _read(hierarchy: ArrayLike, n: int) -> Joins:
    """A given hierarchy of n units.

    Raises:
        InputError: it is of another number of units, or no tree.
    """
    try:
        rows = np.asarray(hierarchy, dtype=float)
    except (TypeError, ValueError) as problem:
        raise InputError(f"The hierarchy is no table of numbers: {problem}.") from problem
    if rows.ndim != 2 or rows.shape[0] != n - 1 or rows.shape[1] < 2:
        raise InputError(
            f"The hierarchy has shape {list(rows.shape)}; of {n} units, it needs {n - 1} rows "
            "(a, b, ...) that join two clusters each."
        )
    joins, free = [], set(range(n))
    for j, (a, b) in enumerate(rows[:, :2].tolist()):
        if a not in free or b not in free or a == b:
            raise InputError(
                f"Row {j} of the hierarchy joins {a:g} and {b:g}; they must be two units (0 to "
                f"{n - 1}) or earlier clusters (from {n}) that are in no other cluster yet."
            )
        free -= {a, b}
        free.add(n + j)
        joins.append((int(a), int(b)))
    return joins


def _among(joins: Joins, players: list[int]) -> Joins:
    """A hierarchy of all units without those that are no players."""
    n, kept = len(joins) + 1, len(players)
    number = {unit: i for i, unit in enumerate(players)}  # of a unit or cluster, in the new one
    found: Joins = []
    for j, pair in enumerate(joins):
        inside = [number[x] for x in pair if x in number]
        if len(inside) == 2:
            found.append((inside[0], inside[1]))
            number[n + j] = kept + len(found) - 1
        elif inside:
            number[n + j] = inside[0]
    return found
