"""Tables of names: which tensor of a checkpoint is which parameter here, read in both directions.

An `Entry` ties one of their tensors to one of our parameters, or to some of its rows. Reading and
writing a checkpoint are the same table with the arrow turned round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from interp.errors import LoadError

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Transform:
    """A rearrangement of a tensor and its inverse."""

    read: Callable[[Tensor], Tensor]
    write: Callable[[Tensor], Tensor]


def _same(x: Tensor) -> Tensor:
    return x


SAME = Transform(_same, _same)
# `Conv1D` of GPT-2 keeps [in, out] where `nn.Linear` keeps [out, in].
TRANSPOSE = Transform(lambda x: x.t(), lambda x: x.t())
# A vector kept as a matrix of one row (Marian's bias on the logits).
ONE_ROW = Transform(lambda x: x.squeeze(0), lambda x: x.unsqueeze(0))


def interleaved(n_heads: int) -> Transform:
    """Rows by head, then q, k, v (GPT-NeoX) <-> rows by q, k, v, then head."""

    def turn(x: Tensor, first: int, second: int) -> Tensor:
        return x.reshape(first, second, -1, *x.shape[1:]).transpose(0, 1).reshape(x.shape)

    return Transform(lambda x: turn(x, n_heads, 3), lambda x: turn(x, 3, n_heads))


def drop_rows(n: int) -> Transform:
    """Their table has `n` more rows in front, which no position uses; on the way back, zeros."""

    def write(x: Tensor) -> Tensor:
        return torch.cat([x.new_zeros(n, *x.shape[1:]), x])

    return Transform(lambda x: x[n:], write)


@dataclass(frozen=True)
class Entry:
    """One line of a table.

    Attributes:
        ours: name of our parameter; `{i}` stands for the layer until the table is expanded.
        theirs: name of their tensor.
        transform: how theirs becomes ours.
        rows: which rows of ours it is; None for all.
    """

    ours: str
    theirs: str
    transform: Transform = SAME
    rows: slice | None = None

    def at(self, layer: int) -> Entry:
        i = str(layer)
        return replace(self, ours=self.ours.replace("{i}", i), theirs=self.theirs.replace("{i}", i))

    def part(self, parameter: Tensor) -> Tensor:
        """The part of our parameter that this line fills, a view."""
        return parameter if self.rows is None else parameter[self.rows]


def expand(entries: Iterable[Entry], n_layers: int) -> Iterator[Entry]:
    """The table with a line for every layer."""
    for entry in entries:
        if "{i}" in entry.ours:
            yield from (entry.at(i) for i in range(n_layers))
        else:
            yield entry


class Source(Protocol):
    """Tensors by name: files (`WeightFiles`) or a state dict (`InMemory`)."""

    def shape(self, name: str) -> Shape: ...

    def names(self) -> Iterable[str]: ...

    def dtype(self, name: str) -> torch.dtype: ...

    def read(self, name: str) -> Tensor: ...

    def read_into(self, name: str, out: Tensor) -> None: ...


@dataclass(frozen=True)
class InMemory:
    """A state dict as a source."""

    tensors: Mapping[str, Tensor]

    def shape(self, name: str) -> Shape:
        return tuple(self.tensors[name].shape)

    def names(self) -> Iterable[str]:
        return self.tensors

    def dtype(self, name: str) -> torch.dtype:
        return self.tensors[name].dtype

    def read(self, name: str) -> Tensor:
        return self.tensors[name].detach()

    def read_into(self, name: str, out: Tensor) -> None:
        out.copy_(self.read(name))


def parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Every parameter once, a shared one under its first name."""
    return dict(model.named_parameters())


def identity(model: nn.Module) -> list[Entry]:
    """The table of a checkpoint written here: our own names."""
    return [Entry(name, name) for name in parameters(model)]


def check(
    model: nn.Module,
    entries: Sequence[Entry],
    source: Source,
    where: str,
    *,
    ignore: Callable[[str], bool] = lambda name: False,
) -> None:
    """That a source has every tensor of a table, in its shape, and none that is unknown.

    `model` may be on the `meta` device: only its shapes are read.

    Args:
        where: what the source is, for the message.
        ignore: tensors of the source that may be left over.

    Raises:
        LoadError: the first tensors that are missing, unexpected or of another shape.
    """
    ours = parameters(model)
    known = set(source.names())
    used = {entry.theirs for entry in entries}
    missing = [entry.theirs for entry in entries if entry.theirs not in known]
    extra = sorted(name for name in known - used if not ignore(name))
    uncovered = sorted(set(ours) - {entry.ours for entry in entries})
    if uncovered:
        raise LoadError(f"{where} says nothing of {_some(uncovered)}, which this model needs.")
    if missing:
        raise LoadError(
            f"{where} lacks {_some(missing)}"
            + (f", and has {_some(extra)} that its configuration knows nothing of" if extra else "")
            + ". Nothing was loaded; the weights and config.json do not belong together."
        )
    for entry in entries:
        found = source.shape(entry.theirs)
        needed = tuple(entry.transform.write(entry.part(ours[entry.ours]).detach()).shape)
        if found != needed:
            raise LoadError(
                f"The tensor {entry.theirs!r} in {where} has the shape {list(found)}; the "
                f"configuration needs {list(needed)}. Nothing was loaded."
            )
    if extra:
        raise LoadError(
            f"{where} has {_some(extra)}, of which its configuration knows nothing. "
            "Nothing was loaded, since leaving weights out would make another model."
        )


@torch.no_grad()
def fill(model: nn.Module, entries: Sequence[Entry], source: Source) -> None:
    """Copies a checked source into the parameters of a model, one tensor at a time."""
    ours = parameters(model)
    for entry in entries:
        part = entry.part(ours[entry.ours])
        if entry.transform is SAME:
            source.read_into(entry.theirs, part)
        else:
            part.copy_(entry.transform.read(source.read(entry.theirs)))


@torch.no_grad()
def write(model: nn.Module, entries: Sequence[Entry]) -> dict[str, Tensor]:
    """Our parameters as their tensors."""
    ours = parameters(model)
    return {e.theirs: e.transform.write(e.part(ours[e.ours]).detach()) for e in entries}


def _some(names: Sequence[Any], limit: int = 4) -> str:
    shown = ", ".join(repr(name) for name in names[:limit])
    more = len(names) - limit
    return f"the tensors {shown} and {more} more" if more > 0 else f"the tensor(s) {shown}"
