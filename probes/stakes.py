"""What a model has at stake in its examples: the loss and the right answers of each of them, in
batches that can be run again with something changed inside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interp.data.batch import IGNORED, Batch, pad
from interp.data.encoding import literal, pad_id, role_id
from interp.data.examples import padded
from interp.data.order import stream_seed
from interp.data.records import Pair
from interp.errors import InputError, UnsupportedModelError
from interp.explain.reading import refuse_dropout
from interp.train.tasks.classification import Classification
from interp.train.tasks.preferring import Preferring
from interp.train.tasks.task import Task, Trainable, by_length
from probes.scoring import batch_tokens
from probes.texts import text_of

Floats = NDArray[np.float64]

_MASKED = 0.15  # of a text's tokens are guessed by a masked language model
_TOKENS = 4096


def staked(
    model: Any,
    records: Sequence[Any],
    task: Task[Any, Any] | None = None,
    *,
    length: int = 64,
) -> list[tuple[list[int], Batch]]:
    """Examples as batches of like length: which of them, and what the model should say.

    Args:
        records: of the task; texts or ids [pos] for a language model.
        task: how the model is asked; by default, what its head is for.
        length: a language model reads so many tokens of each text.

    Raises:
        InputError: no records, or texts of fewer than two tokens only.
        UnsupportedModelError: a task without one right answer for each example.
    """
    refuse_dropout(model)
    if not len(records):
        raise InputError("There are no examples.")
    if task is None and model.cfg.head == "classification":
        task = Classification(tuple(model.cfg.class_names))
    if isinstance(task, Preferring):
        raise UnsupportedModelError("Preferences have no one right answer that could be lost.")
    if isinstance(task, Trainable):
        some = [
            replace(one, references=one.references[:1]) if isinstance(one, Pair) else one
            for one in records
        ]
        source = task.source(model, some, tokens=1)
        lengths = source.order.lengths.tolist()
        return [(i, source.collate(i)) for i in by_length(lengths, _tokens(model))]
    if model.cfg.shape == "encoder_decoder" or model.cfg.head not in ("lm", "mlm"):
        raise UnsupportedModelError(
            f"A model of the shape {model.cfg.shape} with the head {model.cfg.head!r} has to be "
            "given its task."
        )
    rows = [(i, *_row(model, i, record, length)) for i, record in enumerate(records)]
    rows = [row for row in rows if any(label != IGNORED for label in row[2])]
    if not rows:
        raise InputError("The examples hold no token to predict.")
    filler = 0 if model.tokenizer is None else pad_id(model.tokenizer)
    out = []
    for chosen in by_length([len(row[1]) for row in rows], _tokens(model)):
        inputs = padded([rows[i][1] for i in chosen], filler)
        labels = pad([rows[i][2] for i in chosen], IGNORED)
        out.append(([rows[i][0] for i in chosen], Batch(inputs, labels)))
    return out


@dataclass(frozen=True)
class Answered:
    """What a model answers to a batch, where something is asked.

    Attributes:
        log_p: of every output, [answer, output].
        right: the true output of each answer, [answer].
        owner: the example that each answer is of, [answer].
        n: examples of the batch.
    """

    log_p: Tensor
    right: Tensor
    owner: Tensor
    n: int

    @classmethod
    def of(cls, logits: Tensor, labels: Tensor) -> Answered:
        """
        Args:
            logits: [row, class], [row, pos, output], or [row, pos, 2] of the ends of a span.
            labels: [row], [row, pos] or [row, 2].
        """
        labels = labels.to(logits.device)
        if labels.ndim == 1:
            logits, labels = logits[:, None], labels[:, None]
        elif labels.shape[1] != logits.shape[1]:
            logits = logits.transpose(1, 2)  # the classes of a span are the positions
        asked = labels != IGNORED
        # Half precision has too few digits for a sum over a vocabulary.
        chosen = logits[asked].to(torch.promote_types(logits.dtype, torch.float32))
        return cls(chosen.log_softmax(-1), labels[asked], asked.nonzero()[:, 0], len(labels))

    def stakes(self) -> Floats:
        """Summed nats, right answers and number of answers of each example, [example, 3]."""
        nats = -self.log_p.gather(-1, self.right[:, None])[:, 0]
        hits = self.log_p.argmax(-1) == self.right
        return self._summed(nats, hits, torch.ones_like(nats))

    def moved_from(self, other: Answered) -> Floats:
        """Summed Kullback-Leibler divergence from what was answered before, in nats, and how many
        answers are others, [example, 2]."""
        # A probability of 0 is one of the spans' padding, in both.
        gap = torch.where(other.log_p.isinf(), 0.0, other.log_p - self.log_p)
        nats = (other.log_p.exp() * gap).sum(-1).clamp(min=0)
        return self._summed(nats, self.log_p.argmax(-1) != other.log_p.argmax(-1))

    def _summed(self, *columns: Tensor) -> Floats:
        stacked = torch.stack([column.double() for column in columns], 1)
        out = torch.zeros(self.n, len(columns), dtype=torch.float64, device=stacked.device)
        found: Floats = out.index_add(0, self.owner, stacked).cpu().numpy()
        return found


def commonest(batches: Sequence[tuple[list[int], Batch]]) -> float:
    """The share of right answers of who always gives the most frequent one."""
    every = torch.cat([batch.labels[batch.labels != IGNORED].flatten() for _, batch in batches])
    return float(every.bincount().max() / len(every))


def _tokens(model: Any) -> int:
    return batch_tokens(model) if model.cfg.has_vocabulary_head else _TOKENS


def _row(model: Any, place: int, record: Any, length: int) -> tuple[list[int], list[int]]:
    """What a language model reads of a text, and the labels of its outputs."""
    cfg, tokenizer = model.cfg, model.tokenizer
    if tokenizer is None:
        ids = record.tolist() if hasattr(record, "tolist") else list(record)
        if not all(type(i) is int for i in ids):
            raise InputError("Records for a model without a tokenizer must be ids [pos].")
        ids = ids[: cfg.n_ctx]
        return ids, [*ids[1:], IGNORED]
    length = min(length, cfg.n_ctx - 2)
    ids = list(literal(tokenizer).encode(text_of(record), add_special_tokens=False).ids)[:length]
    if cfg.shape == "decoder":
        read = [tokenizer.bos_token_id, *ids] if cfg.default_prepend_bos else ids
        return read, [*read[1:], IGNORED]
    before, after = role_id(tokenizer, "cls", "bos"), role_id(tokenizer, "sep", "eos")
    random = np.random.default_rng(stream_seed("stakes", place))
    hidden = random.permutation(len(ids))[: max(1, round(_MASKED * len(ids)))].tolist()
    read, labels = [*ids], [IGNORED] * len(ids)
    for i in hidden:
        read[i], labels[i] = role_id(tokenizer, "mask"), ids[i]
    return [before, *read, after], [IGNORED, *labels, IGNORED]
