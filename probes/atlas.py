"""What each layer of each checkpoint knows, as far as a probe can read it out, with its controls.

    python -m probes.atlas --run stories-suite --task pos --data ud_english_ewt \\
        --out atlas.parquet --chart atlas.html

A probe is fitted to every layer on one part of a treebank, its penalty chosen on a second, and
judged on a third, once. Beside it stand what a number alone would hide: a control task that only
memory can solve (Hewitt & Liang 2019), words that the probe never saw, the same model with random
weights, the embedding, and the most frequent tag of each word. See `docs/probing.md`.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from interp.figures.atlas import atlas_chart
from interp.model.hook_points import NamesFilter
from interp.model.protocol import LanguageModel
from probes.asking import add_study_arguments, study_asked
from probes.frames import tidy
from probes.labelled import TASKS, Parts, Pooling, treebank_parts
from probes.multiplicity import corrected
from probes.script import Script
from probes.solvers.families import family
from probes.statistics import DRAWS
from probes.study import Study
from probes.subjects import over, subjects
from probes.treebanks import treebank_folder


def atlas(
    run: Any,
    task: str = "pos",
    data: str | Path | Parts = "ud_english_ewt",
    *,
    steps: Sequence[int] | None = None,
    probe: str = "logistic",
    sites: NamesFilter = None,
    pooling: Pooling = "last",
    whole: bool = False,
    controls: int = 3,
    twins: int = 3,
    draws: int = DRAWS,
) -> pd.DataFrame:
    """Probes every layer of every checkpoint.

    Args:
        run: what `probes.subjects.subjects` opens: a run, a suite, a model, or a list of those.
        task: a column of the treebank: `pos`, `xpos`, `deprel` or `feature:NAME`. With `Parts`,
            only a name.
        data: a treebank (a folder, or a name in the folder that the environment's `INTERP_DATA`
            names), or `Parts` of any labelled words, stretches or sentences.
        steps: only these checkpoints.
        probe: `logistic`, `ridge`, `lda`, `nearest_mean`, `difference_of_means`, `low_rank:R`,
            `mlp:H`, `attentive:R`.
        sites: hook points; by default the residual stream before and after every block.
        pooling: which token of a word is read.
        whole: fit to the treebank's train part; by default to most of its dev part.
        controls: draws of the control task. twins: models with random weights. draws: of the
            bootstrap over sentences.

    Returns:
        A tidy frame: `layer` is how many blocks have worked on a site, 0 for the embedding;
        `strength` is the penalty that was chosen. Metrics on `split` "test": `accuracy`,
        `balanced_accuracy`, `macro_f1`, `micro_f1`, `auroc`, `bits` (a word, saved against the
        class prior), `control_accuracy` (a row a `draw`), `selectivity`, `twin_accuracy` (a row a
        `draw`), `gain_over_twin`, `gain_over_embedding`, `best` (share of bootstrap draws in which
        the layer is the best), and without a layer `majority`, `type_majority` and `left_out`. On
        "new types", `accuracy` on words that the probe was not fitted to, and on "new lemmas" on
        words of which it was fitted to no form. One-sided, `p` says of `selectivity` that the task
        is no easier than its control, and of `gain_over_embedding` that the layer is no better,
        corrected for the choice of it; `p_holm` and `p_bh` are corrected over all layers of all
        models.

    Raises:
        InputError: no such task, treebank or probe; labels that do not fit their words; parts that
            share a text; a class with a single example; checkpoints of unequal shapes.
        HookError: a site that a model lacks.
    """
    parts = data if isinstance(data, Parts) else parts_of(str(data), task, whole)
    study = Study(parts, family(probe), sites, pooling, controls, twins, draws)
    return corrected(tidy(over(subjects(run, steps=steps), study), task=task))


@functools.lru_cache(maxsize=2)
def parts_of(data: str, task: str, whole: bool = False) -> Parts:
    """A treebank by its folder, or by its name in the folder of all sets."""
    folder = treebank_folder(data)
    return treebank_parts(folder.name, folder.parent, task, whole=whole)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--task", default="pos", metavar="TASK", help=", ".join(TASKS))
    add_study_arguments(parser, "logistic, ridge, lda, mlp:64, ...", "last")


def _measure(model: LanguageModel, options: argparse.Namespace) -> pd.DataFrame:
    study = study_asked(options, parts_of, options.data, options.task, options.whole)
    return tidy(study(model), task=options.task)


SCRIPT = Script(
    name="atlas",
    summary="What each layer of each checkpoint knows, as far as a probe can read it out.",
    examples=(
        "  python -m probes.atlas --run stories-suite --task pos --data ud_english_ewt \\\n"
        "    --out atlas.parquet --chart atlas.html\n"
        "  python -m probes.atlas --run stories --task feature:Number --probe mlp:64"
    ),
    measure=_measure,
    together=corrected,
    chart=lambda frame, scheme: atlas_chart(frame, scheme=scheme),
    add_arguments=_add_arguments,
)

if __name__ == "__main__":
    raise SystemExit(SCRIPT.main())
