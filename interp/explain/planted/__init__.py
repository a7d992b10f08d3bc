"""Models whose mechanism is known, to rank explainers on.

`HAND_WRITTEN` and `COMPILED` make them by name; `Planted.items` asks questions whose answers are
known token by token, and `Planted.heads` says which heads are the mechanism's.
"""

from interp.explain.planted.compiler import compile_program
from interp.explain.planted.programs import PROGRAMS, Program
from interp.explain.planted.record import Item, Planted
from interp.explain.planted.suite import COMPILED, HAND_WRITTEN, suite

__all__ = [
    "COMPILED",
    "HAND_WRITTEN",
    "PROGRAMS",
    "Item",
    "Planted",
    "Program",
    "compile_program",
    "suite",
]
