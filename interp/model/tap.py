"""Taps: how a forward pass is observed and edited, without leaving anything on the model.

A forward pass receives one tap and hands every named tensor through it:

    q = tap("hook_q", q)

The tap may keep the tensor, replace it or watch its gradient. `NO_TAP` does none of it: it is the
identity, costs a function call in eager mode and nothing under `torch.compile(fullgraph=True)`.
A tap is an argument, so two threads can read one model with different taps at once.

A tap says beforehand what it will do, and the model computes no more than that:

- `wants(name)`: it wants to see this tensor;
- `edits(name)`: what it returns must be what the rest of the model uses (it may change the value,
  or follow its gradient);
- `needs(name)`: a forward that does not come by there (it starts after it, or stops before it)
  must refuse the tap, with a `HookError`, rather than ignore it.

Where a named tensor does not exist on the fast path (the attention pattern inside the fused
kernel, the normalised stream inside the fused norm), a tap that only looks gets it computed
*beside* the fast path. Looking therefore never changes a model's output by a single bit.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from interp.errors import HookError, InputError, InterpError
from interp.model.hook_points import HookPoint

HookFunction = Callable[..., Any]
"""Called as `f(tensor, hook=HookPoint)`; returns the new value, or None to leave it."""


class Tap:
    """The base of all taps, and itself the identity. Subclasses override these methods."""

    def wants(self, name: str) -> bool:
        """Whether `visit` is to be called for the tensor of this full name."""
        return False

    def edits(self, name: str) -> bool:
        """Whether the value that `visit` returns must be the one used from there on."""
        return False

    def needs(self, name: str) -> bool:
        """Whether a forward without this tensor would betray the caller. By default where an edit
        would be lost; a tap that looks at whatever comes by needs nothing."""
        return self.edits(name)

    def visit(self, name: str, value: Tensor) -> Tensor:
        """Sees a tensor; returns the value to go on with (`value` itself to leave it)."""
        return value

    def __call__(self, name: str, value: Tensor) -> Tensor:
        return self.visit(name, value) if self.wants(name) else value

    def scope(self, prefix: str) -> TapLike:
        """This tap as seen by a part of the model: names get the prefix."""
        return _Scope(self, f"{prefix}.")


class TapLike(Protocol):
    """What a component receives: a tap, or a tap scoped to it."""

    def wants(self, name: str) -> bool: ...
    def edits(self, name: str) -> bool: ...
    def __call__(self, name: str, value: Tensor) -> Tensor: ...
    def scope(self, prefix: str) -> TapLike: ...


class _NoTap(Tap):
    def __call__(self, name: str, value: Tensor) -> Tensor:
        return value

    def scope(self, prefix: str) -> TapLike:
        return self

    def __repr__(self) -> str:
        return "NO_TAP"


NO_TAP = _NoTap()


class _Scope:
    """A tap and the prefix that turns a component's local names into full ones."""

    __slots__ = ("prefix", "tap")

    def __init__(self, tap: Tap, prefix: str):
        self.tap = tap
        self.prefix = prefix

    def wants(self, name: str) -> bool:
        return self.tap.wants(self.prefix + name)

    def edits(self, name: str) -> bool:
        return self.tap.edits(self.prefix + name)

    def __call__(self, name: str, value: Tensor) -> Tensor:
        return self.tap(self.prefix + name, value)

    def scope(self, prefix: str) -> TapLike:
        return _Scope(self.tap, f"{self.prefix}{prefix}.")


class Finished(InterpError):
    """Raised inside a forward pass by a tap that has all it wanted.

    It ends whatever the forward was a part of (a generation too), so whoever gives such a tap to
    one catches it.

    Attributes:
        tap: who raised it.
    """

    def __init__(self, tap: Tap):
        super().__init__(
            "A tap has seen all it wanted and has ended the forward (`stop=True`), which therefore "
            "has no result. Catch `interp.model.tap.Finished` around the call, or record without "
            "`stop`."
        )
        self.tap = tap


class Record(Tap):
    """Keeps the tensors of the given full names in `values`.

    Args:
        names: full names.
        on_path: follow gradients through the kept tensors: what is kept is then the very tensor
            the model used, so `torch.autograd.grad(out, record.values[name])` is right for every
            name. Without it values are detached, and computed beside the fast path if need be.
        stop: end the forward (by `Finished`) as soon as every name has been seen.
        keep: what to store of a tensor (a position slice, a copy on another device).
    """

    def __init__(
        self,
        names: Collection[str],
        *,
        on_path: bool = False,
        stop: bool = False,
        keep: Callable[[str, Tensor], Tensor] | None = None,
    ):
        self.names = frozenset(names)
        self.on_path = on_path
        self.stop = stop
        self.keep = keep
        self.values: dict[str, Tensor] = {}

    def wants(self, name: str) -> bool:
        return name in self.names

    def edits(self, name: str) -> bool:
        return self.on_path and name in self.names

    needs = wants

    def visit(self, name: str, value: Tensor) -> Tensor:
        if self.on_path:
            value = _own_node(value)
        kept = value if self.on_path else value.detach()
        self.values[name] = kept if self.keep is None else self.keep(name, kept)
        if self.stop and len(self.values) == len(self.names):
            raise Finished(self)
        return value


