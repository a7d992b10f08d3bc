"""Whether syntax trees lie in the geometry of each layer (Hewitt & Manning 2019).

    python -m probes.structural --run stories --data ud_english_ewt --out structural.parquet

A map is fitted so that squared distances of words are their distances in the tree, for every layer
at once, and judged on other documents. Beside it stands a chain in which each word hangs on the
word before it, which is right surprisingly often, and the same model with random weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from interp.activations import encode, gather
from interp.data.treebank import Sentence, open_treebank
from interp.errors import InputError
from interp.figures.structural import structural_chart
from interp.model.hook_points import select
from interp.model.protocol import LanguageModel
from interp.model.transformer import HookedTransformer
from probes.frames import tidy
from probes.labelled import Labelled
from probes.reading import depth, stream
from probes.script import Script
from probes.solvers.structural import (
    Floats,
    attachment,
    fit_structural,
    rank_agreement,
    tree_depths,
    tree_distances,
)
from probes.statistics import cluster_bootstrap
from probes.subjects import over, subjects
from probes.treebanks import add_treebank_argument, treebank_folder

Trees = Sequence[Sentence]


def structural(
    run: Any,
    data: str | Path | tuple[Trees, Trees] = "ud_english_ewt",
    *,
    steps: Sequence[int] | None = None,
    rank: int = 64,
    epochs: int = 30,
    longest: int = 40,
    sentences: int = 2000,
) -> pd.DataFrame:
    """Fits a structural probe to every layer of every checkpoint.

    Args:
        run: what `probes.subjects.subjects` opens.
        data: a treebank (fitted to its dev part, judged by its test part), or both as sentences.
        longest: words; longer sentences are left out. sentences: the most in each part.

    Returns:
        A tidy frame: `uuas` (share of edges that the spanning tree of the predicted distances has,
        without punctuation), `distance_spearman`, `depth_spearman`, `root` (share of sentences
        whose shallowest word is the root), each also `twin_...` for random weights, and `chain`.

    Raises:
        InputError: no such treebank, or no sentence that can be read.
    """
    parts = data if isinstance(data, tuple) else _treebank(str(data))
    chosen = [_usable(part, longest)[:sentences] for part in parts]
    if not all(chosen):
        raise InputError(f"A part has no sentence of 2 to {longest} words.")

    def measure(model: LanguageModel) -> pd.DataFrame:
        return _measure(model, chosen[0], chosen[1], rank, epochs)

    return over(subjects(run, steps=steps), measure)


def _treebank(data: str) -> tuple[Trees, Trees]:
    folder = treebank_folder(data)
    dev, test = (open_treebank(folder.name, folder.parent, part) for part in ("dev", "test"))
    texts = {sentence.text for sentence in test}
    return [sentence for sentence in dev if sentence.text not in texts], test


def _usable(part: Trees, longest: int) -> list[Sentence]:
    return [s for s in part if 1 < len(s) <= longest]


def _measure(
    model: LanguageModel, train: Trees, test: Trees, rank: int, epochs: int
) -> pd.DataFrame:
    names = stream(model)
    rows = _of_model(model, names, train, test, rank, epochs)
    if isinstance(model, HookedTransformer):
        twin = HookedTransformer(model.cfg, model.tokenizer, seed=10_000).eval()
        rows |= {
            f"twin_{name}": values
            for name, values in _of_model(twin, names, train, test, rank, epochs).items()
        }
    documents = [s.document for s in test]
    found = []
    for metric, values in rows.items():
        known = ~np.isnan(values).any(1)
        names_of = np.array(documents)[known]
        low, high = cluster_bootstrap(values[known], names_of)
        for i, mean in enumerate(values[known].mean(0)):
            row = {"metric": metric, "value": mean, "ci_low": low[i], "ci_high": high[i]}
            if metric != "chain":
                row |= {"site": names[i], "layer": depth(names[i], model)}
            found.append({**row, "n": int(known.sum())})
    return tidy(pd.DataFrame(found), task="tree", split="test")


def _of_model(
    model: LanguageModel, names: list[str], train: Trees, test: Trees, rank: int, epochs: int
) -> dict[str, Floats]:
    """Values of each test sentence at each site, [sentence, site]; NaN where it has none."""
    rows = {"train": _read(model, names, train), "test": _read(model, names, test)}
    every = torch.cat([row for row in rows["train"] if row is not None], 1)
    mean, spread = every.mean(1, keepdim=True), every.std(1, keepdim=True, correction=0)
    spread = torch.where(spread > 0, spread, 1.0)
    ready = {
        part: [None if row is None else (row - mean) / spread for row in found]
        for part, found in rows.items()
    }
    fitted = [
        (row, s.heads) for row, s in zip(ready["train"], train, strict=True) if row is not None
    ]
    sentences, heads = [row for row, _ in fitted], [h for _, h in fitted]
    distance = fit_structural(sentences, heads, "distance", rank=rank, epochs=epochs)
    depths = fit_structural(sentences, heads, "depth", rank=rank, epochs=epochs)
    out = {
        name: np.full((len(test), len(names)), np.nan)
        for name in ("uuas", "distance_spearman", "depth_spearman", "root")
    }
    out["chain"] = np.full((len(test), 1), np.nan)
    for i, (sentence, row) in enumerate(zip(test, ready["test"], strict=True)):
        skip = [tag == "PUNCT" for tag in sentence.upos]
        out["chain"][i] = attachment(_chain(skip), sentence.heads, skip)
        if row is None:
            continue
        far, deep = distance.predict(row).double().numpy(), depths.predict(row).double().numpy()
        true, true_depth = tree_distances(sentence.heads), tree_depths(sentence.heads)
        for site in range(len(names)):
            out["uuas"][i, site] = attachment(far[site], sentence.heads, skip)
            out["distance_spearman"][i, site] = rank_agreement(far[site], true)
            out["depth_spearman"][i, site] = rank_agreement(deep[site], true_depth)
            out["root"][i, site] = float(true_depth[deep[site].argmin()] == 0)
    return out


def _chain(skip: list[bool]) -> Floats:
    """Distances of a chain of the words that are not left out."""
    place = np.cumsum([not left for left in skip])
    distances: Floats = np.abs(place[:, None] - place).astype(np.float64)
    return distances


def _read(model: LanguageModel, names: list[str], part: Trees) -> list[Tensor | None]:
    """Activations of each sentence, [site, word, d]; None where a word of it has no token."""
    labelled = Labelled.treebank(part, "pos")
    texts = encode(model, labelled.texts, truncate=True)
    places, kept = labelled.places(texts.source)
    values = gather(model, texts, select(model.hook_points, names), places).values
    stacked = torch.stack([values[name].float() for name in names]).cpu()
    ends = np.searchsorted(labelled.text[kept], np.arange(len(part) + 1))
    return [
        stacked[:, a:b] if b - a == len(sentence) else None
        for sentence, a, b in zip(part, ends[:-1], ends[1:], strict=True)
    ]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_treebank_argument(parser)
    parser.add_argument("--rank", type=int, default=64, help="of the map")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--longest", type=int, default=40, help="words of a sentence")
    parser.add_argument("--sentences", type=int, default=2000, help="the most in each part")


def _of_options(model: LanguageModel, options: argparse.Namespace) -> pd.DataFrame:
    train, test = (_usable(part, options.longest) for part in _treebank(options.data))
    most = options.sentences
    return _measure(model, train[:most], test[:most], options.rank, options.epochs)


SCRIPT = Script(
    name="structural",
    summary="Whether syntax trees lie in the geometry of each layer.",
    examples="  python -m probes.structural --run stories --data ud_english_ewt --out s.parquet",
    measure=_of_options,
    chart=lambda frame, scheme: structural_chart(frame, scheme=scheme),
    add_arguments=_add_arguments,
)

if __name__ == "__main__":
    raise SystemExit(SCRIPT.main())
