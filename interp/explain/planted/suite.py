"""All models with a known mechanism, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from interp.explain.planted import tokens, traps
from interp.explain.planted.compiler import compile_program
from interp.explain.planted.interchange import TASKS, train_interchange
from interp.explain.planted.programs import PROGRAMS
from interp.explain.planted.record import Planted
from interp.explain.planted.wiring import Disguise

HAND_WRITTEN: dict[str, Callable[[int], Planted]] = {
    "additive": tokens.additive,
    "additive, encoder": partial(tokens.additive, shape="encoder"),
    "additive, pair": partial(tokens.additive, shape="encoder_decoder"),
    "conjunction": tokens.conjunction,
    "conjunction, encoder": partial(tokens.conjunction, shape="encoder"),
    "conjunction, pair": partial(tokens.conjunction, shape="encoder_decoder"),
    "disjunction": tokens.disjunction,
    "disjunction, encoder": partial(tokens.disjunction, shape="encoder"),
    "disjunction, pair": partial(tokens.disjunction, shape="encoder_decoder"),
    "negation": tokens.negation,
    "negation, encoder": partial(tokens.negation, shape="encoder"),
    "negation, pair": partial(tokens.negation, shape="encoder_decoder"),
    "redundant copies": traps.redundant_copies,
    "sink": traps.sink,
    "loud distractor": traps.loud_distractor,
    "position only": traps.position_only,
    "lookup": traps.lookup,
    "copy": traps.copy,
}
"""Name -> a function from a seed to the model; a decoder, unless the name says otherwise."""

COMPILED: dict[str, Callable[[int], Planted]] = {
    name: partial(compile_program, program) for name, program in PROGRAMS.items()
}
"""The same of the compiled programs, disguised."""

NORMED: dict[str, Callable[[int], Planted]] = {
    f"{name}, norm": partial(compile_program, program, disguise=Disguise(norm=True))
    for name, program in PROGRAMS.items()
}
"""The same with a norm that acts on what the first attention reads."""

TRAINED: dict[str, Callable[[int], Planted]] = {
    name: partial(train_interchange, task) for name, task in TASKS.items()
}
"""The tasks of `interchange`; minutes each, and an error if the circuit is not the mechanism."""


def suite(seed: int = 0, *, trained: bool = False) -> Iterator[tuple[str, Planted]]:
    """Every model, with its name; made as they are asked for.

    Args:
        trained: also those that take minutes.
    """
    quick = {**HAND_WRITTEN, **COMPILED, **NORMED}
    for name, make in {**quick, **(TRAINED if trained else {})}.items():
        yield name, make(seed)
