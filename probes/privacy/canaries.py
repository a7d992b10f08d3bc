"""Canaries: sentences with a random secret, put into training data in known numbers.

A canary is a prefix that no other canary has, and a secret drawn from a space of known size; how
much more probable a model finds the secret than the others in that space says how well it
remembers (Carlini et al. 2019, arXiv 1802.08232). Canaries that are left out are the controls: a
sound measurement finds nothing in them.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from interp.atomic import writing
from interp.data.order import stream_seed
from interp.data.records import Pair
from interp.errors import InputError, LoadError
from interp.untrusted import MALFORMED, read_text, record

REPEATS = (0, 1, 4, 16, 64)
EACH = 20
DIGITS = 6
"""Digits of a secret, so that the space has a million."""

FILE = "canaries.jsonl"
"""What their file is called in the folder of a run or model; there an audit finds it."""

_MOST = 7
"""Digits up to which all secrets are scored, one by one."""

Record = TypeVar("Record")

_ONSETS, _VOWELS = "bdfgklmnprstvz", "aeiou"


@dataclass(frozen=True)
class Canary:
    """A sentence to remember.

    Attributes:
        prefix: what no other canary begins with; it ends where the secret's own space begins.
        secret: digits.
        repeats: how often it is put into the training data; 0 for a control.
    """

    prefix: str
    secret: str
    repeats: int

    @property
    def text(self) -> str:
        return f"{self.prefix} {self.secret}"

    @property
    def pair(self) -> Pair:
        """The canary for an encoder-decoder: the prefix is the source, the secret the target."""
        return Pair(self.prefix, (self.secret,))


def make_canaries(
    repeats: Sequence[int] = REPEATS, each: int = EACH, *, digits: int = DIGITS, seed: int = 0
) -> list[Canary]:
    """So many canaries for each number of repeats; every prefix has a name of its own.

    Raises:
        InputError: a number that is out of range, or no controls.
    """
    if not 1 <= digits <= _MOST:
        raise InputError(f"A secret of {digits} digits; give 1 to {_MOST}, to be scored exactly.")
    if each < 1 or min(repeats, default=-1) < 0 or len(set(repeats)) < len(repeats):
        raise InputError(f"{each} canaries of each of the repeats {list(repeats)} cannot be made.")
    if 0 not in repeats:
        raise InputError("Without canaries that are repeated 0 times there are no controls.")
    random = np.random.default_rng(stream_seed("canaries", seed))
    syllables = [a + b for a, b in itertools.product(_ONSETS, _VOWELS)]
    n, found = each * len(repeats), len(syllables)
    if n > found**3:
        raise InputError(f"There are names for {found**3:,} canaries, not for {n:,}.")
    chosen = random.choice(found**3, n, replace=False)
    secrets = random.integers(0, 10**digits, n)
    made = []
    for i, (name, secret) in enumerate(zip(chosen.tolist(), secrets.tolist(), strict=True)):
        letters = (syllables[name // found**place % found] for place in range(3))
        prefix = f"{''.join(letters).capitalize()} has the number"
        made.append(Canary(prefix, f"{secret:0{digits}d}", repeats[i // each]))
    return made


def insert(texts: Sequence[str], canaries: Sequence[Canary], *, seed: int = 0) -> list[str]:
    """The texts with every canary among them as often as it says, at random places."""
    return _mixed(texts, [c.text for c in canaries for _ in range(c.repeats)], seed)


def insert_pairs(pairs: Sequence[Pair], canaries: Sequence[Canary], *, seed: int = 0) -> list[Pair]:
    """The same for the training data of an encoder-decoder."""
    return _mixed(pairs, [c.pair for c in canaries for _ in range(c.repeats)], seed)


def _mixed(records: Sequence[Record], extra: Sequence[Record], seed: int) -> list[Record]:
    """The records in their order, and the others between them."""
    random = np.random.default_rng(stream_seed("insert", seed))
    n = len(records) + len(extra)
    new = np.zeros(n, bool)
    new[random.choice(n, len(extra), replace=False)] = True
    kept, coming = iter(records), iter([extra[i] for i in random.permutation(len(extra))])
    return [next(coming if place else kept) for place in new]


def save(canaries: Sequence[Canary], path: str | Path) -> None:
    """Writes canaries as JSON Lines, to be audited after training."""
    with writing(Path(path)) as file:
        for canary in canaries:
            file.write(json.dumps(asdict(canary)) + "\n")


def open_canaries(path: str | Path) -> list[Canary]:
    """The canaries that `save` wrote.

    Raises:
        LoadError: no such file, or a line that is no canary.
    """
    found = []
    for number, line in enumerate(read_text(Path(path)).splitlines(), start=1):
        try:
            found.append(_checked(json.loads(line)))
        except MALFORMED as error:
            raise LoadError(f"{path}, line {number}, is no canary: {error}.") from error
    if not found:
        raise LoadError(f"{path} holds no canary.")
    return found


def _checked(values: object) -> Canary:
    canary = record(Canary, values)
    if canary.repeats < 0:
        raise ValueError("repeats are a whole number from 0 on")
    secret = canary.secret
    if not (secret.isascii() and secret.isdigit()):
        raise ValueError("a secret is digits")
    if len(secret) > _MOST:
        raise ValueError(f"a secret has at most {_MOST} digits")
    return canary
