"""Programs with a known mechanism, in all three shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from interp.explain.planted.rasp import (
    Op,
    aggregate,
    apply,
    indices,
    number,
    same,
    select,
    tokens,
    width,
)
from interp.model.config import Shape

LENGTH = 6
"""Tokens of a text after its first."""
LETTERS = 5
"""Tokens that a text is made of: blank (0), which a program reads as any other, and 1 to 4."""


@dataclass(frozen=True)
class Program:
    """A program and the texts it is asked about.

    Attributes:
        output: the operation that is said.
        places: positions at which it has something to say, counted with the first token.
        draw: (number, generator) -> ids [number, LENGTH] of texts (of the source, in a pair); None
            for letters at random.
    """

    name: str
    shape: Shape
    output: Op
    places: tuple[int, ...] = tuple(range(1, LENGTH + 1))
    draw: Callable[[int, torch.Generator], Tensor] | None = None


def _reverse() -> Op:
    token, index = tokens(LETTERS), indices(LENGTH)
    length = width(select(index, index, lambda key, query: True), LENGTH)
    opposite = apply(lambda n, i: n - 1 - i, length, index)
    return aggregate(select(index, opposite, same), token)


def _histogram() -> Op:
    token = tokens(LETTERS)
    return width(select(token, token, same), LENGTH)


def _double_histogram() -> Op:
    token = tokens(LETTERS)
    count = width(select(token, token, same), LENGTH)
    return width(select(count, count, same), LENGTH)


def _sort() -> Op:
    token, index = tokens(LETTERS), indices(LENGTH)
    order = apply(lambda t, i: t * LENGTH + i, token, index)  # of equal tokens, the first is first
    rank = width(select(order, order, lambda key, query: key < query), LENGTH)
    return aggregate(select(rank, index, same), token)


def _most_frequent() -> Op:
    token, index = tokens(LETTERS), indices(LENGTH)
    count = width(select(token, token, same), LENGTH)
    # The larger, the better: by count, then by the smaller letter; blanks do not compete.
    worth = apply(lambda n, t: n * LETTERS + LETTERS - t if t else 0, count, token)
    better = width(select(worth, worth, lambda key, query: key > query), LENGTH)
    return aggregate(select(better, index, lambda key, query: key == 0), token)


def _shift() -> Op:
    token, index = tokens(LETTERS), indices(LENGTH)
    return aggregate(select(index, index, lambda key, query: key == query - 1), token)


def _fraction_previous() -> Op:
    token, index = tokens(LETTERS), indices(LENGTH)
    is_one = number(lambda t: t == 1, token)
    return aggregate(select(index, index, lambda key, query: True), is_one)


def _dyck() -> Op:
    token, index = tokens(LETTERS), indices(LENGTH)
    opened = width(select(token, index, lambda key, query: key == 1), LENGTH)
    closed = width(select(token, index, lambda key, query: key == 2), LENGTH)
    depth = apply(lambda a, b: a - b, opened, closed)
    broken = width(select(depth, index, lambda key, query: key < 0), LENGTH)
    return apply(lambda d, n: d == 0 and n == 0, depth, broken)


def _induction() -> Op:
    token = tokens(LETTERS)
    return aggregate(select(_shift(), token, same), token)


def _first_occurrence() -> Op:
    token = tokens(LETTERS)
    return apply(lambda n: n == 1, width(select(token, token, same), LENGTH))


def _reverse_cipher() -> Op:
    source, there = tokens(LETTERS, "encoder"), indices(LENGTH, "encoder")
    here = indices(LENGTH, "decoder")
    replaced = apply(lambda t: (t + 1) % LETTERS, source)
    length = width(select(there, here, lambda key, query: True), LENGTH)
    opposite = apply(lambda n, i: n - 1 - i, length, here)
    return aggregate(select(there, opposite, same), replaced)


def _brackets(n: int, generator: torch.Generator) -> Tensor:
    """Balanced texts of ( and ), some with one of them replaced by another letter."""
    steps = torch.zeros(n, LENGTH, dtype=torch.long)
    depth = torch.zeros(n, dtype=torch.long)
    for i in range(LENGTH):
        up = torch.rand(n, generator=generator) < 0.5
        up = (up | (depth == 0)) & (depth < LENGTH - i)
        steps[:, i] = torch.where(up, 1, 2)
        depth += torch.where(up, 1, -1)
    place = torch.randint(2 * LENGTH, (n, 1), generator=generator)
    return torch.where(torch.arange(LENGTH) == place, 3, steps)


def _repeats(n: int, generator: torch.Generator) -> Tensor:
    """Texts whose last tokens have been there before."""
    half = LENGTH // 2
    first = torch.rand(n, LETTERS - 1, generator=generator).argsort(1)[:, :half] + 1
    return torch.cat([first, first], 1)


PROGRAMS = {
    program.name: program
    for program in (
        Program("reverse", "encoder", _reverse()),
        Program("histogram", "encoder", _histogram()),
        Program("double histogram", "encoder", _double_histogram()),
        Program("sort", "encoder", _sort()),
        Program("most frequent", "encoder", _most_frequent()),
        Program("shift", "decoder", _shift(), (2, 3, 4, 5, 6)),
        Program("fraction previous", "decoder", _fraction_previous(), (3, 4, 5, 6)),
        Program("dyck", "decoder", _dyck(), (4, 6), _brackets),
        Program("induction", "decoder", _induction(), (4, 5, 6), _repeats),
        Program("first occurrence", "decoder", _first_occurrence(), (2, 3, 4, 5, 6)),
        Program("reverse cipher", "encoder_decoder", _reverse_cipher(), (1, 2, 3, 4)),
    )
}
