"""The taps of the `hooks()` contexts that surround a call, per thread."""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch

from interp.errors import HookError
from interp.model.tap import NO_TAP, Tap, chain

# Each tap with the id of the model it belongs to; a context variable, so threads do not share it.
_AMBIENT: ContextVar[tuple[tuple[int, Tap], ...]] = ContextVar("ambient_taps", default=())


def ambient_tap(model: object, tap: Tap = NO_TAP) -> Tap:
    """What the contexts around this call do to `model`, and then `tap`."""
    taps = _AMBIENT.get()
    return chain(*(tap for owner, tap in taps if owner == id(model)), tap) if taps else tap


@contextmanager
def within(model: object, tap: Tap) -> Generator[None, None, None]:
    """Adds a tap to all forwards of `model` in this context and thread."""
    token = _AMBIENT.set((*_AMBIENT.get(), (id(model), tap)))
    try:
        yield
    finally:
        _AMBIENT.reset(token)


class _Uncompiled:
    """Lets compiled models run eagerly while any thread is inside.

    Torch's switch is one for the whole process, and each holder restores what it found: contexts
    that overlap in two threads would leave it on for ever, or off too early. So the first one in
    throws it and the last one out puts it back.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = 0
        self.stance: Any = None

    def __enter__(self) -> None:
        with self.lock:
            self.inside += 1
            # Nothing is compiled before dynamo is imported, which is slow.
            if self.stance is None and "torch._dynamo" in sys.modules:
                self.stance = torch.compiler.set_stance("force_eager")

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0 and self.stance is not None:
                self.stance.__exit__(None, None, None)
                self.stance = None


UNCOMPILED = _Uncompiled()


def refuse_to_compile() -> None:
    """Called while a forward is compiled: raises if a context would be lost by it.

    Raises:
        HookError: this is inside `hooks()`, entered before the compiler was loaded.
    """
    if UNCOMPILED.inside:
        raise HookError(
            "A model was compiled inside a `hooks()` context, which the compiled forward cannot "
            "see. Compile it, and run it once, outside."
        )
