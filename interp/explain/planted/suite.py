"""All models with a known mechanism that are made in seconds, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from interp.explain.planted import tokens, traps
from interp.explain.planted.compiler import compile_program
from interp.explain.planted.programs import PROGRAMS
from interp.explain.planted.record import Planted

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


def suite(seed: int = 0) -> Iterator[tuple[str, Planted]]:
    """Every model of the two levels, with its name; made as they are asked for."""
    for name, make in {**HAND_WRITTEN, **COMPILED}.items():
        yield name, make(seed)
