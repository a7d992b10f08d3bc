"""What a concept is worth to a model: erase it from a layer, and see what is lost.

    python -m probes.erasure --run stories --task pos --data ud_english_ewt

That a probe finds a concept does not say that the model uses it. Here it is taken out of the stream
by the erasers of `probes.erasers`, and two things are measured: what a probe that is fitted anew
still finds, and by how much the model's own loss grows. A concept that is used costs more than a
random subspace of as many dimensions.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from interp.activations import Moments, MomentsFitter, encode, gather
from interp.data.batch import IGNORED
from interp.data.examples import Examples
from interp.data.registry import MIRROR
from interp.errors import InputError
from interp.figures.erasure import erasure_chart
from probes.atlas import parts_of
from probes.erasers import Eraser, inlp, leace, random_eraser
from probes.frames import tidy
from probes.labelled import TASKS, Labelled, Parts
from probes.passages import batches, passages
from probes.script import Script
from probes.solvers.discriminant import discriminant
from probes.statistics import cluster_bootstrap, ratio_interval
from probes.stream import stream_sites

TOKENS = 4000
"""Tokens on which the loss is measured by default, for each eraser of each layer."""
_ITERATIONS = 4
_DRAWS = 3
_FLOOR = 1e-6  # of the mean variance

Tried = tuple[str, int, Eraser | None]
"""Name of the method, number of the draw, and the eraser (None: nothing is erased)."""


def erasure(
    model: Any,
    parts: Parts,
    *,
    layers: Sequence[int] | None = None,
    tokens: int = TOKENS,
    iterations: int = _ITERATIONS,
    draws: int = _DRAWS,
) -> pd.DataFrame:
    """Erases the labels of words from the stream, one layer at a time.

    Erasers are fitted to the train part. Accuracy is that of a linear discriminant, fitted to the
    erased train part, on the erased test part, which counts words. `delta_loss` is the growth of
    the model's loss on the texts of the test part, in nats a token, with all tokens of the layer
    erased: of a decoder on the next token, of an encoder on masked ones. Encoder-decoders have no
    loss here, since treebanks are not translated.

    Args:
        parts: from `probes.labelled`.
        layers: blocks passed; by default all.
        tokens: of the texts, for the loss.
        iterations: of INLP.
        draws: of random subspaces, for each rank that another eraser has.

    Returns:
        Rows for each site, `method` (`none`, `leace`, `inlp`, `random`), `rank`, `draw` and metric,
        with intervals over texts; of `accuracy`, `chance` is the share of the commonest label.

    Raises:
        InputError: one label only, or no such layer.
    """
    sites = _chosen(model, layers)
    train, test = parts.train, parts.test
    classes = sorted(set(train.labels))
    if len(classes) < 2:
        raise InputError(f"All words to fit to have the label {classes[0]!r}: nothing to erase.")
    number = {label: i for i, label in enumerate(classes)}
    rows_train, labels, _ = _read(model, train, list(sites), number)
    rows_test, truth, text = _read(model, test, list(sites), number)
    chance = float((truth == int(np.bincount(labels[labels >= 0]).argmax())).mean())
    examples = _for_loss(model, test.texts, tokens)
    plain = None if examples is None else _losses(model, examples)
    found: list[dict[str, Any]] = []
    for site, layer in sites.items():
        moments = _moments(rows_train[site], labels, len(classes))
        tried = list(_tried(moments, iterations, draws))
        keys = [
            {"site": site, "layer": layer, "method": method, "draw": draw}
            | {"rank": 0 if eraser is None else eraser.rank}
            for method, draw, eraser in tried
        ]
        right = np.stack(
            [_right(moments, rows_test[site], truth, eraser) for _, _, eraser in tried], 1
        )
        low, high = cluster_bootstrap(right, text)
        for key, *values in zip(keys, right.mean(0), low, high, strict=True):
            row = dict(zip(("value", "ci_low", "ci_high"), values, strict=True))
            found.append({**key, "metric": "accuracy", **row, "n": len(truth), "chance": chance})
        if examples is None or plain is None:
            continue
        counts = plain[1]
        growth = np.stack(
            [
                _losses(model, examples, site, e)[0] - plain[0] if e else 0 * counts
                for *_, e in tried
            ],
            1,
        )
        low, high = ratio_interval(growth, np.repeat(counts[:, None], len(tried), 1))
        for key, *values in zip(keys, growth.sum(0) / counts.sum(), low, high, strict=True):
            row = dict(zip(("value", "ci_low", "ci_high"), values, strict=True))
            found.append({**key, "metric": "delta_loss", **row, "n": int(counts.sum())})
    return tidy(found)


def _chosen(model: Any, layers: Sequence[int] | None) -> dict[str, int]:
    """Site -> layer, of the stack that reads the text."""
    sites = {s: layer for s, (stack, layer) in stream_sites(model).items() if stack != "decoder"}
    if layers is None:
        return sites
    missing = sorted(set(layers) - set(sites.values()))
    if missing:
        raise InputError(
            f"There is no layer {missing[0]}; the layers of this model are 0 to "
            f"{max(sites.values())}, counted in blocks passed."
        )
    return {site: layer for site, layer in sites.items() if layer in layers}


def _read(
    model: Any, part: Labelled, sites: list[str], number: dict[str, int]
) -> tuple[dict[str, Tensor], np.ndarray, np.ndarray]:
    """Activations at the last token of each word, its class (-1 for an unknown one), its text."""
    texts = encode(model, part.texts, truncate=True)
    places, kept = part.places(texts.source)
    values = gather(model, texts, sites, places).values
    labels = np.array([number.get(part.labels[i], -1) for i in kept], np.int64)
    return {site: value.double() for site, value in values.items()}, labels, part.text[kept]


def _moments(rows: Tensor, labels: np.ndarray, n_classes: int) -> Moments:
    fitter = MomentsFitter(n_classes)
    fitter.update(rows, torch.from_numpy(labels))
    return fitter.moments


def _tried(moments: Moments, iterations: int, draws: int) -> Iterator[Tried]:
    yield "none", 0, None
    others = [("leace", leace(moments)), *(("inlp", e) for e in inlp(moments, iterations))]
    for method, eraser in others:
        yield method, 0, eraser
    for rank in sorted({eraser.rank for _, eraser in others}):
        for draw in range(draws):
            yield "random", draw, random_eraser(moments, rank, draw)


def _right(moments: Moments, rows: Tensor, truth: np.ndarray, eraser: Eraser | None) -> np.ndarray:
    """Which words a discriminant gets right, [word]. Erased classes all have one mean, so that what
    it says is the commonest class."""
    # A floor under the variances: a direction in which no class varies tells classes apart best.
    d = len(moments.mean)
    floor = _FLOOR * moments.scatter.trace() / d * torch.eye(d).to(moments.scatter)
    if eraser is not None:
        moments, rows = eraser.of_moments(moments), eraser(rows)
    said = (
        discriminant(dataclasses.replace(moments, scatter=moments.scatter + floor))
        .logits(rows)
        .argmax(1)
        .cpu()
        .numpy()
    )
    right: np.ndarray = (said == truth).astype(np.float64)
    return right


# -- the model's own loss --------------------------------------------------------------------------


def _for_loss(model: Any, texts: Sequence[str], tokens: int) -> Examples | None:
    if model.cfg.shape == "encoder_decoder" or not model.cfg.has_vocabulary_head:
        return None
    return passages(model, texts, most=tokens, masked=model.cfg.shape == "encoder")


@torch.no_grad()
def _losses(
    model: Any, examples: Examples, site: str | None = None, eraser: Eraser | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Summed loss in nats and number of predicted tokens of each text, [text], with all tokens of a
    site erased."""

    def edit(value: Tensor, hook: Any) -> Tensor:
        assert eraser is not None
        return eraser(value)

    hooks: list[tuple[str, Callable[..., Tensor]]] = [] if site is None else [(site, edit)]
    total, counts = np.zeros(len(examples)), np.zeros(len(examples))
    for chosen, batch in batches(examples, model.W_E.device):
        logits = model.run_with_hooks(**batch.inputs, fwd_hooks=hooks)
        known = batch.labels != IGNORED
        right = batch.labels.clamp(min=0)[..., None]
        losses = -logits.float().log_softmax(-1).gather(-1, right)[..., 0]
        total[chosen] = torch.where(known, losses, 0.0).sum(1).cpu().numpy()
        counts[chosen] = known.sum(1).cpu().numpy()
    return total, counts


# -- the command line ------------------------------------------------------------------------------


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--task", default="pos", help=f"{', '.join(TASKS)}; pos by default")
    parser.add_argument(
        "--data",
        default="ud_english_ewt",
        metavar="TREEBANK",
        help=f"its folder, or its name in the folder that {MIRROR} names",
    )
    parser.add_argument("--layers", nargs="+", type=int, metavar="L", help="blocks passed")
    parser.add_argument("--tokens", type=int, default=TOKENS, metavar="N", help="for the loss")


SCRIPT = Script(
    name="erasure",
    summary="What a concept is worth to a model: probe accuracy and loss after erasing it.",
    examples=(
        "  python -m probes.erasure --run stories --task pos --data ud_english_ewt \\\n"
        "    --chart erasure.html"
    ),
    measure=lambda model, options: erasure(
        model,
        parts_of(options.data, options.task),
        layers=options.layers,
        tokens=options.tokens,
    ),
    chart=lambda frame, scheme: erasure_chart(frame, scheme=scheme),
    add_arguments=_arguments,
)


if __name__ == "__main__":
    raise SystemExit(SCRIPT.main())
