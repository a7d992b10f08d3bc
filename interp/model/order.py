"""What a model is asked to write: the options of generation, checked and completed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from interp.errors import InputError, UnsupportedModelError
from interp.model.continuation import Continuation, Prompt
from interp.model.core import Transformer
from interp.model.inputs import read_inputs
from interp.model.sampling import Sampling
from interp.model.tap import NO_TAP, Tap
from interp.model.written import Written, cut, read_stops


@dataclass(frozen=True)
class Order:
    """What is to be written: all of `generate`'s options, checked.

    Attributes:
        prompt: what is to be continued.
        room: the most tokens for each row.
        eos: tokens that end a row; may be empty.
        pad: fills rows that have ended.
        stops: texts that end a row.
    """

    model: Transformer
    prompt: Prompt
    room: list[int]
    eos: list[int]
    pad: int
    stops: tuple[str, ...]
    sampling: Sampling
    seed: int | None
    use_cache: bool
    tap: Tap

    @classmethod
    def read(
        cls,
        model: Transformer,
        input: str | list[str] | Tensor,
        max_new_tokens: int,
        *,
        do_sample: bool = True,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        repetition_penalty: float = 1.0,
        freq_penalty: float = 0.0,
        suppress_tokens: Sequence[int] | None = None,
        stop: str | Sequence[str] | None = None,
        stop_at_eos: bool = True,
        eos_token_id: int | Sequence[int] | None = None,
        seed: int | None = None,
        use_past_kv_cache: bool = True,
        prepend_bos: bool | None = None,
        attention_mask: Tensor | None = None,
        tap: Tap = NO_TAP,
    ) -> Order:
        """Checks the options; see `generate`."""
        _check_model(model)
        if not isinstance(max_new_tokens, int) or max_new_tokens < 0:
            raise InputError(
                f"max_new_tokens is {max_new_tokens!r}; it must be a whole number from 0 on."
            )
        if seed is not None and not isinstance(seed, int):
            raise InputError(f"seed is {seed!r}; it must be a whole number, or None.")
        sampling = Sampling(
            do_sample,
            temperature,
            top_k,
            top_p,
            repetition_penalty,
            freq_penalty,
            [
                *model.cfg.suppress_tokens,
                *_ids("suppress_tokens", suppress_tokens, model.cfg.d_vocab_out),
            ],
        )
        if len(set(sampling.suppress_tokens)) == model.cfg.d_vocab_out:
            raise InputError(
                "suppress_tokens holds the whole vocabulary; nothing is left to write."
            )
        end = _eos(model, eos_token_id) if stop_at_eos else None
        eos = _ids("eos_token_id", end, model.cfg.d_vocab)
        stops = read_stops(stop)
        if stops:
            model.require_tokenizer()
        if attention_mask is not None and not isinstance(input, Tensor):
            raise InputError("attention_mask goes with token ids; texts are masked by themselves.")
        batch = read_inputs(model, input, attention_mask=attention_mask, prepend_bos=prepend_bos)
        prompt = Prompt.of(model, batch)
        room = [min(max_new_tokens, model.cfg.n_ctx - length) for length in prompt.lengths]
        pad = _pad(model, eos)
        return cls(
            model, prompt, room, eos, pad, stops, sampling, seed, bool(use_past_kv_cache), tap
        )

    @property
    def n_steps(self) -> int:
        return max(self.room)

    def continuation(self) -> Continuation:
        return Continuation(
            self.model, self.prompt, self.n_steps, self.tap, use_cache=self.use_cache
        )

    def counts(self) -> Tensor | None:
        """[batch, d_vocab], how often each token occurs in the prompts, if it matters."""
        if not self.sampling.counts_tokens:
            return None
        tokens = self.prompt.tokens
        real = torch.ones_like(tokens) if self.prompt.mask is None else self.prompt.mask.long()
        counts = tokens.new_zeros(len(tokens), self.model.cfg.d_vocab)
        return counts.scatter_add_(1, tokens, real)[:, : self.model.cfg.d_vocab_out]

    def texts(self) -> list[Written]:
        """An empty continuation of each row."""
        tokenizer = self.model.require_tokenizer()
        return [Written(tokenizer, row, self.stops) for row in self._before()]

    def finished(self, new: list[list[int]]) -> list[str]:
        """The text of each row with its new tokens, without end token and stop string."""
        tokenizer = self.model.require_tokenizer()
        texts = []
        for before, row in zip(self._before(), new, strict=True):
            ids = row[:-1] if row and row[-1] in self.eos else row
            start = len(tokenizer.decode(before, skip_special_tokens=True)) if self.stops else 0
            whole = tokenizer.decode([*before, *ids], skip_special_tokens=True)
            texts.append(cut(whole, start, self.stops))
        return texts

    def _before(self) -> list[list[int]]:
        """The tokens of each row that a returned text begins with."""
        rows = self.prompt.rows()
        return [[] for _ in rows] if self.model.cfg.shape == "encoder_decoder" else rows


def _check_model(model: Transformer) -> None:
    cfg = model.cfg
    if cfg.shape == "encoder" or cfg.head != "lm":
        raise UnsupportedModelError(
            f"This model ({cfg.shape}, head {cfg.head!r}) does not predict next tokens, so it "
            "cannot write. Generation needs a decoder or encoder-decoder with the head 'lm'."
        )
    if cfg.d_vocab_out > cfg.d_vocab:
        raise UnsupportedModelError(
            f"This model has {cfg.d_vocab_out} outputs and reads {cfg.d_vocab} tokens; it cannot "
            "read all that it may write, so it cannot generate."
        )


def _eos(model: Transformer, given: int | Sequence[int] | None) -> int | Sequence[int] | None:
    """The end tokens: as given, or the model's own, or its tokenizer's."""
    if given is not None:
        return given
    if model.cfg.eos_token_id is not None:
        return model.cfg.eos_token_id
    return None if model.tokenizer is None else model.tokenizer.eos_token_id


def _ids(what: str, given: int | Sequence[int] | None, d_vocab: int) -> list[int]:
    """Token ids of an option: one, several or none."""
    ids = [] if given is None else [given] if isinstance(given, int) else list(given)
    for i in ids:
        if isinstance(i, bool) or not isinstance(i, int) or not 0 <= i < d_vocab:
            raise InputError(f"{what} has {i!r}; the vocabulary has the ids 0 to {d_vocab - 1}.")
    return ids


def _pad(model: Transformer, eos: Sequence[int]) -> int:
    known = None if model.tokenizer is None else model.tokenizer.pad_token_id
    candidates = [model.cfg.pad_token_id, known, *eos, 0]
    return next(i for i in candidates if i is not None)
