"""Forwards that run through a part of the model: the points they compute, and who they refuse.

A hook on a block that is not run would have no effect, and nobody would notice. So a forward that
starts late or stops early refuses a tap that needs such a point (`Tap.needs`): one that was asked
for by name, or that is to be edited. A predicate over names, or a tap that looks at whatever comes
by, keeps to the points that there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp.errors import HookError
from interp.model.hook_points import HookPoint, HookTable
from interp.model.tap import NO_TAP, Tap

if TYPE_CHECKING:
    from interp.model.core import Transformer


def computed_points(
    model: Transformer,
    start: int | None = None,
    stop: int | None = None,
    stack: str | None = None,
) -> HookTable:
    """The points of a forward, in firing order.

    Args:
        start: the block it starts at; None for the embeddings.
        stop: the block of the last stack before which it stops; None for the logits.
        stack: the stack that `start` counts in; by default the last.
    """
    names = list(model.stack_names())
    first = names[0] if start is None else stack or names[-1]
    points: list[HookPoint] = []
    for name in names[names.index(first) :]:
        begin = start if name == first else None
        end = stop if name == names[-1] else None
        points.extend(model.stack(name).hook_points(begin, end))
    if stop is None:
        points.extend(model.output.hook_points())
    return HookTable((point.name, point) for point in points)


def refuse_unheard(
    model: Transformer,
    tap: Tap,
    start: int | None,
    stop: int | None,
    stack: str | None = None,
) -> None:
    """Raises if the tap needs a point that a forward leaves out; the rest as `computed_points`.

    Raises:
        HookError: names the point, and the part that is computed.
    """
    if tap is NO_TAP or (start is None and stop is None):
        return
    computed = computed_points(model, start, stop, stack)
    unheard = [name for name in model.hook_points if name not in computed and tap.needs(name)]
    if unheard:
        ends = [] if start is None else [f"starts at layer {start}"]
        ends += [] if stop is None else [f"stops before layer {stop}"]
        raise HookError(
            f"{unheard[0]!r} is not computed in this forward, which {' and '.join(ends)}. "
            "Run that layer too, or leave this point out; a predicate in place of names keeps to "
            "the points that are computed."
        )
