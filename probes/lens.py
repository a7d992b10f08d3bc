"""What a model would predict if it stopped after each layer, over a data set.

    python -m probes.lens --run stories-suite --texts childrens_stories --data DATA
    python -m probes.lens --run stories --texts childrens_stories --data DATA --tune standard_ebooks

The logit lens (nostalgebraist 2020) of many texts, and beside it the tuned lens (Belrose et al.
2023), which is trained here, on other texts. `interp.explain.lens` shows one text, token by token.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from interp.data.batch import IGNORED
from interp.data.examples import Examples
from interp.errors import InputError, UnsupportedModelError
from interp.explain.lens import stream_names
from interp.explain.tuned_lens import TunedLens, train_tuned_lens
from interp.figures.lens_curve import lens_curve
from probes.frames import tidy
from probes.passages import add_text_arguments, batches, read_texts
from probes.script import Script
from probes.statistics import ratio_interval
from probes.subjects import short_hash

METRICS = ("kl", "entropy", "rank", "loss", "agreement")

_AT_ONCE = 2**23  # logits held at a time


@torch.no_grad()
def lens(model: Any, examples: Examples, tuned: TunedLens | None = None) -> pd.DataFrame:
    """How far each layer is from the prediction, and from the truth.

    Layer 0 is the stream that enters the first block, layer n_layers what leaves the last: the
    model's own prediction. Of an encoder-decoder, the decoder is read; of a masked encoder, the
    positions that are masked.

    - `kl`: divergence of the model's own prediction from the lens's, nats. 0 at the last layer.
    - `entropy` of the lens, nats.
    - `rank` of the right token, 1 for the first: the geometric mean. Tied tokens share their ranks.
    - `loss`: nats for the right token.
    - `agreement`: how often the lens's first token is the model's.

    Args:
        examples: with labels at what should be predicted.
        tuned: also read through this lens.

    Returns:
        A row per `lens` (`logit`, `tuned`), layer and metric: means over positions, whose number is
        `n`, and intervals over texts.

    Raises:
        UnsupportedModelError: the model has no output over a vocabulary.
        InputError: nothing should be predicted; the lens is one for other weights.
    """
    if not model.cfg.has_vocabulary_head:
        raise UnsupportedModelError(
            "A lens reads a stream as tokens; this model's head does not predict tokens."
        )
    if tuned is not None:
        tuned.check(model)
    names = stream_names(model)
    lenses = ["logit"] if tuned is None else ["logit", "tuned"]
    device = model.W_E.device
    sums = torch.zeros(
        len(examples), len(lenses) * len(names), len(METRICS), dtype=torch.float64, device=device
    )
    counts = torch.zeros(len(examples), dtype=torch.float64, device=device)
    at_once = max(1, _AT_ONCE // model.cfg.d_vocab_out)
    for chosen, batch in batches(examples, device):
        _, cache = model.run_with_cache(**batch.inputs, names_filter=names)
        asked = batch.labels != IGNORED
        owner = torch.as_tensor(chosen, device=device)[asked.nonzero()[:, 0]]
        counts.index_add_(0, owner, torch.ones_like(owner, dtype=torch.float64))
        streams = [cache[name][asked] for name in names]
        labels = batch.labels[asked]
        for part in torch.arange(len(labels), device=device).split(at_once):
            told = _judged(model, [stream[part] for stream in streams], labels[part], tuned)
            sums.index_add_(0, owner[part], told)
    totals, n = sums.cpu().numpy(), counts.cpu().numpy()
    if not n.sum():
        raise InputError(
            "Nothing should be predicted in these texts; give an encoder masked ones "
            "(`passages(..., masked=True)`)."
        )
    return _frame(totals[n > 0], n[n > 0], lenses, len(names))


def _judged(model: Any, streams: list[Tensor], labels: Tensor, tuned: TunedLens | None) -> Tensor:
    """The metrics of some positions, [position, lens x layer, metric]; ranks as logarithms."""
    final = _logits(model, streams[-1])
    log_p = final.log_softmax(-1)
    told = []
    for translate in (None, tuned)[: 1 if tuned is None else 2]:
        for layer, stream in enumerate(streams):
            if layer == len(streams) - 1:
                logits = final
            else:
                logits = _logits(model, stream if translate is None else translate(stream, layer))
            log_q = logits.log_softmax(-1)
            right = logits.gather(-1, labels[:, None])
            better, equal = (logits > right).sum(-1), (logits == right).sum(-1)
            told += [
                (log_p.exp() * (log_p - log_q)).sum(-1),
                -(log_q.exp() * log_q).sum(-1),
                (better + (equal + 1) / 2).log(),
                -log_q.gather(-1, labels[:, None])[:, 0],
                (logits.argmax(-1) == final.argmax(-1)).to(log_q.dtype),
            ]
    judged: Tensor = torch.stack(told, -1).double().unflatten(-1, (-1, len(METRICS)))
    return judged


def _logits(model: Any, stream: Tensor) -> Tensor:
    """[n, d_model] -> [n, d_vocab_out], float32 at least."""
    logits: Tensor = model.finish(stream[None])[0]
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _frame(
    totals: np.ndarray, counts: np.ndarray, lenses: list[str], n_streams: int
) -> pd.DataFrame:
    values = totals.sum(0) / counts.sum()
    low, high = ratio_interval(totals, np.broadcast_to(counts[:, None, None], totals.shape))
    geometric = METRICS.index("rank")
    for array in (values, low, high):
        array[:, geometric] = np.exp(array[:, geometric])
    rows = [
        {
            "lens": name,
            "layer": layer,
            "metric": metric,
            "value": values[i * n_streams + layer, m],
            "ci_low": low[i * n_streams + layer, m],
            "ci_high": high[i * n_streams + layer, m],
        }
        for i, name in enumerate(lenses)
        for layer in range(n_streams)
        for m, metric in enumerate(METRICS)
    ]
    return tidy(rows, n=int(counts.sum()))


# -- the script ----------------------------------------------------------------------------------


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_text_arguments(parser)
    parser.add_argument(
        "--tune",
        metavar="NAME|FILE",
        help="train a tuned lens on these texts (of a public set, its training side) and read "
        "through it too",
    )
    parser.add_argument(
        "--tune-steps", type=int, default=200, metavar="N", help="of its training; 200 by default"
    )
    parser.add_argument(
        "--lenses", type=Path, metavar="FOLDER", help="keep tuned lenses here, and use those there"
    )


def _measure(model: Any, options: argparse.Namespace) -> pd.DataFrame:
    masked = model.cfg.head == "mlm"
    examples = read_texts(model, options, masked=masked)
    return lens(model, examples, None if options.tune is None else _tuned(model, options))


def _tuned(model: Any, options: argparse.Namespace) -> TunedLens:
    path = None
    if options.lenses is not None:
        path = options.lenses / f"{short_hash(model)}.safetensors"
        if path.is_file():
            return TunedLens.load(path, model)
    if Path(options.tune).exists() and options.tune == options.texts:
        raise InputError("The lens would be judged by what it has learnt from; give other texts.")
    # As much text as the steps can read.
    learning = argparse.Namespace(
        texts=options.tune, data=options.data, split="train", tokens=2048 * options.tune_steps
    )
    lens = train_tuned_lens(model, read_texts(model, learning), steps=options.tune_steps)
    if path is not None:
        lens.save(path)
    return lens


SCRIPT = Script(
    name="lens",
    summary="What a model would predict if it stopped after each layer: logit and tuned lens.",
    examples=(
        "  python -m probes.lens --run stories-suite --texts childrens_stories --data DATA\n"
        "  python -m probes.lens --run stories --texts childrens_stories --data DATA \\\n"
        "    --tune standard_ebooks --lenses lenses/"
    ),
    measure=_measure,
    chart=lens_curve,
    add_arguments=_add_arguments,
)


if __name__ == "__main__":
    raise SystemExit(SCRIPT.main())
