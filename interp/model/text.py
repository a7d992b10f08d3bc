"""Strings to tokens and back, as a TransformerLens user expects it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from interp.errors import InputError
from interp.model.config import TransformerConfig
from interp.tokenizer import Tokenizer


class Text(nn.Module):
    """The part of a model that reads and writes text."""

    cfg: TransformerConfig
    tokenizer: Tokenizer | None
    embed: nn.Embedding

    def require_tokenizer(self) -> Tokenizer:
        """The tokenizer.

        Raises:
            InputError: the model has none.
        """
        if self.tokenizer is None:
            raise InputError(
                "This model has no tokenizer, so it takes token ids, not text. Give it one: "
                "`model.tokenizer = Tokenizer.from_folder(folder)`."
            )
        return self.tokenizer

    def to_tokens(
        self,
        input: str | list[str],
        prepend_bos: bool | None = None,
        padding_side: str | None = None,
        move_to_device: bool = True,
        truncate: bool = True,
    ) -> Tensor:
        """Token ids of one text or several, [batch, pos], padded to the longest.

        Args:
            prepend_bos: begin with the begin-of-text token; by default as `cfg.default_prepend_bos`
                says. Encoders and encoder-decoders use the tokenizer's own template instead.
            padding_side: `right` or `left`; by default the tokenizer's. Give several texts to
                `forward` as text, or use `to_tokens_and_mask`, to have padding masked.
            truncate: cut texts to the context; otherwise a longer one is refused by `forward`.
        """
        tokens, _ = self.to_tokens_and_mask(
            input, prepend_bos=prepend_bos, padding_side=padding_side, truncate=truncate
        )
        return tokens if move_to_device else tokens.cpu()

    def to_tokens_and_mask(
        self,
        input: str | list[str],
        *,
        prepend_bos: bool | None = None,
        padding_side: str | None = None,
        truncate: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Token ids [batch, pos], and the mask [batch, pos] of the real ones if any is padding.

        Raises:
            InputError: no tokenizer, no text, or a text without a token.
        """
        texts = [input] if isinstance(input, str) else list(input)
        if not texts:
            raise InputError("There is no text to encode: the list is empty.")
        rows = [self._encode_text(text, prepend_bos) for text in texts]
        if truncate:
            rows = [row[: self.cfg.n_ctx] for row in rows]
        for text, row in zip(texts, rows, strict=True):
            if not row:
                raise InputError(
                    f"The text {text!r} has no token; give at least one character, or prepend_bos."
                )
        return self._pad(rows, padding_side)

    def decoder_tokens_and_mask(self, input: str | list[str]) -> tuple[Tensor, Tensor | None]:
        """Target texts of an encoder-decoder, behind its start token."""
        start = self.cfg.decoder_start_token_id
        if start is None:
            raise InputError("The configuration names no decoder_start_token_id.")
        tokenizer = self.require_tokenizer()
        texts = [input] if isinstance(input, str) else list(input)
        rows = [[start, *tokenizer.encode(text, add_special_tokens=True)] for text in texts]
        return self._pad(rows, "right")

    def _encode_text(self, text: str, prepend_bos: bool | None) -> list[int]:
        tokenizer = self.require_tokenizer()
        if self.cfg.shape != "decoder" and prepend_bos is not False:
            return tokenizer.encode(text, add_special_tokens=True)
        ids = tokenizer.encode(text)
        if prepend_bos is None:
            prepend_bos = self.cfg.default_prepend_bos
        bos = tokenizer.bos_token_id
        if prepend_bos and self.cfg.shape == "decoder" and bos is not None:
            return [bos, *ids]
        return ids

    def _pad(self, rows: list[list[int]], padding_side: str | None) -> tuple[Tensor, Tensor | None]:
        tokenizer = self.require_tokenizer()
        side = padding_side or tokenizer.padding_side
        if side not in ("right", "left"):
            raise InputError(f"padding_side is {side!r}; it must be right or left.")
        length = max(len(row) for row in rows)
        pad = tokenizer.pad_token_id
        pad = (tokenizer.eos_token_id or 0) if pad is None else pad
        tokens = torch.full((len(rows), length), pad, dtype=torch.long)
        mask = torch.zeros(len(rows), length, dtype=torch.bool)
        for i, row in enumerate(rows):
            where = slice(0, len(row)) if side == "right" else slice(length - len(row), length)
            tokens[i, where] = torch.tensor(row)
            mask[i, where] = True
        device = self.embed.weight.device
        return tokens.to(device), None if bool(mask.all()) else mask.to(device)

    def to_string(self, tokens: Any) -> Any:
        """Text of ids: a string for [pos] (or one id), a list of strings for [batch, pos]."""
        ids = torch.as_tensor(tokens)
        if ids.ndim == 2:
            return [self.to_string(row) for row in ids]
        return self.require_tokenizer().decode(ids.reshape(-1).tolist())

    def to_str_tokens(self, input: Any, prepend_bos: bool | None = None) -> list[Any]:
        """The text of each token, one by one; lists of them for several texts.

        A token may hold a part of a character only; that part is shown as the replacement sign.
        """
        tokenizer = self.require_tokenizer()
        if isinstance(input, list) and input and isinstance(input[0], str):
            return [self.to_str_tokens(text, prepend_bos) for text in input]
        if isinstance(input, str):
            ids = self._encode_text(input, prepend_bos)
        else:
            tensor = torch.as_tensor(input)
            if tensor.ndim == 2 and tensor.shape[0] > 1:
                return [self.to_str_tokens(row) for row in tensor]
            ids = tensor.reshape(-1).tolist()
        return [tokenizer.decode([i]) for i in ids]

    def to_single_token(self, text: str) -> int:
        """The id of a text that is one token.

        Raises:
            InputError: it is none or several.
        """
        ids = self.require_tokenizer().encode(text)
        if len(ids) != 1:
            pieces = [self.require_tokenizer().decode([i]) for i in ids]
            raise InputError(f"{text!r} is {len(ids)} tokens, {pieces}, not one.")
        return ids[0]

    def to_single_str_token(self, token: int) -> str:
        """The text of one id."""
        return self.require_tokenizer().decode([int(token)])

    def get_token_position(
        self,
        single_token: str | int,
        input: Any,
        mode: str = "first",
        prepend_bos: bool | None = None,
    ) -> int:
        """Where a token stands in a text (or ids), at its `first` or `last` occurrence.

        Raises:
            InputError: it does not occur.
        """
        if mode not in ("first", "last"):
            raise InputError(f"mode is {mode!r}; it must be first or last.")
        token = (
            self.to_single_token(single_token) if isinstance(single_token, str) else single_token
        )
        tokens = self.to_tokens(input, prepend_bos) if isinstance(input, str) else input
        found = (torch.as_tensor(tokens).reshape(-1) == token).nonzero().reshape(-1)
        if not len(found):
            raise InputError(f"The token {single_token!r} does not occur in the input.")
        return int(found[0 if mode == "first" else -1])
