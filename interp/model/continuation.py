"""Prompts that grow: the logits of the next token, with or without a key-value cache."""

from __future__ import annotations

import copy
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from interp.errors import CacheError, InputError, InterpError
from interp.model.ambient import ambient_tap
from interp.model.core import Transformer
from interp.model.inputs import Inputs
from interp.model.kv_cache import KeyValueCache
from interp.model.tap import Tap


@dataclass(frozen=True)
class Prompt:
    """What is to be continued, one text a row, padded on the left.

    Attributes:
        batch: the checked input.
        tokens: [batch, pos], the side that grows; of an encoder-decoder, the start token.
        mask: [batch, pos], True for real tokens; None if all are.
        lengths: number of real tokens of each row.
    """

    batch: Inputs
    tokens: Tensor
    mask: Tensor | None
    lengths: list[int]

    @classmethod
    def of(cls, model: Transformer, batch: Inputs) -> Prompt:
        """Aligns the rows at their ends.

        Raises:
            InputError: a row already fills the context.
        """
        tokens, mask = batch.of(model.last_stack)
        assert tokens is not None
        if mask is not None:
            # A stable sort moves padding to the front and keeps the order of the rest.
            order = mask.long().argsort(dim=1, stable=True)
            tokens, mask = tokens.gather(1, order), mask.gather(1, order)
            width = int(mask.sum(1).max())
            tokens, mask = tokens[:, -width:], mask[:, -width:]
        lengths = [tokens.shape[1]] * tokens.shape[0] if mask is None else mask.sum(1).tolist()
        if mask is not None and min(lengths) == tokens.shape[1]:
            mask = None
        if max(lengths) >= model.cfg.n_ctx:
            raise InputError(
                f"The prompt has {max(lengths)} tokens and fills the model's context of "
                f"{model.cfg.n_ctx}; nothing can be written behind it. Shorten it."
            )
        return cls(batch, tokens, mask, lengths)

    def rows(self) -> list[list[int]]:
        """The real tokens of each row."""
        return [
            row[len(row) - length :]
            for row, length in zip(self.tokens.tolist(), self.lengths, strict=True)
        ]


class Continuation:
    """Logits of the next token of each row, step by step.

    With a cache a step runs the newest token only. The head (final norm and unembedding) reads the
    last position only, at the prompt too.

    Args:
        n_steps: the most tokens that can be added.
        tap: sees every forward; so do the hooks of contexts around the calls.
    """

    def __init__(
        self, model: Transformer, prompt: Prompt, n_steps: int, tap: Tap, *, use_cache: bool
    ):
        self.model = model
        self.tap = tap
        self.prompt = prompt
        batch, width = prompt.tokens.shape
        self.cache = (
            KeyValueCache.for_model(model.cfg, width + max(n_steps - 1, 0)) if use_cache else None
        )
        self.source = prompt.batch
        if not use_cache:
            tokens, full = prompt.tokens, (batch, width + n_steps)
            self.tokens = tokens.new_zeros(full)
            self.mask = torch.ones(full, dtype=torch.bool, device=tokens.device)
            self.tokens[:, :width] = tokens
            if prompt.mask is not None:
                self.mask[:, :width] = prompt.mask
            self.width = width

    def start(self) -> Tensor:
        """Logits after the prompts, [batch, d_vocab]."""
        return self._logits(self.prompt.tokens, self.prompt.mask)

    def step(self, tokens: Tensor, open: list[bool] | None = None) -> Tensor:
        """Logits after one more token a row, [batch, d_vocab].

        Args:
            tokens: [batch].
            open: False for rows that have ended: their token counts as padding, so that they need
                no place in the context. None if all are open.
        """
        mask = None if open is None else torch.tensor(open, device=tokens.device)[:, None]
        if self.cache is not None:
            return self._logits(tokens[:, None], mask)
        self.tokens[:, self.width] = tokens
        if mask is not None:
            self.mask[:, self.width] = mask[:, 0]
        self.width += 1
        tokens, mask = self.tokens[:, : self.width], self.mask[:, : self.width]
        return self._logits(tokens, None if bool(mask.all()) else mask)

    def reorder(self, rows: Tensor, *, same_source: bool = False) -> None:
        """Row i goes on as what row `rows[i]` was; see `KeyValueCache.reorder`."""
        if self.cache is not None:
            self.cache.reorder(rows, same_source=same_source)
        else:
            self.tokens, self.mask = self.tokens[rows], self.mask[rows]
        if not same_source:
            tokens, mask = self.source.tokens, self.source.mask
            self.source = self.source._replace(
                tokens=None if tokens is None else tokens[rows],
                mask=None if mask is None else mask[rows],
            )

    def fork(self, rows: Tensor) -> Continuation:
        """A continuation of its own that goes on from rows of this one, which stays as it is.

        Args:
            rows: [new batch]; may repeat rows.
        """
        if self.cache is None:
            raise CacheError("Only a continuation with a key-value cache can be forked.")
        new = copy.copy(self)
        new.cache = self.cache.fork(rows)  # an encoder-decoder's source is in it from here on
        return new

    def _logits(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        model = self.model
        first = 0 if self.cache is None else self.cache.next_position()
        if model.cfg.shape == "encoder_decoder":
            batch = self.source._replace(decoder_tokens=tokens, decoder_mask=mask, first=first)
        else:
            batch = Inputs(tokens, mask, first=first)
        tap = ambient_tap(model, self.tap)
        n_blocks = len(model.stack(model.last_stack).blocks)
        with torch.no_grad(), evaluating(model):
            resid = model.run(batch, tap, past=self.cache, stop=n_blocks)
            return model.finish(resid[:, -1:], tap=tap)[:, 0]


def check_logits(logits: Tensor, open: list[bool] | None = None) -> None:
    """Refuses logits from which no token can be chosen.

    Args:
        open: False for rows that no longer matter.

    Raises:
        InterpError: NaN, +inf, or nothing but -inf in an open row.
    """
    good = logits.amax(-1).isfinite().tolist()  # NaN is larger than anything here
    bad = [i for i, fine in enumerate(good) if not fine and (open is None or open[i])]
    if bad:
        raise InterpError(
            f"The model's logits for the next token are not finite, in row {bad[0]} of the batch; "
            "no token can be chosen. Look for NaN or infinity in the weights, in the hooks, or for "
            "an overflow of a half-precision type."
        )


@contextmanager
def evaluating(model: Transformer) -> Generator[None, None, None]:
    """Without dropout, whatever mode each part of the model is in; the modes stay as they were."""
    training = [m for m in model.modules() if m.training] if model.cfg.dropout else []
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
