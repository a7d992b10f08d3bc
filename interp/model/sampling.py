"""How the next token is chosen from the logits: greedily, or drawn from a reshaped distribution.

Every function takes and returns logits [batch, d_vocab]; a token that may not be chosen has -inf.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from interp.errors import InputError


def penalize_repetition(logits: Tensor, counts: Tensor, penalty: float) -> Tensor:
    """Makes tokens that have occurred less likely (Keskar et al. 2019, arXiv 1909.05858).

    The paper divides their logits by the penalty, which would raise negative ones; these are
    multiplied instead, as is now usual.

    Args:
        counts: [batch, d_vocab], how often each token has occurred.
        penalty: above 1 discourages, below 1 encourages.
    """
    penalized = torch.where(logits < 0, logits * penalty, logits / penalty)
    return torch.where(counts > 0, penalized, logits)


def penalize_frequency(logits: Tensor, counts: Tensor, penalty: float) -> Tensor:
    """Subtracts `penalty` from a token's logit for each time it has occurred."""
    return logits - penalty * counts.to(logits.dtype)


def temper(logits: Tensor, temperature: float) -> Tensor:
    """Logits divided by the temperature, shifted so that the largest is 0: nothing overflows."""
    return (logits - logits.amax(-1, keepdim=True)) / temperature


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """The k most likely tokens of a row (Fan et al. 2018, arXiv 1805.04833)."""
    if k >= logits.shape[-1]:
        return logits
    values, ids = logits.topk(k, -1)
    return torch.full_like(logits, -torch.inf).scatter_(-1, ids, values)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """The smallest set of likely tokens that together have at least the probability p.

    Nucleus sampling (Holtzman et al. 2020, arXiv 1904.09751). The most likely token always stays.
    """
    if p >= 1.0:
        return logits
    values, ids = logits.sort(dim=-1, descending=True, stable=True)
    probability = values.softmax(-1)
    before = probability.cumsum(-1) - probability
    beyond = before >= p
    beyond[..., 0] = False
    return torch.empty_like(logits).scatter_(-1, ids, values.masked_fill(beyond, -torch.inf))


def draw(logits: Tensor, uniform: Tensor) -> Tensor:
    """One token a row from softmax(logits), [batch], by the inverse of the distribution function.

    Args:
        uniform: [batch] in [0, 1), float64: what decides, so that rows are drawn independently.
    """
    cumulative = logits.double().softmax(-1).cumsum(-1)
    total = cumulative[:, -1]
    # Below the total even after rounding: the token found then has a probability above zero.
    point = torch.minimum(uniform * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cumulative, point[:, None], right=True)[:, 0]


def uniforms(seed: int | None, batch: int, n_steps: int) -> Tensor:
    """[batch, n_steps] in [0, 1), float64. A row's numbers depend on the seed and its index alone.

    Neither the other rows nor the number of steps change them. Without a seed, one is drawn from
    torch's own generator, so that `torch.manual_seed` decides.
    """
    if seed is None:
        seed = int(torch.randint(2**62, ()))
    seeds = random.Random(seed)
    rows = []
    for _ in range(batch):
        generator = torch.Generator().manual_seed(seeds.getrandbits(63))
        rows.append(torch.rand(n_steps, dtype=torch.float64, generator=generator))
    return torch.stack(rows)


@dataclass(frozen=True)
class Sampling:
    """How to choose; see `Generation.generate` for the options. Checks itself.

    Order: suppressed tokens, repetition penalty, temperature, frequency penalty, top k, top p.

    Raises:
        InputError: an option is out of range.
    """

    do_sample: bool = True
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    repetition_penalty: float = 1.0
    freq_penalty: float = 0.0
    suppress_tokens: Sequence[int] = ()

    def __post_init__(self) -> None:
        _require(
            _number(self.temperature) and 0 <= self.temperature < math.inf,
            f"temperature is {self.temperature!r}; it must be a number of at least 0 (0: greedy).",
        )
        _require(
            self.top_k is None or (_whole(self.top_k) and self.top_k >= 1),
            f"top_k is {self.top_k!r}; it must be a whole number of at least 1, or None.",
        )
        _require(
            self.top_p is None or (_number(self.top_p) and 0 < self.top_p <= 1),
            f"top_p is {self.top_p!r}; it must be above 0 and at most 1, or None.",
        )
        _require(
            _number(self.repetition_penalty) and 0 < self.repetition_penalty < math.inf,
            f"repetition_penalty is {self.repetition_penalty!r}; it must be a number above 0 "
            "(1: none).",
        )
        _require(
            _number(self.freq_penalty) and math.isfinite(self.freq_penalty),
            f"freq_penalty is {self.freq_penalty!r}; it must be a number (0: none).",
        )

    @property
    def greedy(self) -> bool:
        """Whether only the most likely token can be chosen."""
        return not self.do_sample or self.temperature == 0 or self.top_k == 1

    @property
    def counts_tokens(self) -> bool:
        """Whether the choice depends on how often tokens have occurred."""
        return self.repetition_penalty != 1.0 or self.freq_penalty != 0.0

    def allowed(self, logits: Tensor, counts: Tensor | None, temperature: float = 1.0) -> Tensor:
        """Logits after suppression, penalties and temperature."""
        if len(self.suppress_tokens):
            logits = logits.clone()
            logits[:, list(self.suppress_tokens)] = -torch.inf
        if counts is not None:
            logits = penalize_repetition(logits, counts, self.repetition_penalty)
        if temperature != 1.0:
            logits = temper(logits, temperature)
        if counts is not None:
            logits = penalize_frequency(logits, counts, self.freq_penalty)
        return logits

    def choose(self, logits: Tensor, counts: Tensor | None, uniform: Tensor | None) -> Tensor:
        """The next token of each row, [batch].

        Args:
            logits: [batch, d_vocab].
            counts: [batch, d_vocab], if `counts_tokens`.
            uniform: [batch] in [0, 1), unless `greedy`.
        """
        if self.greedy or uniform is None:
            return self.allowed(logits, counts).argmax(-1)
        logits = self.allowed(logits.double(), counts, self.temperature)
        if self.top_k is not None:
            logits = keep_top_k(logits, self.top_k)
        if self.top_p is not None:
            logits = keep_top_p(logits, self.top_p)
        return draw(logits, uniform)


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InputError(message)
