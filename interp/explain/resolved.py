"""A target whose ids and positions are known: a function from logits to one number per row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from interp.errors import InputError


@dataclass(frozen=True)
class ResolvedTarget:
    """Made by `Target.resolve`.

    Attributes:
        kind: as of the target.
        description: in words, for people.
        positions: indices of the logits that are read; None if there is one set of them, or if a
            function reads them all.
        tokens: what is read at each position; of a span's edge, the output that is read.
        foil: the token to compare with; of a span's edge, the index in `positions` of the answer.
        function: of a callable target.
    """

    kind: str
    description: str
    positions: tuple[int, ...] | None = None
    tokens: tuple[int, ...] = ()
    foil: int | None = None
    function: Callable[[Tensor], Tensor] | None = None

    @property
    def position(self) -> int | None:
        """The last position that is predicted from."""
        if self.kind in ("span_start", "span_end"):
            assert self.positions is not None and self.foil is not None
            return self.positions[self.foil]
        return None if self.positions is None else self.positions[-1]

    @property
    def few_tokens(self) -> tuple[tuple[int, ...], ResolvedTarget] | None:
        """The outputs that are read, if they are one or two, and this target as a function of
        these alone; None if it reads them all."""
        if self.kind not in ("logit", "logit_difference"):
            return None
        if self.foil is None:
            return self.tokens, replace(self, tokens=(0,))
        return (*self.tokens, self.foil), replace(self, tokens=(0,), foil=1)

    def __call__(self, logits: Tensor) -> Tensor:
        """Logits [batch, pos, d_vocab] (or [batch, n_classes]) -> [batch], in float32 at least."""
        return self.terms(logits).sum(-1)

    def terms(self, logits: Tensor) -> Tensor:
        """The same as the summands that it has by itself: [batch, term]. Of a sequence, the
        log-probability of each token; of anything else, the one number."""
        if self.function is not None:
            return self._checked(self.function(logits), logits)[:, None]
        if self.positions is None:
            return self.read_terms(logits[:, None])
        return self.read_terms(logits[:, list(self.positions)])

    def read(self, rows: Tensor) -> Tensor:
        """Logits at the target's positions [batch, position, d_vocab] (or classes) -> [batch]."""
        return self.read_terms(rows).sum(-1)

    def read_terms(self, rows: Tensor) -> Tensor:
        """Logits at the target's positions [batch, position, d_vocab] -> [batch, term]."""
        rows = rows if rows.dtype == torch.float64 else rows.float()
        if self.kind == "sequence":
            index = torch.tensor(self.tokens, device=rows.device).expand(rows.shape[0], -1)
            chosen = rows.gather(-1, index[..., None])[..., 0]
            return chosen - rows.logsumexp(-1)
        return self._one(rows)[:, None]

    def _one(self, rows: Tensor) -> Tensor:
        if self.kind in ("span_start", "span_end"):
            return rows[..., self.tokens[0]].log_softmax(-1)[:, self.foil]
        row, token = rows[:, 0], self.tokens[0]
        value = row[:, token]
        if self.kind == "centred_logit":
            return value - row.mean(-1)
        if self.kind == "log_prob":
            return value - row.logsumexp(-1)
        if self.kind == "probability":
            return row.softmax(-1)[:, token]
        return value - row[:, self.foil] if self.kind == "logit_difference" else value

    def _checked(self, value: object, logits: Tensor) -> Tensor:
        if not isinstance(value, Tensor):
            raise InputError(
                f"The target function returned {type(value).__name__}; it must return a tensor "
                "with one number per row."
            )
        if value.shape != logits.shape[:1]:
            raise InputError(
                f"The target function returned shape {list(value.shape)}; it must return one "
                f"number per row, {list(logits.shape[:1])}."
            )
        return value
