"""Every exception the toolkit raises on purpose.

All are subclasses of `InterpError`, so one `except interp.InterpError` catches what the toolkit
itself refuses, and each is also a subclass of the built-in that a caller would expect, so code
which knows nothing of this package still handles it. A message says what is wrong, where, and
what to do about it: "what is wrong; where. What to do."
"""

from __future__ import annotations


class InterpError(Exception):
    """Base class of the toolkit's errors; `str(error)` is always the plain message."""

    def __str__(self) -> str:
        # `KeyError.__str__` would show the `repr` of the message: quoted, with escaped newlines.
        return str(self.args[0]) if len(self.args) == 1 else super().__str__()


class ConfigError(InterpError, ValueError):
    """A configuration that contradicts itself or names something that does not exist."""


class InputError(InterpError, ValueError):
    """A prompt, token, mask, frame or option that the called function cannot accept."""


class HookError(InterpError, KeyError):
    """A hook point that this model does not have, or that does not fire in this run."""


class CacheError(InterpError, RuntimeError):
    """A cache asked for what it does not hold or can no longer recompute."""


class LoadError(InterpError, OSError):
    """A checkpoint that is missing, incomplete, damaged or in a refused format."""


class UnsupportedModelError(InterpError, NotImplementedError):
    """A model family, shape or variant for which the called function has no implementation."""


class TrainingError(InterpError, RuntimeError):
    """A training that cannot go on: its loss is lost, or its run folder does not fit it."""


class StoreError(InterpError, OSError):
    """Activations that cannot be kept: no room on the disk, or a folder that holds others."""
