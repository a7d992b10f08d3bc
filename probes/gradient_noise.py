"""How noisy the gradient of a step is: the batch size up to which more rows are worth their cost.

The simple noise scale is tr(S) / |G|^2, of the covariance S of the gradient of one row and of the
true gradient G (McCandlish et al. 2018, arXiv 1812.06162, equation 2.9). From k groups of b rows
with gradients g_i,

    |G|^2 = (|sum g|^2 - sum |g|^2) / (k (k - 1)),   tr(S) = b (sum |g|^2 - |sum g|^2 / k) / (k - 1)

are both without bias; their ratio is so up to 1 / k.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from interp.data.batch import IGNORED
from interp.data.examples import Examples
from interp.errors import InputError
from probes.hsic import jackknife_interval

GROUPS = 16
"""Groups of rows by default; the gradients of all of them are in memory at once."""


@dataclass(frozen=True)
class Noise:
    """An estimate.

    Attributes:
        scale: the noise scale in rows, NaN if the gradient does not stand out of its noise.
        ci_low, ci_high: from leaving out each group.
        gradient: |G|^2, which may come out negative.
        trace: tr(S).
        tokens: predicted tokens of a row, on average.
        n: rows.
    """

    scale: float
    ci_low: float
    ci_high: float
    gradient: float
    trace: float
    tokens: float
    n: int


def noise_scale(gradients: Tensor, size: int, tokens: float = 1.0) -> Noise:
    """From the gradients of the mean loss of equal groups of rows.

    Args:
        gradients: [group, parameter].
        size: rows of each group.

    Raises:
        InputError: fewer than three groups.
    """
    k = len(gradients)
    if k < 3:
        raise InputError(f"There are {k} groups of rows; noise is seen in three or more.")
    gram = (gradients @ gradients.T).double()
    square, norms = gram.sum(), gram.diagonal()
    gradient, trace = _parts(square, norms.sum(), k, size)
    # Without group i: |sum|^2 loses twice its product with the sum, but for its own square.
    left = [square - 2 * gram.sum(1) + norms, norms.sum() - norms]
    gradients_left, traces_left = _parts(left[0], left[1], k - 1, size)
    scale = float(trace / gradient) if float(gradient) > 0 else float("nan")
    low = high = float("nan")
    if bool((gradients_left > 0).all()) and scale > 0:
        logs = (traces_left / gradients_left).log()
        low, high = jackknife_interval(logs, float(torch.tensor(scale).double().log()))
        low, high = (float(torch.tensor(x).double().exp()) for x in (low, high))
    return Noise(scale, low, high, float(gradient), float(trace), tokens, k * size)


def _parts(square: Tensor, norms: Tensor, k: int, size: int) -> tuple[Tensor, Tensor]:
    """|G|^2 and tr(S) of |sum g|^2 and sum |g|^2."""
    return (square - norms) / (k * (k - 1)), size * (norms - square / k) / (k - 1)


def gradient_noise(model: Any, examples: Examples, *, groups: int = GROUPS) -> Noise:
    """Of the language-modelling loss of a model, whose weights and gradients stay as they are.

    Texts of unlike length count by their tokens, as they do in training.

    Raises:
        InputError: fewer than three rows, or nothing that is predicted.
    """
    groups = min(groups, len(examples))
    size = len(examples) // max(groups, 1)
    random = torch.randperm(len(examples), generator=torch.Generator().manual_seed(0)).tolist()
    chosen = [random[i * size : (i + 1) * size] for i in range(groups)]
    parameters = [p for p in model.parameters() if p.requires_grad]
    found, counts = [], []
    for rows in chosen:
        batch = examples.collate(rows).to(model.W_E.device)
        counts.append(batch.n_labels)
        loss = summed_loss(model(**batch.inputs), batch.labels)
        slopes = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        found.append(torch.cat([slope.flatten() for slope in slopes]))
    mean = sum(counts) / max(len(counts), 1)
    if mean == 0:
        raise InputError("Nothing is predicted in these texts, so there is no gradient.")
    return noise_scale(torch.stack(found) / mean, size, mean / size)


def summed_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy in nats, summed over what is predicted: [row, pos, d_vocab] and [row, pos]."""
    return F.cross_entropy(
        logits.flatten(0, -2).float(), labels.flatten(), ignore_index=IGNORED, reduction="sum"
    )
