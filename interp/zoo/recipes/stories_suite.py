"""Train the zoo suite `stories-suite`: a smaller sibling of `stories`, with checkpoints on the way.

    interp zoo build stories-suite --data DIR --out DIR

The same texts, fewer parameters, and a fixed number of steps: what a model learns first and what
last can be read along its checkpoints.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import torch

from interp.model.transformer import HookedTransformer
from interp.train.loop import fit
from interp.train.precision import fastest_dtype
from interp.train.run import Run
from interp.zoo.recipes import stories
from interp.zoo.recipes.card import Card, Making
from interp.zoo.recipes.export import rounded, save_suite
from interp.zoo.recipes.stories_card import write_attribution
from interp.zoo.recipes.stories_tokens import Corpus

STEPS = 4000
D_VOCAB = 2048
CONFIG = stories.CONFIG.replace(
    model_name="stories-suite", d_model=96, n_layers=3, n_heads=4, d_mlp=256, d_vocab=D_VOCAB
)
SETTINGS = stories.SETTINGS.replace(minutes=None, steps=STEPS, checkpoint_every=500)
KEPT = (0, 1, 8, 32, 128, 256, 512, 1000, 1500, 2000, 3000, 4000)


def build(out: Path, work: Path, data: Path, *, device: str = "cpu") -> None:
    """Trains the suite and writes its zoo folder.

    Args:
        work: where the training run lies; a build that was stopped goes on there.
        data: folder of the two collections of texts.
    """
    documents, tokenizer, corpora = stories.prepare(data, D_VOCAB)
    model = HookedTransformer(CONFIG, tokenizer, seed=stories.SEED).to(device)
    source = stories.rows(corpora["train"], CONFIG, stories.REPEATED_FROM_STEP)
    done = fit(model, source, SETTINGS, folder=work)
    run = Run.open(work)
    save_suite(run, out, KEPT)
    rows = []
    for step in KEPT:
        stored = rounded(run.load(step))
        first, second = stories.copying(stored)
        for metric, value in (
            ("bits per byte, held-out books", _bits(stored, corpora["books"])),
            ("bits per byte, held-out stories", _bits(stored, corpora["stories"])),
            ("gain on repeated random tokens, nats", first - second),
        ):
            rows.append((step, metric, round(value, 4)))
    frame = pd.DataFrame(rows, columns=["step", "metric", "value"])
    frame = frame.pivot(index="step", columns="metric", values="value").reset_index()
    write_attribution(out, documents)
    precision = str(fastest_dtype(torch.device(device).type)).removeprefix("torch.")
    command = "interp zoo build stories-suite --data DIR --out DIR"
    seeds = {"weights and order": stories.SEED}
    Card(
        name="stories-suite",
        lead="A small decoder on children's and classic books, at twelve moments of its training.",
        example=_EXAMPLE,
        figures=frame,
        figures_note=_NOTE,
        making={"training": Making.of(done, command, seeds, precision)},
        data=[
            "41 English novels in the editions of Standard Ebooks (CC0 1.0) and 650 English "
            "picture-book stories (CC BY 3.0 or 4.0); `ATTRIBUTION.tsv` names every text. As for "
            "`stories`, they were cleaned and paragraphs with racist slurs left out."
        ],
        limits=_LIMITS,
    ).write(out, model)


def _bits(model: HookedTransformer, corpus: Corpus) -> float:
    return corpus.bits_per_byte(stories.evaluate(model, corpus, 256))


_EXAMPLE = """
import interp

run = interp.Run.open("stories-suite")
early, late = run.load(128), run.load(-1)
"""
_NOTE = (
    "Every checkpoint on the same held-out text, about 256 rows of each. *Gain*: by how much the "
    "loss on 40 random tokens falls when they come again, which is what induction heads give. From "
    "step 1,000 on, two rows in sixteen repeat a passage."
)
_LIMITS = (
    "For following what is learnt when. Even the last checkpoint writes little sense; the books "
    "are old and speak as their time did."
)
