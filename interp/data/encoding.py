"""Texts to token ids for training: many at once, and nothing inside a text is a command.

A text may hold the letters `<|endoftext|>` or `[MASK]`. Where people type prompts, that means the
special token; in a corpus it is text like any other, or one document could forge the end of
another. So everything here encodes with the special tokens of the text read as letters.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from interp.errors import ConfigError, InputError
from interp.tokenizer import Tokenizer

_AT_ONCE = 1 << 20  # characters


def encode_texts(tokenizer: Tokenizer, texts: Iterable[str]) -> Iterator[list[int]]:
    """Token ids of each text, without special tokens; a megabyte of text at a time, on all cores.

    Raises:
        InputError: a text is not a string.
    """
    backend = None if tokenizer.slow else literal(tokenizer)
    for some in in_batches(texts):
        if backend is None:
            yield from map(tokenizer.encode, some)
        else:
            yield from encode_batch(backend, some)


def encode_batch(backend: Any, texts: list[str]) -> list[list[int]]:
    """Token ids of texts by a backend of the `tokenizers` library, on all cores.

    Raises:
        InputError: half a surrogate pair in a text, which no encoding of text can hold.
    """
    try:
        found = backend.encode_batch_fast(texts, add_special_tokens=False)
    except (TypeError, UnicodeError) as error:
        raise InputError(
            f"A text cannot be encoded: {error}. Was it read with the wrong encoding?"
        ) from error
    return [encoding.ids for encoding in found]


def in_batches(texts: Iterable[str], characters: int = _AT_ONCE) -> Iterator[list[str]]:
    """Texts in lists of about so many characters."""
    some: list[str] = []
    size = 0
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"Text {i} is {type(text).__name__}; only strings can be encoded.")
        some.append(text)
        size += len(text) + 1
        if size >= characters:
            yield some
            some, size = [], 0
    if some:
        yield some


def literal(tokenizer: Tokenizer) -> Any:
    """A copy of the backend that reads special tokens inside a text as letters.

    Raises:
        InputError: a slow tokenizer, which cannot do that.
    """
    if tokenizer.slow:
        raise InputError("This needs a fast tokenizer, one with a tokenizer.json.")
    import tokenizers

    backend = tokenizers.Tokenizer.from_str(tokenizer.backend.to_str())
    backend.encode_special_tokens = True
    return backend


def encode_framed(
    tokenizer: Tokenizer,
    texts: Sequence[str],
    second: Sequence[str] | None = None,
    *,
    max_length: int,
    stride: int | None = None,
) -> list[Any]:
    """Texts, or pairs of texts, in the tokenizer's template (`[CLS] ... [SEP]`), cut to a length.

    A tokenizer without a template puts its begin-of-text token in front, and between the texts of
    a pair, as `model.to_tokens` does with a prompt.

    Args:
        second: the second text of each pair. The longer of the two is cut first.
        stride: cut only the second text, and keep what is cut off as further windows that repeat
            so many tokens of the one before.

    Returns:
        `tokenizers.Encoding` with `ids`, `type_ids`, `offsets`, `sequence_ids` and `overflowing`.

    Raises:
        ConfigError: no room is left for the text.
    """
    backend = literal(tokenizer)
    if backend.num_special_tokens_to_add(False) == 0 and (bos := tokenizer.special.get("bos")):
        _frame_with(backend, bos)
    frame = backend.num_special_tokens_to_add(second is not None)
    if max_length <= frame + (stride or 0):
        raise ConfigError(
            f"max_length {max_length} leaves no room beside {frame} special tokens"
            + (f" and a stride of {stride}." if stride else ".")
        )
    if stride is None:
        backend.enable_truncation(max_length)
    else:
        backend.enable_truncation(max_length, stride=stride, strategy="only_second")
    both = list(texts) if second is None else list(zip(texts, second, strict=True))
    try:
        return list(backend.encode_batch(both, add_special_tokens=True))
    except TypeError as error:
        raise InputError(f"Only strings can be encoded: {error}") from error
    except Exception as error:  # the library raises bare Exception
        raise InputError(
            f"A first text fills max_length {max_length} and leaves no room for its second: {error}"
        ) from error


def _frame_with(backend: Any, bos: str) -> None:
    from tokenizers import processors

    frame = processors.TemplateProcessing(
        single=f"{bos} $A",
        pair=f"{bos} $A {bos}:1 $B:1",
        special_tokens=[(bos, backend.token_to_id(bos))],
    )
    present = backend.post_processor
    backend.post_processor = processors.Sequence([present, frame]) if present else frame


def special_ids(tokenizer: Tokenizer) -> list[int]:
    """Ids of all special tokens, those without a role (chat marks, sentinels) included."""
    if tokenizer.slow:
        return sorted({*tokenizer.special_ids, *tokenizer.backend.all_special_ids})
    added = tokenizer.backend.get_added_tokens_decoder()
    return sorted({*tokenizer.special_ids, *(i for i, token in added.items() if token.special)})


def pad_id(tokenizer: Tokenizer) -> int:
    """What fills rows up: the padding token, or any other if there is none, since it is masked."""
    if tokenizer.pad_token_id is not None:
        return tokenizer.pad_token_id
    return tokenizer.eos_token_id or 0


def role_id(tokenizer: Tokenizer, *roles: str) -> int:
    """Id of the first of these roles that the tokenizer has.

    Raises:
        ConfigError: it has none of them.
    """
    for role in roles:
        token = tokenizer.special.get(role)
        if token is not None and (found := tokenizer.token_id(token)) is not None:
            return found
    raise ConfigError(
        f"This tokenizer has no token for {' or '.join(roles)}, which these examples need; its "
        f"special tokens are {', '.join(tokenizer.special.values()) or 'none'}."
    )


def tokenizer_hash(tokenizer: Tokenizer) -> str:
    """SHA-256 of all that decides how a text is encoded: equal hashes, equal ids."""
    if tokenizer.slow:
        model: Any = sorted(tokenizer.backend.get_vocab().items())
    else:
        # The library loses the last digit of a score when it reads what it wrote.
        written = tokenizer.backend.to_str()
        model = json.loads(written, parse_float=lambda number: round(float(number), 6))
        model.update(padding=None, truncation=None)
    described = json.dumps([model, tokenizer.special], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(described.encode("utf-8", "surrogatepass")).hexdigest()
