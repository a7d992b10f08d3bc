"""Whether a model is right as often as it says, of next tokens or of classes; and what one
temperature repairs.

- `ece`: the expected calibration error, over bins of equally many predictions. Noise within bins
  only ever adds to it, so that on few predictions it is too large.
- The temperature T that divides the logits so that the loss is least (Guo et al. 2017,
  arXiv 1706.04599), fitted on one half of the texts and judged on the other.

A model can be calibrated and of no use: one that always says how frequent each token is, is.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from interp.data.order import stream_seed
from interp.data.records import Example
from interp.errors import InputError
from interp.figures.calibration import calibration_chart
from interp.train.metrics.calibration import equal_mass_bins
from interp.train.metrics.interval import of_sums, ratio
from interp.train.tasks.classification import Classification, label_set
from interp.train.tasks.task import by_length
from probes.frames import tidy
from probes.scoring import batch_tokens, logits_of, reading
from probes.script import Script
from probes.statistics import cluster_means
from probes.texts import add_text_options, records_of, text_of

Floats = NDArray[np.float64]

BINS = 10
_NUMBERS = 2**26  # logits that are held at once
_CHUNK = 2**22  # of those in double precision
_LIMITS = (1e-3, 1e3)  # of 1 / T
_STEPS = 100


@dataclass(frozen=True)
class Predictions:
    """What a model said, and what was true.

    Attributes:
        logits: [prediction, class], finite.
        true: [prediction], class numbers.
        clusters: [prediction], which text each is of.
    """

    logits: Tensor
    true: NDArray[np.int64]
    clusters: NDArray[np.int64]

    def of(self, chosen: NDArray[np.bool_]) -> Predictions:
        """Some of them."""
        at = torch.from_numpy(np.flatnonzero(chosen)).to(self.logits.device)
        return Predictions(self.logits[at], self.true[chosen], self.clusters[chosen])


def next_token_calibration(
    model: Any,
    texts: Sequence[str],
    *,
    sources: Sequence[str] | str | None = None,
    tokens: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Calibration of a language model's next (or masked) tokens; texts are the clusters.

    Args:
        tokens: at most so many are asked for, drawn by the seed, and no more than fit into memory
            with all their logits (67 million numbers).
        sources: for an encoder-decoder, see `probes.scoring.score`.

    Returns:
        See `measured`.

    Raises:
        InputError: fewer than two texts, or what `probes.scoring.score` refuses.
    """
    rows = reading(model, texts, sources)
    n = sum(len(row.outputs) for row in rows)
    most = max(1, min(tokens, _NUMBERS // int(model.cfg.d_vocab)))
    keep = np.zeros(n, dtype=bool)
    keep[np.random.default_rng(stream_seed("calibration", seed)).permutation(n)[:most]] = True
    asked = []
    first = 0
    for row in rows:
        mine = np.flatnonzero(keep[first : first + len(row.outputs)]).tolist()
        first += len(row.outputs)
        if mine:
            asked.append(
                replace(
                    row,
                    outputs=[row.outputs[i] for i in mine],
                    predicted=[row.predicted[i] for i in mine],
                    labels=[row.labels[i] for i in mine],
                )
            )
    logits, true, clusters = [], [], []
    for chosen in by_length([len(row) for row in asked], batch_tokens(model)):
        some = [asked[i] for i in chosen]
        logits.append(logits_of(model, some))
        true += [label for row in some for label in row.labels]
        clusters += [row.text for row in some for _ in row.labels]
    if not logits:
        raise InputError("The texts hold no token that is predicted.")
    return measured(Predictions(torch.cat(logits), np.array(true), np.array(clusters)), seed=seed)


def class_calibration(
    model: Any,
    examples: Sequence[Example],
    *,
    labels: Sequence[str] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Calibration of a classifier of texts; each example is a cluster of its own.

    Args:
        labels: the classes in the order of the model's outputs; by default those that occur, in
            the order of their names.

    Returns:
        See `measured`.
    """
    classes = label_set(e.label for e in examples) if labels is None else tuple(labels)
    task = Classification(classes)
    said = torch.from_numpy(task.answer(model, examples)).clamp(min=1e-300).log()
    true = np.array([classes.index(example.label) for example in examples])
    return measured(Predictions(said, true, np.arange(len(true))), seed=seed)


def measured(predictions: Predictions, *, seed: int = 0) -> pd.DataFrame:
    """How calibrated predictions are before and after a temperature.

    Half of the texts, drawn by the seed, fit the temperature; everything else is measured on the
    other half.

    Returns:
        `scaled` (whether by the temperature), `bin` and `confidence` (its mean in the bin; missing
        for what is no bin), and as `metric`: `temperature`; `ece`; `nll` (nats); `brier`;
        `accuracy`, of all and of each bin. Intervals are over texts.

    Raises:
        InputError: fewer than two texts, or logits that are not finite.
    """
    if not bool(predictions.logits.isfinite().all()):
        raise InputError("Some logits are not finite; look for weights that are not.")
    texts = np.unique(predictions.clusters)
    if len(texts) < 2:
        raise InputError("Calibration needs two texts: one for the temperature, one to judge it.")
    random = np.random.default_rng(stream_seed("halves", seed))
    fitting = np.isin(predictions.clusters, random.permutation(texts)[: len(texts) // 2])
    fitted = temperature(predictions.of(fitting))
    judged = predictions.of(~fitting)
    rows = [{"scaled": True, "metric": "temperature", "value": fitted, "n": int(fitting.sum())}]
    for scaled, t in ((False, 1.0), (True, fitted)):
        rows += [{"scaled": scaled, **row} for row in _measures(judged, t, seed)]
    frame = pd.DataFrame(rows)
    frame["bin"] = frame["bin"].astype("Int64")
    return tidy(frame)


def temperature(predictions: Predictions) -> float:
    """The T > 0 under which softmax(logits / T) has the least loss, by Newton's method in 1 / T.

    The loss is convex in b = 1 / T; its slope is E[z] - z_true under softmax(b z), its curvature
    the variance of z there. Where the loss falls for ever (every prediction is right, say), 1 / T
    ends within its limits, 0.001 to 1,000, where the slope can no longer be told from zero. Where
    no logit differs from another, T is 1.
    """
    low, high = _LIMITS
    b = 1.0
    for _ in range(_STEPS):
        slope, curvature = slopes(predictions, b)
        if curvature <= 0:
            return 1.0 / b
        # The slope keeps its sign on either side of the optimum, which brackets it.
        low, high = (low, b) if slope > 0 else (b, high)
        after = b - slope / curvature
        if not low < after < high:
            after = (low * high) ** 0.5
        if abs(after - b) <= 1e-12 * b:
            break
        b = after
    return 1.0 / b


def slopes(predictions: Predictions, b: float) -> tuple[float, float]:
    """First and second derivative of the mean loss in b = 1 / T."""
    n = len(predictions.true)
    true = torch.from_numpy(predictions.true).to(predictions.logits.device)
    first = second = 0.0
    rows = max(1, _CHUNK // predictions.logits.shape[1])
    for start in range(0, n, rows):
        z = predictions.logits[start : start + rows].double()
        p = (b * z).softmax(-1)
        mean = (p * z).sum(-1)
        right = z.gather(-1, true[start : start + rows, None])[:, 0]
        first += float((mean - right).sum())
        second += float((p * (z - mean[:, None]) ** 2).sum())
    return first / n, second / n


def _measures(judged: Predictions, t: float, seed: int) -> Iterator[dict[str, Any]]:
    confidence, hit, nll, brier = _summaries(judged, t)
    place = equal_mass_bins(confidence, BINS)
    n_bins = int(place.max()) + 1
    within = np.zeros((len(hit), n_bins, 3))
    within[np.arange(len(hit)), place] = np.stack([hit, confidence, np.ones(len(hit))], 1)
    # Per text: hits, confidence and number in each bin; loss, score and number of all.
    bins = cluster_means(within, judged.clusters)[0]
    sums, n = cluster_means(np.stack([nll, brier, hit, np.ones(len(hit))], 1), judged.clusters)
    gaps = np.concatenate([bins[..., 0] - bins[..., 1], n[:, None]], 1)
    total = {
        "ece": of_sums(
            "ece", gaps, lambda s: ratio(np.abs(s[..., :-1]).sum(-1), s[..., -1]), seed=seed
        )
    }
    for i, metric in enumerate(("nll", "brier", "accuracy")):
        total[metric] = of_sums(
            metric, sums[:, [i, -1]], lambda s: ratio(s[..., 0], s[..., 1]), seed=seed
        )
    for metric, one in total.items():
        yield {
            "metric": metric,
            "value": one.value,
            "ci_low": one.ci_low,
            "ci_high": one.ci_high,
            "n": len(hit),
        }
    for i in range(n_bins):
        one = of_sums(
            "accuracy", bins[:, i][:, [0, 2]], lambda s: ratio(s[..., 0], s[..., 1]), seed=seed
        )
        here = place == i
        yield {
            "bin": i,
            "confidence": confidence[here].mean(),
            "metric": "accuracy",
            "value": one.value,
            "ci_low": one.ci_low,
            "ci_high": one.ci_high,
            "n": int(here.sum()),
        }


def _summaries(judged: Predictions, t: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Of each prediction: its largest probability, whether that was right, its loss, and the
    squared error of all probabilities."""
    parts = []
    true = torch.from_numpy(judged.true).to(judged.logits.device)
    rows = max(1, _CHUNK // judged.logits.shape[1])
    for start in range(0, len(true), rows):
        log_p = (judged.logits[start : start + rows].double() / t).log_softmax(-1)
        p, label = log_p.exp(), true[start : start + rows]
        right = log_p.gather(-1, label[:, None])[:, 0]
        largest, best = p.max(-1)
        brier = (p**2).sum(-1) - 2 * right.exp() + 1
        parts.append(torch.stack([largest, (best == label).double(), -right, brier], 1))
    confidence, hit, nll, brier = torch.cat(parts).cpu().numpy().T
    return confidence, hit, nll, brier


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_text_options(parser)
    parser.add_argument("--source", metavar="TEXT", help="what an encoder-decoder reads")
    parser.add_argument("--labels", nargs="+", help="of a classifier, in the order of its outputs")
    parser.add_argument("--tokens", type=int, default=10_000, metavar="N", help="to predict")


def _measure(model: Any, options: argparse.Namespace) -> pd.DataFrame:
    records = records_of(options)
    if model.cfg.head == "classification":
        if not all(isinstance(record, Example) for record in records):
            raise InputError("A classifier is calibrated on examples with labels; give such a set.")
        return class_calibration(model, records, labels=options.labels, seed=options.seed)
    texts = [text_of(record) for record in records]
    return next_token_calibration(
        model, texts, sources=options.source, tokens=options.tokens, seed=options.seed
    )


SCRIPT = Script(
    name="calibration",
    summary="Whether a model is right as often as it says, and what one temperature repairs.",
    examples=(
        "  python -m probes.calibration --run stories --data DIR --set sentence_polarity\n"
        "  python -m probes.calibration --run MY_CLASSIFIER --data DIR --set movie_reviews"
    ),
    measure=_measure,
    chart=calibration_chart,
    add_arguments=_add_arguments,
)

if __name__ == "__main__":
    raise SystemExit(SCRIPT.main())
