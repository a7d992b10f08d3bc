"""The taps of the `hooks()` contexts that surround a call, per thread."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from interp.model.tap import NO_TAP, Tap, chain

# Each tap with the id of the model it belongs to; a context variable, so threads do not share it.
_AMBIENT: ContextVar[tuple[tuple[int, Tap], ...]] = ContextVar("ambient_taps", default=())


def ambient_tap(model: object) -> Tap:
    """What the contexts around this call do to `model`."""
    taps = _AMBIENT.get()
    return chain(*(tap for owner, tap in taps if owner == id(model))) if taps else NO_TAP


@contextmanager
def within(model: object, tap: Tap) -> Generator[None, None, None]:
    """Adds a tap to all forwards of `model` in this context and thread."""
    token = _AMBIENT.set((*_AMBIENT.get(), (id(model), tap)))
    try:
        yield
    finally:
        _AMBIENT.reset(token)
