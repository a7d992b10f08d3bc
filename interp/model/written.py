"""The text of tokens written one by one: never half a character, and cut at stop strings."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from interp.errors import InputError
from interp.tokenizer import Tokenizer

_BROKEN = "�"  # what a decoder shows for bytes that are no character (yet)


def read_stops(stop: Any) -> tuple[str, ...]:
    """The stop strings of an option: one, several or none.

    Raises:
        InputError: something else, or an empty string, which would stop everything.
    """
    stops = () if stop is None else (stop,) if isinstance(stop, str) else tuple(stop)
    if not all(isinstance(text, str) and text for text in stops):
        raise InputError(f"stop is {stop!r}; it must be a text that is not empty, or several.")
    return stops


def cut(text: str, start: int, stops: Sequence[str]) -> str:
    """The text up to the first stop string that begins at `start` or later."""
    found = [at for stop in stops if (at := text.find(stop, start)) >= 0]
    return text[: min(found)] if found else text


class Written:
    """The text that a row has written so far.

    Each token costs the decoding of a few: together with the tokens before it, because its text
    depends on them (a space at a joint, one character from several tokens). They begin where a
    character begins. Special tokens have no text.

    Args:
        prompt: ids that stand before the first written token.
        stops: texts that end the writing; they may straddle tokens.

    Attributes:
        text: all complete characters, up to the first stop string.
        stopped: whether a stop string was met.
    """

    def __init__(self, tokenizer: Tokenizer, prompt: Sequence[int], stops: Sequence[str] = ()):
        self.tokenizer = tokenizer
        self.stops = stops
        self.text = ""
        self.stopped = False
        self._shown = 0  # characters handed out by `take`
        self._ids = list(prompt)
        decoded = self._decode(self._ids)
        self._known = decoded.rstrip(_BROKEN)
        # Ids whose text is known; later tokens can be decoded from here on.
        self._done = len(self._ids) if self._known == decoded else 0

    def _decode(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=True)

    def push(self, token: int) -> None:
        """Adds a token."""
        self._ids = [*self._ids, token]
        decoded = self._decode(self._ids)
        if decoded.endswith(_BROKEN):
            return  # the rest of the character may follow
        piece = decoded[len(self._known) :]
        if not piece:
            return  # without text it is no neighbour that later tokens can be decoded with
        self._add(piece)
        self._ids = self._ids[self._done :]
        self._done = len(self._ids)
        self._known = self._decode(self._ids)

    def close(self) -> None:
        """No token follows: what was held back comes out as it is."""
        if self._done < len(self._ids):
            self._add(self._decode(self._ids)[len(self._known) :])
            self._done = len(self._ids)
        self.stops = ()

    def take(self) -> str:
        """What can be shown since the last call: nothing that may turn out to begin a stop."""
        end = len(self.text)
        if not self.stopped:
            longest = max(map(len, self.stops), default=0)
            for start in range(max(self._shown, end - longest + 1), end):
                if any(stop.startswith(self.text[start:]) for stop in self.stops):
                    end = start
                    break
        piece = self.text[self._shown : end]
        self._shown = end
        return piece

    def fork(self) -> Written:
        """A copy that goes on by itself."""
        return copy.copy(self)

    def _add(self, piece: str) -> None:
        if self.stopped or not piece:
            return
        longest = max(map(len, self.stops), default=0)
        start = max(0, len(self.text) - longest + 1)
        whole = self.text + piece
        self.text = cut(whole, start, self.stops)
        self.stopped = len(self.text) < len(whole)
