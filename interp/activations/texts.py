"""Texts as a model reads them: token ids, and where in the text each token stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interp.data.encoding import literal
from interp.errors import InputError
from interp.model.protocol import LanguageModel

Offset = tuple[int, int] | None
"""First and last + 1 character of a token in its text; None for a special token."""


@dataclass(frozen=True)
class Side:
    """The texts that one stack reads.

    Attributes:
        tokens: ids of each text, special tokens included.
        offsets: characters of each token; None where they are not known (a slow tokenizer, or
            texts that were given as ids): then every token counts as text.
        n_truncated: how many texts were cut to the model's context.
    """

    tokens: Sequence[Sequence[int]]
    offsets: Sequence[Sequence[Offset]] | None = None
    n_truncated: int = 0

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text, [text]."""
        return np.array([len(row) for row in self.tokens], np.int64)


@dataclass(frozen=True)
class Texts:
    """Encoded texts; for an encoder-decoder with what its decoder reads.

    Attributes:
        source: what the model reads; of an encoder-decoder, its encoder.
        target: what the decoder reads, a text for each of the source; None for the start token
            alone, which is enough to read the encoder.
    """

    source: Side
    target: Side | None = None

    def __post_init__(self) -> None:
        if not len(self.source):
            raise InputError("There is no text to read: the list is empty.")
        if self.target is not None and len(self.target) != len(self.source):
            raise InputError(
                f"There are {len(self.source)} texts and {len(self.target)} targets; each needs "
                "its other."
            )
        for side in (self.source, self.target):
            for i, row in enumerate(side.tokens if side else ()):
                if not len(row):
                    raise InputError(f"Text {i} has no token; leave it out.")

    def __len__(self) -> int:
        return len(self.source)


def encode(
    model: LanguageModel,
    texts: Sequence[str],
    targets: Sequence[str] | None = None,
    *,
    truncate: bool = False,
) -> Texts:
    """Texts as `model.to_tokens` encodes them, all at once, with the place of each token.

    Unlike in a prompt, nothing inside a text is a command: `[MASK]` there is five letters and two
    brackets. To have it masked, give ids: `Texts(Side(ids))`.

    Args:
        targets: of an encoder-decoder, what its decoder reads, behind its start token.
        truncate: cut a text that is longer than the model's context; otherwise it is refused.

    Raises:
        InputError: no text, a text that is none, has no token or is too long; targets of a model
            without a decoder of its own; a model without a tokenizer.
    """
    pair = model.cfg.shape == "encoder_decoder"
    if targets is not None and not pair:
        raise InputError(f"Only an encoder-decoder reads targets; this is a {model.cfg.shape}.")
    framed = model.cfg.shape != "decoder"
    source = _side(model, texts, framed, None if framed else _bos(model), truncate)
    if targets is None:
        return Texts(source)
    start = model.cfg.decoder_start_token_id
    if start is None:
        raise InputError("The configuration names no decoder_start_token_id.")
    return Texts(source, _side(model, targets, True, start, truncate))


def _bos(model: LanguageModel) -> int | None:
    tokenizer = model.tokenizer
    return tokenizer.bos_token_id if tokenizer and model.cfg.default_prepend_bos else None


def _side(
    model: LanguageModel, texts: Sequence[str], framed: bool, first: int | None, truncate: bool
) -> Side:
    """Texts in the tokenizer's template if they are `framed`, and behind a `first` token."""
    if model.tokenizer is None:
        raise InputError("This model has no tokenizer; give it ids: `Texts(Side(ids))`.")
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"Text {i} is {type(text).__name__}; only strings can be encoded.")
    tokens: list[list[int]] = []
    offsets: list[list[Offset]] | None = None
    if model.tokenizer.slow:
        tokens = [model.tokenizer.encode(text, add_special_tokens=framed) for text in texts]
    else:
        encoded = _encodings(literal(model.tokenizer), list(texts), framed)
        tokens = [list(e.ids) for e in encoded]
        offsets = [_offsets(e) for e in encoded]
    if first is not None:
        tokens = [[first, *row] for row in tokens]
        offsets = offsets and [[None, *row] for row in offsets]
    n_ctx = model.cfg.n_ctx
    long = [i for i, row in enumerate(tokens) if len(row) > n_ctx]
    if long and not truncate:
        raise InputError(
            f"Text {long[0]} has {len(tokens[long[0]])} tokens; the model's context holds {n_ctx}. "
            "Shorten it, split it, or ask for `truncate=True`."
        )
    return Side(
        [row[:n_ctx] for row in tokens],
        offsets and [row[:n_ctx] for row in offsets],
        len(long),
    )


def _encodings(backend: Any, texts: list[str], framed: bool) -> list[Any]:
    try:
        return list(backend.encode_batch(texts, add_special_tokens=framed))
    except (TypeError, UnicodeError) as error:
        raise InputError(
            f"A text cannot be encoded: {error}. Was it read with the wrong encoding?"
        ) from error


def _offsets(encoded: Any) -> list[Offset]:
    spans = zip(encoded.offsets, encoded.sequence_ids, strict=True)
    return [span if text is not None else None for span, text in spans]
