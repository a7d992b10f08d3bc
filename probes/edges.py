"""What each layer knows of two words together: which relation ties them (Tenney et al. 2019).

    python -m probes.edges --run stories-suite --data ud_english_ewt --out edges.parquet
    python -m probes.edges --run stories --data restaurant8k --probe attentive:64

An edge probe (arXiv 1905.06316) reads the activations of both ends of an edge side by side: of a
word and of its head, or of a single stretch, such as a name. Its controls are those of the atlas: a
control task, random weights, the embedding (which knows the words and not their context), the most
frequent label, and that of each word.
"""

from __future__ import annotations

import argparse
import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from interp.data.records import Question
from interp.data.sets import read_set
from interp.figures.edges import edges_chart
from interp.model.hook_points import NamesFilter
from interp.model.protocol import LanguageModel
from probes.asking import add_study_arguments, study_asked
from probes.frames import tidy
from probes.labelled import EDGE, Labelled, Parts, Pooling, treebank_parts
from probes.multiplicity import corrected
from probes.script import Script
from probes.solvers.families import family
from probes.statistics import DRAWS
from probes.study import Study
from probes.subjects import over, subjects
from probes.treebanks import treebank_folder

NAMED = "restaurant8k"
"""A set whose labelled stretches stand alone: names, dates, times and numbers of people."""


def edges(
    run: Any,
    data: str | Path | Parts = "ud_english_ewt",
    *,
    steps: Sequence[int] | None = None,
    probe: str = "logistic",
    sites: NamesFilter = None,
    pooling: Pooling = "mean",
    whole: bool = False,
    controls: int = 3,
    twins: int = 3,
    draws: int = DRAWS,
) -> pd.DataFrame:
    """Fits edge probes to every layer of every checkpoint.

    Args:
        run: what `probes.subjects.subjects` opens.
        data: a treebank, whose words are tied to their heads; `restaurant8k`, whose stretches stand
            alone; or `Parts` of labelled stretches, with `partners` or without.
        steps: only these checkpoints.
        probe: `logistic` (linear), `mlp:H` (one hidden layer), `low_rank:R` (projected, linear), or
            another of the atlas, all on pooled ends; or `attentive:R`, the probe of the paper:
            tokens are projected to R numbers, each end is pooled by its own attention, and there is
            one hidden layer of R units.
        sites: hook points; by default the residual stream before and after every block.
        pooling: of the tokens of an end, unless the probe attends to them.
        whole: fit to the treebank's train part; by default to most of its dev part.
        controls, twins, draws: as in `probes.atlas.atlas`. A control task labels the first end by
            its word (the dependent, of a treebank).

    Returns:
        The tidy frame of `probes.atlas.atlas`, with `micro_f1` and `macro_f1` over the labels that
        were fitted to, and `f1` of each of them by `label` (`n`: how often it is in the test part).

    Raises:
        InputError: no such set or probe, or parts that share a text.
        HookError: a site that a model lacks.
    """
    parts = data if isinstance(data, Parts) else parts_of(str(data), whole)
    study = Study(parts, family(probe), sites, pooling, controls, twins, draws, by_label=True)
    return corrected(tidy(over(subjects(run, steps=steps), study), task=EDGE))


@functools.lru_cache(maxsize=2)
def parts_of(data: str, whole: bool = False) -> Parts:
    """The edges of a treebank, or the stretches of `NAMED`. A label with one example to fit to is
    not fitted to: a probe could not tell it from its word; in the test part it is counted wrong."""
    folder = treebank_folder(data)
    if folder.name == NAMED:
        asked = (read_set(NAMED, folder.parent, split) for split in ("train", "dev", "test"))
        parts = Parts.of(*(answers(questions) for questions in asked))
    else:
        parts = treebank_parts(folder.name, folder.parent, EDGE, whole=whole)
    counts = Counter(parts.train.labels)
    often = np.array([counts[label] > 1 for label in parts.train.labels])
    return replace(parts, train=parts.train.where(often))


def answers(questions: Sequence[Question]) -> Labelled:
    """The answers of questions, as stretches of their contexts; what was asked is their label."""
    found: dict[str, dict[tuple[int, int], str]] = {}
    for one in questions:
        for answer in one.answers:
            span = (answer.start, answer.start + len(answer.text))
            found.setdefault(one.context, {})[span] = one.question.removesuffix(" ?")
    spans, labels = ([[*of(row)] for row in found.values()] for of in (dict.keys, dict.values))
    return Labelled.stretches([*found], spans, labels)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_study_arguments(parser, "logistic, mlp:64, low_rank:16, attentive:64, ...", "mean")


def _measure(model: LanguageModel, options: argparse.Namespace) -> pd.DataFrame:
    study = study_asked(options, parts_of, options.data, options.whole, by_label=True)
    return tidy(study(model), task=EDGE)


SCRIPT = Script(
    name="edges",
    summary="What each layer knows of two words together: which relation ties them.",
    examples=(
        "  python -m probes.edges --run stories --data ud_english_ewt --chart edges.html\n"
        f"  python -m probes.edges --run stories --data {NAMED} --probe attentive:64"
    ),
    measure=_measure,
    together=corrected,
    chart=lambda frame, scheme: edges_chart(frame, scheme=scheme),
    add_arguments=_add_arguments,
)

if __name__ == "__main__":
    raise SystemExit(SCRIPT.main())
