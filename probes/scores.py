"""How well probes do: metrics as functions of means over words, so that a draw serves them all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from probes.statistics import bootstrap_means

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

UNKNOWN = -1
"""The class of a word whose label no probe was fitted to: always judged wrong."""


@dataclass(frozen=True)
class Judged:
    """What some probes say of some words.

    Attributes:
        right: [word, probe], 1 or 0; where k classes share the highest score, 1 / k if the true
            one is among them, so that constant scores are as good as chance.
        saved: [word, probe], bits that the probe saves against the class prior; 0 for words of an
            unknown class, which neither can code.
        said, truth: classes, [word, probe] and [word].
        auroc: [probe], mean over classes of the area under the curve of one against the rest,
            ties one half.
    """

    right: Floats
    saved: Floats
    said: Ints
    truth: Ints
    auroc: Floats

    @classmethod
    def of(cls, logits: Tensor, truth: Ints, prior: Floats) -> Judged:
        """From scores [probe, word, class].

        Args:
            prior: shares of the classes in what the probes were fitted to, [class].
        """
        classes = torch.from_numpy(np.maximum(truth, 0)).to(logits.device)
        known = truth != UNKNOWN
        index = classes[None, :, None].expand(len(logits), -1, 1)
        top = logits.amax(2, keepdim=True)
        tied = (logits == top).sum(2)
        hit = (logits.gather(2, index) == top)[..., 0]
        right = np.where(known[:, None], (hit / tied).T.double().cpu().numpy(), 0.0)
        logs = torch.log_softmax(logits.double(), 2)
        spent = -logs.gather(2, index)[..., 0].T.cpu().numpy() / math.log(2)
        with np.errstate(divide="ignore"):
            before = -np.log2(prior)[np.maximum(truth, 0)]
        saved = np.where(known[:, None], before[:, None] - spent, 0.0)
        said = logits.argmax(2).T.cpu().numpy()
        areas = np.array([_auroc(one, truth) for one in logs.cpu().numpy()])
        return cls(right, saved, said, truth, areas)


def _auroc(scores: Floats, truth: Ints) -> float:
    """Mean over classes that have both sides: the chance that a word of the class gets a higher
    score for it than another word (Mann & Whitney 1947)."""
    from scipy.stats import rankdata

    areas = []
    for c in range(scores.shape[1]):
        positive = truth == c
        n = int(positive.sum())
        if 0 < n < len(truth):
            ranks = rankdata(scores[:, c])
            others = len(truth) - n
            areas.append((ranks[positive].sum() - n * (n + 1) / 2) / (n * others))
    return float(np.mean(areas)) if areas else math.nan


def means(
    judged: Judged, n_classes: int, clusters: Ints, others: Mapping[str, Floats], draws: int
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Each metric as measured, [probe], and in bootstrap draws over clusters, [draw, probe]; `f1`
    has a further axis of classes.

    All see the same draws, so that any difference of them is paired.

    Args:
        others: further values of each word, [word, ...], whose means are asked for as well.
    """
    n = len(judged.truth)
    said = judged.said[..., None] == np.arange(n_classes)
    true = judged.truth[:, None] == np.arange(n_classes)
    columns = {"accuracy": judged.right, "bits": judged.saved, **others}
    columns |= {"hit": said & true[:, None], "said": said, "true": true}
    flat = np.concatenate([x.reshape(n, -1) for x in columns.values()], 1, dtype=np.float64)
    drawn = bootstrap_means(flat, clusters, draws=draws)
    found = []
    for rows in (flat.mean(0, keepdims=True), drawn):
        metrics, end = {}, 0
        for name, values in columns.items():
            size = values[0].size
            metrics[name] = rows[:, end : end + size].reshape(len(rows), *values.shape[1:])
            end += size
        hit, said, true = (metrics.pop(name) for name in ("hit", "said", "true"))
        found.append({**metrics, **_class_rates(hit, said, true[:, None])})
    return {name: value[0] for name, value in found[0].items()}, found[1]


def _class_rates(hit: Floats, said: Floats, true: Floats) -> dict[str, Floats]:
    """F1 of each class, over the counts of all classes (micro), and means over the classes that
    occur; from the shares of words [..., class] that are both, are said to be, and are of a class.
    """
    occurs = true > 0
    n = occurs.sum(-1)
    recall = np.divide(hit, true, out=np.zeros_like(hit), where=np.broadcast_to(occurs, hit.shape))
    total = said + true
    f1 = np.divide(2 * hit, total, out=np.zeros_like(hit), where=total > 0)
    return {
        "balanced_accuracy": recall.sum(-1) / n,
        "macro_f1": np.where(occurs, f1, 0.0).sum(-1) / n,
        "micro_f1": 2 * hit.sum(-1) / (said.sum(-1) + true.sum(-1)),
        "f1": f1,
    }
