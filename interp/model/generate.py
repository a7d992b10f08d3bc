"""Generation: a model continues texts, all at once or piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from interp.errors import InputError
from interp.model.beam import beam_search
from interp.model.continuation import check_logits
from interp.model.core import Transformer
from interp.model.kv_cache import KeyValueCache
from interp.model.order import Order
from interp.model.sampling import uniforms
from interp.model.tap import NO_TAP, Tap
from interp.model.written import Written

Texts = str | list[str]


class Generation(Transformer):
    """The part of a model that writes."""

    def generate(
        self,
        input: Texts | Tensor = "",
        max_new_tokens: int = 10,
        *,
        do_sample: bool = True,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        repetition_penalty: float = 1.0,
        freq_penalty: float = 0.0,
        suppress_tokens: Sequence[int] | None = None,
        num_beams: int = 1,
        length_penalty: float = 1.0,
        stop: str | Sequence[str] | None = None,
        stop_at_eos: bool = True,
        eos_token_id: int | Sequence[int] | None = None,
        seed: int | None = None,
        use_past_kv_cache: bool = True,
        prepend_bos: bool | None = None,
        padding_side: str | None = None,
        attention_mask: Tensor | None = None,
        return_type: str | None = "input",
        tap: Tap = NO_TAP,
        verbose: bool = False,
    ) -> Any:
        """Continues texts; of an encoder-decoder, writes the target of a source.

        A row ends with an end token, at a stop string, after `max_new_tokens`, or where its text
        fills the model's context; it is filled with padding while others go on. Rows of unequal
        length are padded and masked, so each gets what it would get alone. Dropout is off, no
        gradient is kept, and the model is left as it was.

        Taps and the hooks of contexts around the call act on every forward: first on the prompts,
        then, with the key-value cache, on the newest position alone. The final norm and what
        follows it see the last position only.

        Args:
            input: text, several texts, or ids [batch, pos] (or [pos]).
            max_new_tokens: the most tokens that are added.
            do_sample: draw tokens (the default); False takes the most likely one.
            temperature: logits are divided by it; 0 takes the most likely token.
            top_k: draw from the k most likely tokens only.
            top_p: draw from the fewest most likely tokens that have this probability together.
            repetition_penalty: CTRL's; above 1 discourages tokens that occur in the text.
            freq_penalty: subtracted from a token's logit for each time it occurs; when drawing,
                after the temperature, as in TransformerLens.
            suppress_tokens: ids that are never written, beside those of the configuration.
            num_beams: above 1, beam search (see `interp.model.beam`): the best text found is
                returned and nothing is drawn, so that temperature, top_k and top_p are refused.
            length_penalty: beams are ranked by sum(log p) / length**length_penalty.
            stop: a text, or several, that ends a row, even if it straddles tokens. Returned text
                ends before it; returned tokens include those that complete it.
            stop_at_eos: end a row at an end token.
            eos_token_id: the end token, or several; by default the model's or the tokenizer's.
            seed: of the draws, which depend on it and a row's index only. By default torch's own
                generator decides.
            use_past_kv_cache: False computes all positions again at each step.
            prepend_bos: as for `to_tokens`.
            attention_mask: [batch, pos] for ids, 1 for real tokens; padding may be anywhere.
            padding_side: `left` (the default) lines the prompts up at their ends in returned
                tokens, `right` at their beginnings; what is written follows each prompt directly.
            return_type: `str`, `tokens`, or `input`: like the input.
            tap: what observes or edits the forwards.
            verbose: show a progress bar.

        Returns:
            Text with the prompt (of an encoder-decoder, the target alone) and without special
            tokens; or ids [batch, pos], the prompts (or the start token) first.

        Raises:
            InputError: an option out of range; a prompt that is empty, or that leaves no room in
                the context.
            UnsupportedModelError: the model does not predict next tokens.
            InterpError: logits that are not finite.
            Finished: a tap has ended the forward (`Record(stop=True)`); nothing is returned then.
        """
        if not isinstance(num_beams, int) or num_beams < 1:
            raise InputError(f"num_beams is {num_beams!r}; it must be a whole number from 1 on.")
        if padding_side not in (None, "left", "right"):
            raise InputError(f"padding_side is {padding_side!r}; it must be right or left.")
        as_text = _wants_text(self, input, return_type)
        order = Order.read(
            self,
            input,
            max_new_tokens,
            do_sample=do_sample,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            repetition_penalty=repetition_penalty,
            freq_penalty=freq_penalty,
            suppress_tokens=suppress_tokens,
            stop=stop,
            stop_at_eos=stop_at_eos,
            eos_token_id=eos_token_id,
            seed=seed,
            use_past_kv_cache=use_past_kv_cache,
            prepend_bos=prepend_bos,
            attention_mask=attention_mask,
            tap=tap,
        )
        with _progress(order.n_steps if verbose else None) as bar:
            if num_beams > 1:
                new = _search(order, num_beams, length_penalty, bar.update)
            else:
                new = _write(order, bar.update)
        if not as_text:
            return _aligned(order, new, padding_side or "left")
        texts = order.finished(new)
        return texts if isinstance(input, list) or len(texts) > 1 else texts[0]

    def generate_stream(
        self,
        input: Texts | Tensor = "",
        max_new_tokens: int = 10,
        *,
        return_type: str | None = "input",
        **options: Any,
    ) -> Iterator[Any]:
        """What `generate` writes, piece by piece, as it is written.

        Args:
            input, max_new_tokens, **options: as for `generate`; there is no beam search.
            return_type: as for `generate`.

        Yields:
            For one text, pieces of its continuation as strings that are not empty: joined, what
            `generate` adds to the prompt. A piece holds whole characters, and nothing that may
            turn out to begin a stop string. For several texts, lists with one piece a row, which
            may be empty. For tokens, ids [batch] of each step, with padding for ended rows.

        Raises:
            As `generate`, at the call, before anything is written.
        """
        for name in ("num_beams", "length_penalty", "padding_side", "verbose"):
            if name in options:
                raise InputError(f"generate_stream does not take {name}; use generate for it.")
        as_text = _wants_text(self, input, return_type)
        order = Order.read(self, input, max_new_tokens, **options)
        if as_text:
            return _stream_text(order, single=not isinstance(input, list) and len(order.room) == 1)
        return _stream_tokens(order)

    def new_kv_cache(self, n_max: int | None = None) -> KeyValueCache:
        """An empty cache for `forward(past_kv_cache=)`, by default as long as the context."""
        return KeyValueCache.for_model(self.cfg, n_max)


@dataclass(frozen=True)
class _Step:
    """The newest token of each row, None for rows that have ended before, and who has ended now."""

    tokens: list[int | None]
    ended: list[bool]


def _steps(order: Order, written: list[Written] | None) -> Iterator[_Step]:
    """Greedy search or sampling, one token a row at a time."""
    if order.n_steps == 0:
        return
    continuation = order.continuation()
    sampling, counts = order.sampling, order.counts()
    device = order.prompt.tokens.device
    chances = None
    if not sampling.greedy:
        chances = uniforms(order.seed, len(order.room), order.n_steps).to(device)
    eos = set(order.eos)
    open = [True] * len(order.room)
    logits = continuation.start()
    for n in range(order.n_steps):
        check_logits(logits, open)
        with torch.no_grad():
            chosen = sampling.choose(logits, counts, None if chances is None else chances[:, n])
        ids = chosen.tolist()
        step = _Step([i if is_open else None for i, is_open in zip(ids, open, strict=True)], [])
        for row, token in enumerate(step.tokens):
            ends = token is None or token in eos or n + 1 >= order.room[row]
            if written is not None and token is not None and token not in eos:
                written[row].push(token)
                ends |= written[row].stopped
            step.ended.append(ends)
        yield step
        if all(step.ended):
            return
        open = [not ended for ended in step.ended]
        if counts is not None:
            counts.scatter_add_(1, chosen[:, None], torch.ones_like(chosen[:, None]))
        if not all(open):
            chosen = chosen.masked_fill(torch.tensor(step.ended, device=device), order.pad)
        logits = continuation.step(chosen, None if all(open) else open)


def _write(order: Order, on_step: Callable[[], object]) -> list[list[int]]:
    """The new tokens of each row, one step after the other."""
    new: list[list[int]] = [[] for _ in order.room]
    for step in _steps(order, order.texts() if order.stops else None):
        on_step()
        for row, token in zip(new, step.tokens, strict=True):
            if token is not None:
                row.append(token)
    return new


def _search(
    order: Order, num_beams: int, length_penalty: float, on_step: Callable[[], object]
) -> list[list[int]]:
    """The new tokens of each row, by beam search."""
    sampling = order.sampling
    given = sampling.top_k is not None or sampling.top_p is not None
    if given or sampling.temperature not in (0, 1):
        raise InputError(
            f"num_beams is {num_beams}, and beam search draws nothing; leave out temperature, "
            "top_k and top_p, or set num_beams=1."
        )
    if isinstance(length_penalty, bool) or not isinstance(length_penalty, (int, float)):
        raise InputError(f"length_penalty is {length_penalty!r}; it must be a number.")
    if order.n_steps == 0:
        return [[] for _ in order.room]
    device = order.prompt.tokens.device
    with torch.no_grad():
        found = beam_search(
            order.continuation(),
            num_beams,
            length_penalty,
            order.room,
            torch.tensor(order.eos, dtype=torch.long, device=device),
            sampling,
            order.counts(),
            order.texts() if order.stops else None,
            on_step,
        )
    return found.tokens


def _stream_text(order: Order, *, single: bool) -> Generator[str | list[str], None, None]:
    written = order.texts()
    for step in _steps(order, written):
        for text, ended in zip(written, step.ended, strict=True):
            if ended:
                text.close()
        pieces = [text.take() for text in written]
        if any(pieces):
            yield pieces[0] if single else pieces


def _stream_tokens(order: Order) -> Generator[Tensor, None, None]:
    for step in _steps(order, order.texts() if order.stops else None):
        ids = [order.pad if token is None else token for token in step.tokens]
        yield torch.tensor(ids, device=order.prompt.tokens.device)


def _wants_text(model: Transformer, input: Any, return_type: str | None) -> bool:
    if return_type not in ("input", "str", "tokens"):
        raise InputError(f"return_type is {return_type!r}; it must be 'input', 'str' or 'tokens'.")
    as_text = isinstance(input, (str, list)) if return_type == "input" else return_type == "str"
    if as_text:
        model.require_tokenizer()
    return as_text


def _aligned(order: Order, new: list[list[int]], side: str) -> Tensor:
    """[batch, pos]: each prompt, its continuation, and padding on both sides."""
    prompts, device = order.prompt.rows(), order.prompt.tokens.device
    before = [0 if side == "right" else max(map(len, prompts)) - len(row) for row in prompts]
    rows = [
        [order.pad] * n + prompt + row for n, prompt, row in zip(before, prompts, new, strict=True)
    ]
    width = max(map(len, rows))
    return torch.tensor([row + [order.pad] * (width - len(row)) for row in rows], device=device)


class _NoBar:
    def update(self) -> None:
        pass


def _progress(total: int | None) -> Any:
    if total is None:
        return nullcontext(_NoBar())
    from tqdm import tqdm

    return tqdm(total=total, unit="token")
