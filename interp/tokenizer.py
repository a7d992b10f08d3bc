"""Text to token ids and back, through the `tokenizers` library or a Hugging Face tokenizer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from interp.errors import InputError, LoadError
from interp.untrusted import fits, read_json

ROLES = ("bos", "eos", "pad", "unk", "mask", "cls", "sep")


class Tokenizer:
    """Encodes and decodes; knows which tokens are special.

    Args:
        backend: a `tokenizers.Tokenizer`, or a slow Hugging Face tokenizer (one with
            `convert_tokens_to_ids`), which is wrapped.
        special: role (`bos`, `eos`, `pad`, `unk`, `mask`, `cls`, `sep`) -> token.
        padding_side: where padding goes in a batch, `right` or `left`.
    """

    def __init__(self, backend: Any, special: dict[str, str | None], padding_side: str = "right"):
        self.backend = backend
        self.slow = not hasattr(backend, "token_to_id")
        self.special = {role: token for role, token in special.items() if token}
        self.padding_side = padding_side

    @classmethod
    def from_folder(cls, folder: Path) -> Tokenizer:
        """Reads `tokenizer.json` and its `tokenizer_config.json`, if there is one.

        Raises:
            LoadError: the file is missing or broken.
        """
        import tokenizers

        path = folder / "tokenizer.json"
        if not path.is_file():
            raise LoadError(f"{folder} has no tokenizer.json; text cannot be encoded without it.")
        try:
            backend = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception for a broken file
            raise LoadError(f"The tokenizer in {folder} cannot be read: {error}") from error
        backend.no_padding()
        backend.no_truncation()
        path = folder / "tokenizer_config.json"
        config = read_json(path) if path.is_file() else {}
        special = {}
        for role in ROLES:
            token = config.get(f"{role}_token")
            special[role] = token.get("content") if isinstance(token, dict) else token
        side = config.get("padding_side", "right")
        whole = fits(special, dict[str, str | None]) and all(
            _half(t or "") is None for t in special.values()
        )
        if not whole or side not in ("right", "left"):
            raise LoadError(f"{path} names special tokens that are no text, or no side to pad.")
        return cls(backend, special, side)

    @classmethod
    def from_hf(cls, tokenizer: Any) -> Tokenizer:
        """From a tokenizer of the transformers library."""
        special = {role: getattr(tokenizer, f"{role}_token", None) for role in ROLES}
        backend = tokenizer
        if getattr(tokenizer, "is_fast", False):
            import tokenizers

            # A copy of its own: padding and truncation set elsewhere must not reach it.
            backend = tokenizers.Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
            backend.no_padding()
            backend.no_truncation()
        return cls(backend, special, tokenizer.padding_side)

    def save(self, folder: Path) -> None:
        """Writes files that this class and the transformers library open."""
        if self.slow:
            self.backend.save_pretrained(str(folder))
            return
        self.backend.save(str(folder / "tokenizer.json"))
        config = {f"{role}_token": token for role, token in self.special.items()}
        config |= {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "padding_side": self.padding_side,
        }
        text = json.dumps(config, indent=2, ensure_ascii=False)
        (folder / "tokenizer_config.json").write_text(text + "\n", "utf-8")

    def encode(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
        """Token ids of a text; with `add_special_tokens`, in the template of the tokenizer."""
        if not isinstance(text, str):
            raise InputError(f"Only text can be encoded, not {type(text).__name__}.")
        with _encodable(text):
            encoded = self.backend.encode(text, add_special_tokens=add_special_tokens)
        return list(encoded if self.slow else encoded.ids)

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Where in the text each token of `encode(text)` stands, as character ranges."""
        if self.slow:
            raise InputError("This tokenizer does not tell where its tokens stand in the text.")
        with _encodable(text):
            return list(self.backend.encode(text, add_special_tokens=False).offsets)

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """The text of token ids."""
        out = self.backend.decode(list(ids), skip_special_tokens=skip_special_tokens)
        return str(out)

    def token_id(self, token: str) -> int | None:
        """Id of a token as it is written in the vocabulary; None if there is none."""
        if self.slow:
            found = self.backend.convert_tokens_to_ids(token)
            known = found is not None and self.backend.convert_ids_to_tokens(found) == token
            return int(found) if known else None
        found = self.backend.token_to_id(token)
        return None if found is None else int(found)

    def _role(self, role: str) -> int | None:
        return self.token_id(self.special[role]) if role in self.special else None

    @property
    def bos_token_id(self) -> int | None:
        return self._role("bos")

    @property
    def eos_token_id(self) -> int | None:
        return self._role("eos")

    @property
    def pad_token_id(self) -> int | None:
        return self._role("pad")

    @property
    def mask_token_id(self) -> int | None:
        return self._role("mask")

    @property
    def special_ids(self) -> set[int]:
        """Ids of all special tokens."""
        return {i for role in self.special if (i := self._role(role)) is not None}

    @property
    def vocab_size(self) -> int:
        """Number of tokens, added ones included."""
        return len(self.backend) if self.slow else int(self.backend.get_vocab_size())

    def __len__(self) -> int:
        return self.vocab_size


@contextmanager
def _encodable(text: str) -> Iterator[None]:
    """Says why the library cannot encode a text."""
    try:
        yield
    except Exception as error:  # the library raises bare ones, such as for a missing [UNK]
        at = _half(text)
        if at is None and type(error) is Exception:
            raise InputError(f"The tokenizer cannot encode this text: {error}.") from error
        if at is None:
            raise
        raise InputError(
            f"The text has half a character (a lone surrogate) at {at}, which no encoding can "
            "hold. Replace it."
        ) from error


def _half(text: str) -> int | None:
    """Where a text has half a character; None if it is whole."""
    return next((i for i, letter in enumerate(text) if "\ud800" <= letter <= "\udfff"), None)
