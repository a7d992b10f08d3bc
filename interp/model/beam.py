"""Beam search (Sutskever et al. 2014, arXiv 1409.3215) with a length penalty.

The search is that of the transformers library with `early_stopping=False`, so that translations
agree with it token for token: a hypothesis of n tokens scores sum(log p) / n**length_penalty
(Wu et al. 2016, arXiv 1609.08144, without its constants), it ends among the `num_beams` best
candidates of its step only, and a row ends when it has `num_beams` ended hypotheses and the best
open one, scored at its present length, is no better than the worst of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from interp.model.continuation import Continuation, check_logits
from interp.model.sampling import Sampling
from interp.model.written import Written


@dataclass(frozen=True)
class Hypotheses:
    """The best continuation of each row.

    Attributes:
        tokens: one list a row, with the token that ended it.
        scores: [batch], sum(log p) / length**length_penalty.
    """

    tokens: list[list[int]]
    scores: Tensor


class _Ended:
    """The best ended hypotheses of each row, best first."""

    def __init__(self, batch: int, num_beams: int, n_steps: int, device: torch.device):
        self.scores = torch.full((batch, num_beams), -torch.inf, device=device)
        self.tokens = torch.zeros(batch, num_beams, n_steps, dtype=torch.long, device=device)
        self.lengths = torch.zeros(batch, num_beams, dtype=torch.long, device=device)

    def add(self, scores: Tensor, tokens: Tensor, length: int) -> None:
        """Candidates [batch, candidate] with tokens [batch, candidate, n_steps]; -inf for none."""
        scores = torch.cat([self.scores, scores], 1)
        tokens = torch.cat([self.tokens, tokens], 1)
        new = torch.full_like(scores[:, self.scores.shape[1] :], length, dtype=torch.long)
        lengths = torch.cat([self.lengths, new], 1)
        self.scores, best = scores.topk(self.scores.shape[1], 1)
        self.tokens = _pick(tokens, best)
        self.lengths = lengths.gather(1, best)


def beam_search(
    continuation: Continuation,
    num_beams: int,
    length_penalty: float,
    room: Sequence[int],
    eos: Tensor,
    sampling: Sampling,
    counts: Tensor | None = None,
    written: Sequence[Written] | None = None,
    on_step: Callable[[], object] = lambda: None,
) -> Hypotheses:
    """Searches for the best continuation of each row.

    Args:
        room: the most tokens for each row, at least 1.
        eos: [n], tokens that end a hypothesis; may be empty.
        sampling: its penalties and suppressed tokens, here on log-probabilities as transformers
            does it; nothing is drawn.
        counts: [batch, d_vocab], how often tokens occurred in the prompt, if penalties need them.
        written: the texts of the rows, if stop strings end hypotheses.
        on_step: called after each step.

    Raises:
        InterpError: logits that are not finite.
    """
    logits = continuation.start()
    batch, n_steps, device = logits.shape[0], max(room), logits.device
    first = torch.arange(batch, device=device)[:, None] * num_beams
    rows = torch.arange(batch, device=device).repeat_interleave(num_beams)
    continuation.reorder(rows)
    logits = logits[rows]
    counts = None if counts is None else counts[rows]
    texts = None if written is None else [written[i].fork() for i in rows.tolist()]
    # At first all beams of a row are alike, so only one of them counts.
    scores = torch.full((batch, num_beams), -torch.inf, device=device)
    scores[:, 0] = 0.0
    tokens = torch.zeros(batch, num_beams, n_steps, dtype=torch.long, device=device)
    ended = _Ended(batch, num_beams, n_steps, device)
    last = torch.tensor(room, device=device)
    improvable = torch.ones(batch, dtype=torch.bool, device=device)

    for length in range(1, n_steps + 1):
        log_p = _log_probabilities(logits, counts, sampling, scores, improvable)
        n_vocab = log_p.shape[-1]
        candidates = (scores[:, :, None] + log_p.view(batch, num_beams, -1)).flatten(1)
        # Enough for `num_beams` open ones even if each beam ends with each of the end tokens.
        n_candidates = min(max(2, 1 + len(eos)) * num_beams, candidates.shape[1])
        top, index = candidates.topk(n_candidates, 1)
        beam, token = index // n_vocab, index % n_vocab
        longer = _pick(tokens, beam)
        longer[:, :, length - 1] = token

        ends = torch.isin(token, eos) | (last == length)[:, None]
        if texts is not None:
            grown = _grow(texts, first + beam, token)
            ends |= torch.tensor([[t.stopped for t in row] for row in grown], device=device)
        final = (top / length**length_penalty).masked_fill(~ends, -torch.inf)
        final[:, num_beams:] = -torch.inf
        ended.add(final.masked_fill(~improvable[:, None], -torch.inf), longer, length)

        scores, chosen = top.masked_fill(ends, -torch.inf).topk(num_beams, 1)
        tokens = _pick(longer, chosen)
        # An empty place among the ended hypotheses scores -inf: every open one can still improve.
        improvable &= scores[:, 0] / length**length_penalty > ended.scores[:, -1]
        on_step()
        if not bool(improvable.any()):
            break
        rows = (first + beam.gather(1, chosen)).flatten()
        continuation.reorder(rows, same_source=True)
        newest = token.gather(1, chosen).flatten()
        if texts is not None:
            picks = chosen.flatten().tolist()
            texts = [grown[i // num_beams][pick] for i, pick in enumerate(picks)]
        if counts is not None:
            counts = counts[rows].scatter_add_(
                1, newest[:, None], torch.ones_like(newest[:, None], dtype=counts.dtype)
            )
        open = improvable.repeat_interleave(num_beams).tolist()
        logits = continuation.step(newest, None if all(open) else open)

    best = zip(ended.tokens[:, 0].tolist(), ended.lengths[:, 0].tolist(), strict=True)
    return Hypotheses([row[:length] for row, length in best], ended.scores[:, 0])


def _log_probabilities(
    logits: Tensor, counts: Tensor | None, sampling: Sampling, scores: Tensor, improvable: Tensor
) -> Tensor:
    """[batch * num_beams, d_vocab]; beams that do not count may hold anything finite."""
    counting = (scores.isfinite() & improvable[:, None]).flatten()
    check_logits(logits, counting.tolist())
    log_p = torch.log_softmax(logits.float(), -1)
    return sampling.allowed(log_p, counts).masked_fill(~counting[:, None], -torch.inf)


def _pick(values: Tensor, index: Tensor) -> Tensor:
    """values[b, index[b, i]]: [batch, n, ...] and [batch, m] -> [batch, m, ...]."""
    return values[torch.arange(len(values), device=values.device)[:, None], index]


def _grow(texts: Sequence[Written], rows: Tensor, tokens: Tensor) -> list[list[Written]]:
    """The text of each candidate: row `rows[b, i]` with `tokens[b, i]` added."""
    grown = []
    for indices, ids in zip(rows.tolist(), tokens.tolist(), strict=True):
        forks = [texts[i].fork() for i in indices]
        for text, token in zip(forks, ids, strict=True):
            text.push(token)
        grown.append(forks)
    return grown
