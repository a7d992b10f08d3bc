"""How a caller names some positions, neurons or rows of an axis, as TransformerLens writes it.

Python's own indexing cannot be passed as an argument, so: an int takes one and drops the axis,
(stop,), (start, stop) or (start, stop, step) is a range, a list or tensor picks, None takes all.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from interp.errors import InputError

SliceLike = int | slice | tuple[int | None, ...] | Sequence[int] | Tensor | None


def as_index(spec: Any) -> int | slice | Tensor:
    """What torch indexes an axis with. TransformerLens's `Slice` objects are understood too.

    Raises:
        InputError: `spec` is none of the forms above.
    """
    spec = getattr(spec, "slice", spec)
    if spec is None:
        return slice(None)
    if isinstance(spec, slice):
        return spec
    if isinstance(spec, tuple) and 1 <= len(spec) <= 3:
        return slice(*spec)
    if isinstance(spec, (list, range)) or getattr(spec, "ndim", 0) == 1:
        return torch.as_tensor(spec, dtype=torch.long if len(spec) == 0 else None)
    if not isinstance(spec, (bool, tuple)):
        try:
            return operator.index(spec)
        except TypeError:
            pass
    raise InputError(
        f"{spec!r} does not say which part of an axis is wanted; give an int, a tuple "
        "(start, stop), a list of ints, a slice, or None for all."
    )


def cut(value: Tensor, spec: Any, dim: int) -> Tensor:
    """The part of axis `dim` that `spec` names.

    Raises:
        InputError: `spec` is malformed, or names what the axis does not have.
    """
    axis = dim % value.ndim
    try:
        return value[(slice(None),) * axis + (as_index(spec),)]
    except IndexError as error:
        raise InputError(f"{spec!r} is not in an axis of length {value.shape[axis]}.") from error
