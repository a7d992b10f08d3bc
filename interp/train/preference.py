"""Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from interp.data.batch import IGNORED, Batch
from interp.errors import ConfigError, InputError
from interp.model.transformer import HookedTransformer


class DPO:
    """Makes preferred answers likelier than rejected ones, compared with a frozen reference:

    -log sigmoid(beta ((log p(w) - log r(w)) - (log p(l) - log r(l))))

    with p the model, r the reference, w the answer that was preferred and l the one that was not
    (equation 7). In a batch, rows alternate: w, l, w, l. Only labelled tokens, those of the
    answers, count in log p.

    Args:
        reference: the model as it was before. It is not trained, and stays as it is.
        beta: how strongly the model is held to the reference.

    Raises:
        ConfigError: beta is not positive.
    """

    def __init__(self, reference: HookedTransformer, beta: float = 0.1):
        if beta <= 0:
            raise ConfigError(f"beta is {beta}; the difference of log-ratios is multiplied by it.")
        self.reference = reference
        self.beta = beta

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"kind": "dpo", "beta": self.beta}

    def count(self, batch: Batch) -> float:
        """The number of pairs."""
        return len(batch) / 2

    def __call__(self, model: HookedTransformer, batch: Batch) -> Tensor:
        """The loss summed over pairs, a float32 scalar.

        Raises:
            InputError: an odd number of rows.
        """
        return -F.logsigmoid(self.beta * self.margins(model, batch)).sum()

    def margins(self, model: HookedTransformer, batch: Batch) -> Tensor:
        """By how many nats the model prefers w to l more than the reference does, [pair]."""
        if len(batch) % 2:
            raise InputError(
                f"A batch of {len(batch)} rows does not consist of pairs; preferred and rejected "
                "answers alternate."
            )
        with torch.no_grad():
            before = answer_log_probs(self.reference, batch)
        gain = answer_log_probs(model, batch) - before
        return gain[0::2] - gain[1::2]


def answer_log_probs(model: HookedTransformer, batch: Batch) -> Tensor:
    """The log-probability of all labelled tokens of each row together, [row], in float32."""
    logits = model(**batch.inputs)
    labelled = batch.labels != IGNORED
    nats = F.cross_entropy(logits[labelled].float(), batch.labels[labelled], reduction="none")
    row = labelled.nonzero()[:, 0]
    return torch.zeros(len(batch), device=nats.device).index_add(0, row, -nats)
