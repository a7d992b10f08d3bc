"""What a training step makes smaller."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from interp.data.batch import IGNORED, Batch
from interp.errors import ConfigError, InputError
from interp.model.transformer import HookedTransformer
from interp.train.linear_cross_entropy import linear_cross_entropy


class Objective(Protocol):
    """A loss that is a sum over examples or labels, so that parts of a batch add up to it."""

    def __call__(self, model: HookedTransformer, batch: Batch) -> Tensor:
        """The summed loss of a batch, a float32 scalar."""
        ...

    def count(self, batch: Batch) -> float:
        """What a step's loss is divided by: how much it is the sum of."""
        ...


@dataclass(frozen=True)
class CrossEntropy:
    """Maximum likelihood, for every head: next tokens, masked tokens, classes, spans.

    Args:
        label_smoothing: share of a label that is spread over all classes.
        z_loss: weight of the squared log-normaliser, for heads over the vocabulary.
        class_weights: of each class, for classification; the mean is then a weighted one.

    Raises:
        ConfigError: a value is out of range.
    """

    label_smoothing: float = 0.0
    z_loss: float = 0.0
    class_weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"label_smoothing is {self.label_smoothing}; not in [0, 1).")
        if self.z_loss < 0:
            raise ConfigError(f"z_loss is {self.z_loss}; it cannot be negative.")
        if self.class_weights is not None and not all(w >= 0 for w in self.class_weights):
            raise ConfigError(f"class_weights are {self.class_weights}; none can be negative.")

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"kind": "cross_entropy", **dataclasses.asdict(self)}

    def count(self, batch: Batch) -> float:
        """The number of labels, or their summed weight."""
        if self.class_weights is None:
            return float(batch.n_labels)
        labels = batch.labels[batch.labels != IGNORED]
        return float(torch.tensor(self.class_weights)[labels].sum())

    def __call__(self, model: HookedTransformer, batch: Batch) -> Tensor:
        """The summed loss in nats, a float32 scalar.

        Raises:
            InputError: labels that the model's outputs do not have.
        """
        self._check(model, batch)
        if not model.cfg.has_vocabulary_head:
            return self._of_classes(model(**batch.inputs), batch.labels)
        stream = model(**batch.inputs, stop_at_layer=n_last_layers(model))
        stream = model.stack(model.last_stack).finish(stream)
        return self._of_tokens(model, stream.flatten(0, -2), batch.labels.flatten())

    def _of_tokens(self, model: HookedTransformer, stream: Tensor, labels: Tensor) -> Tensor:
        """Stream [n, d_model] and labels [n]; the output layer sees labelled positions only."""
        labelled = labels != IGNORED
        if not bool(labelled.all()):
            stream, labels = stream[labelled], labels[labelled]
        output = model.output
        if output.mlm_head is not None:
            stream = output.mlm_head(stream)
        unembed = output.unembed
        assert unembed is not None
        if unembed.scale != 1.0:
            stream = stream * unembed.scale
        return linear_cross_entropy(
            stream,
            unembed.weight,
            unembed.bias,
            labels,
            soft_cap=unembed.soft_cap,
            smoothing=self.label_smoothing,
            z_loss=self.z_loss,
        )

    def _of_classes(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Logits [row, class] or [row, pos, class]; spans [row, pos, 2] with labels [row, 2]."""
        if labels.ndim == 2 and labels.shape[1] != logits.shape[1]:
            logits = logits.transpose(1, 2)  # the classes of a span are the positions
        weights = None
        if self.class_weights is not None:
            weights = torch.tensor(self.class_weights, device=logits.device)
        return F.cross_entropy(
            logits.flatten(0, -2).float(),
            labels.flatten(),
            weight=weights,
            ignore_index=IGNORED,
            label_smoothing=self.label_smoothing,
            reduction="sum",
        )

    def _check(self, model: HookedTransformer, batch: Batch) -> None:
        """That every label is one of the model's outputs (not on a GPU: it would have to wait)."""
        if batch.labels.device.type != "cpu" or torch.compiler.is_compiling():
            return
        cfg = model.cfg
        n = {"lm": cfg.d_vocab_out, "mlm": cfg.d_vocab_out}.get(cfg.head, cfg.n_classes)
        if cfg.head == "span":
            n = next(iter(batch.inputs.values())).shape[1]
        labels = batch.labels[batch.labels != IGNORED]
        if labels.numel() and not (int(labels.min()) >= 0 and int(labels.max()) < n):
            wrong = labels[(labels < 0) | (labels >= n)][0]
            raise InputError(
                f"A label is {int(wrong)}; this model's outputs are 0 to {n - 1}. Give it a head "
                "of the right size, or correct the labels."
            )
        if self.class_weights is not None and len(self.class_weights) != cfg.n_classes:
            raise InputError(
                f"There are {len(self.class_weights)} class_weights for {cfg.n_classes} classes."
            )


def n_last_layers(model: HookedTransformer) -> int:
    """The number of blocks in the stack whose output becomes the logits."""
    cfg = model.cfg
    return cfg.n_decoder_layers if cfg.shape == "encoder_decoder" else cfg.n_layers
