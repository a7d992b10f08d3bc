"""How many bits the labels cost somebody who has a layer: ease of reading, not only success.

    python -m probes.mdl --run stories-suite --task pos --data ud_english_ewt --out mdl.parquet

The online code (Voita & Titov 2020, arXiv 2003.12298): labels are sent block by block, each priced
by a probe that was fitted to those before it. Beside the task stands a control task, a random class
for each word: a probe may come to remember it, but pays for every word.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from interp.activations import encode, gather
from interp.errors import InputError
from interp.figures.mdl import mdl_chart
from interp.model.protocol import LanguageModel
from probes.atlas import parts_of
from probes.controls import control_labels
from probes.frames import tidy
from probes.labelled import TASKS, Labelled
from probes.reading import depth, stream
from probes.script import Script
from probes.solvers.mdl import FRACTIONS, online_code
from probes.subjects import over, subjects
from probes.treebanks import add_treebank_argument


def mdl(
    run: Any,
    task: str = "pos",
    data: str | Path | Labelled = "ud_english_ewt",
    *,
    steps: Sequence[int] | None = None,
    fractions: tuple[float, ...] = FRACTIONS,
) -> pd.DataFrame:
    """Codes labels from every layer of every checkpoint.

    Args:
        run: what `probes.subjects.subjects` opens.
        task: a column of the treebank; with `Labelled`, only a name.
        data: a treebank, of whose dev part four fifths of the documents are coded, or words.
        steps: only these checkpoints.
        fractions: where blocks end, as shares of the words.

    Returns:
        A tidy frame; `labels` says whose, "task" or "control". `codelength` is the bits a word
        that a block (`fraction`, where it ends) adds to the code of all; `compression` is how many
        times shorter the code is than log2(classes) a word, and `uniform` is that.

    Raises:
        InputError: no such task or treebank; labels of one kind only.
    """
    words = data if isinstance(data, Labelled) else parts_of(str(data), task).train
    frame = over(subjects(run, steps=steps), lambda model: _measure(model, words, fractions))
    return tidy(frame, task=task)


def _measure(model: LanguageModel, words: Labelled, fractions: tuple[float, ...]) -> pd.DataFrame:
    names = stream(model)
    texts = encode(model, words.texts, truncate=True)
    places, kept = words.places(texts.source)
    # Texts come in an order that says nothing, the same for every model.
    order = np.random.default_rng(0).permutation(len(words.texts))
    rows = np.argsort(order[words.text[kept]], kind="stable")
    values = gather(model, texts, names, places).values
    stacked = torch.stack([values[name].float()[torch.from_numpy(rows)] for name in names])
    kept = kept[rows]
    classes, task = np.unique([words.labels[i] for i in kept], return_inverse=True)
    if len(classes) < 2:
        raise InputError(f"All words have the label {str(classes[0])!r}; there is nothing to send.")
    shares = np.bincount(task) / len(task)
    control = control_labels([words.types[i] for i in kept], shares, 0)
    found: list[dict[str, Any]] = []
    for kind, labels in (("task", task), ("control", control)):
        code = online_code(
            stacked, torch.from_numpy(labels), n_classes=len(classes), fractions=fractions
        )
        n = len(labels)
        for i, name in enumerate(names):
            row = {"labels": kind, "site": name, "layer": depth(name, model), "n": n}
            found.append({**row, "metric": "compression", "value": code.compression[i]})
            found.append({**row, "metric": "uniform", "value": float(np.log2(len(classes)))})
            for end, bits in zip(code.ends, code.bits[i], strict=True):
                found.append(
                    {**row, "metric": "codelength", "fraction": end / n, "value": bits / n}
                )
    return tidy(found)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--task", default="pos", metavar="TASK", help=", ".join(TASKS))
    add_treebank_argument(parser)


def _of_options(model: LanguageModel, options: argparse.Namespace) -> pd.DataFrame:
    words = parts_of(options.data, options.task).train
    return tidy(_measure(model, words, FRACTIONS), task=options.task)


SCRIPT = Script(
    name="mdl",
    summary="How many bits the labels cost somebody who has a layer.",
    examples="  python -m probes.mdl --run stories --task pos --out mdl.parquet",
    measure=_of_options,
    chart=lambda frame, scheme: mdl_chart(frame, scheme=scheme),
    add_arguments=_add_arguments,
)

if __name__ == "__main__":
    raise SystemExit(SCRIPT.main())