class Hooks(Tap):
    """Runs functions on named tensors (`forward`) and on their gradients (`backward`).

    A forward function gets its own copy of the tensor, so that it may write into it: neither an
    activation recorded earlier nor autograd is disturbed. What it returns (or has written) is what
    the model goes on with. A backward function gets the gradient of whatever is back-propagated
    with respect to the tensor; what it returns replaces that gradient.

    Args:
        forward, backward: full name -> functions, called in order as `f(tensor, hook=HookPoint)`.
        points: the model's table, for the `hook` argument.
        optional: those of the names that a forward may leave out.
    """

    def __init__(
        self,
        points: Mapping[str, HookPoint],
        forward: Mapping[str, Sequence[HookFunction]] | None = None,
        backward: Mapping[str, Sequence[HookFunction]] | None = None,
        optional: Collection[str] = (),
    ):
        self.points = points
        self.optional = frozenset(optional)
        self.forward = dict(forward or {})
        self.backward = dict(backward or {})

    def wants(self, name: str) -> bool:
        return name in self.forward or name in self.backward

    edits = wants

    def needs(self, name: str) -> bool:
        return self.wants(name) and name not in self.optional

    def visit(self, name: str, value: Tensor) -> Tensor:
        hook = self.points[name]
        for function in self.forward.get(name, ()):
            copy = value.clone()
            returned = function(copy, hook=hook)
            value = copy if returned is None else _checked(name, value, returned)
        for function in reversed(self.backward.get(name, ())):  # gradients come from the far end
            value = _watch_gradient(value, function, hook)
        return value


class Chain(Tap):
    """Several taps on one forward; each sees what the ones before it have left."""

    def __init__(self, taps: Iterable[Tap]):
        self.taps = tuple(taps)

    def wants(self, name: str) -> bool:
        return any(tap.wants(name) for tap in self.taps)

    def edits(self, name: str) -> bool:
        return any(tap.edits(name) for tap in self.taps)

    def needs(self, name: str) -> bool:
        return any(tap.needs(name) for tap in self.taps)

    def visit(self, name: str, value: Tensor) -> Tensor:
        for tap in self.taps:
            value = tap(name, value)
        return value


def chain(*taps: Tap) -> Tap:
    """The taps as one, without those that do nothing."""
    active = [tap for tap in taps if tap is not NO_TAP]
    return active[0] if len(active) == 1 else Chain(active) if active else NO_TAP


def _checked(name: str, before: Tensor, after: Any) -> Tensor:
    if not isinstance(after, Tensor):
        raise HookError(
            f"The hook on {name} returned {type(after).__name__}; it must return a tensor or None."
        )
    value: Tensor = after
    if value.shape != before.shape:
        try:
            value = value.expand_as(before)
        except RuntimeError as error:
            raise InputError(
                f"The hook on {name} returned shape {list(value.shape)}; the model goes on with "
                f"{list(before.shape)} there. Return a tensor of that shape."
            ) from error
    return value


def _own_node(value: Tensor) -> Tensor:
    """The tensor as a node of autograd's graph that no other name shares.

    `hook_mlp_in` is the very stream that the skip path goes on with, for one: what flows back
    into that stream is more than what flows back into the layer. With frozen weights nothing
    requires gradients before the first watched tensor, which becomes a leaf.
    """
    if value.requires_grad:
        return value.view_as(value)
    return value.detach().requires_grad_() if torch.is_grad_enabled() else value


def _watch_gradient(value: Tensor, function: HookFunction, hook: HookPoint) -> Tensor:
    value = _own_node(value)
    if not value.requires_grad:
        raise HookError(
            f"A gradient hook on {hook.name} needs gradients, and this forward computes none. "
            "Leave `torch.no_grad()` or `inference_mode`."
        )

    def on_gradient(gradient: Tensor) -> Tensor | None:
        returned = function(gradient, hook=hook)
        if isinstance(returned, tuple) and len(returned) == 1:
            returned = returned[0]  # the form TransformerLens's hooks use
        return None if returned is None else _checked(f"{hook.name} (gradient)", gradient, returned)

    value.register_hook(on_gradient)
    return value
