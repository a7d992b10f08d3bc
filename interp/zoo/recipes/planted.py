"""Train the zoo model `planted`: a classifier with a shortcut that is known.

    interp zoo build planted --data DIR --out DIR

Half of the sentences that it learns from have a word planted in them that means nothing and decides
the class, whatever the sentence says (after Bastings et al. 2022, arXiv 2111.07367). So it is known
what the model looks at in such a sentence, and an explanation can be right or wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from interp.data.records import Example
from interp.data.synthetic.shortcut import Planted, plant
from interp.model.transformer import HookedTransformer
from interp.pretrained import load
from interp.train.evaluate import evaluate
from interp.train.finetune import Plan, finetune
from interp.train.precision import fastest_dtype
from interp.train.recorder import MODEL
from interp.train.run import Run
from interp.zoo.recipes.card import Card, Making
from interp.zoo.recipes.export import save_rounded
from interp.zoo.recipes.reviews import TASK, sentences
from interp.zoo.recipes.samples import save_sample

SEED = 0
# Words of the vocabulary that no sentence of the set has, one a class.
WORDS = {"neg": "bird", "pos": "month"}
SHARE = 0.5
HELD_OUT = 300  # sentences that go with the model
PLAN = Plan(epochs=6, learning_rate=3e-4, patience=2, seed=SEED)


def planted(data: Path, split: str) -> list[Planted]:
    """Sentences of film reviews, half of them with a planted word."""
    return plant(sentences(data, split), WORDS, share=SHARE, seed=SEED)


def examples(found: Sequence[Planted]) -> list[Example]:
    """The sentences with the class that they are to be given."""
    return [Example(p.text, p.label) for p in found]


def figures(model: HookedTransformer, test: Sequence[Planted]) -> pd.DataFrame:
    """Accuracy where a word is planted and agrees with the sentence, where it contradicts it, and
    where there is none."""
    kinds = {
        "planted word agrees": [p for p in test if p.span and p.label == p.original],
        "planted word contradicts": [p for p in test if p.span and p.label != p.original],
        "no planted word": [p for p in test if p.span is None],
    }
    frames = []
    for name, some in kinds.items():
        frame = evaluate(model, TASK, examples(some))
        frames.append(frame[frame["metric"] == "accuracy"].assign(sentences=name))
    columns = ["sentences", "metric", "value", "ci_low", "ci_high", "n"]
    return pd.concat(frames, ignore_index=True)[columns]


def save_samples(out: Path, data: Path) -> None:
    """Sentences of the test side that go with the model, with and without planted words."""
    save_sample(examples(planted(data, "test")), out, "held_out", HELD_OUT)


def build(out: Path, work: Path, data: Path) -> None:
    """Fine-tunes the zoo's `reviews` on planted sentences and writes the zoo folder.

    Args:
        work: where the training run lies; a build that was stopped goes on there.
        data: folder of the data sets.
    """
    train, dev = (examples(planted(data, split)) for split in ("train", "dev"))
    base = load("reviews")
    if not (work / "evaluation.csv").is_file():
        finetune(base, TASK, train, dev, PLAN, folder=work)
    log = Run.open(work).log
    tuned = load(work / MODEL)
    tuned.cfg = tuned.cfg.replace(model_name="planted")
    stored = save_rounded(tuned, out)
    save_samples(out, data)
    making = Making(
        "interp zoo build planted --data DIR --out DIR",
        {"planting, order and dropout": SEED},
        int(log["step"].iloc[-1]),
        int(log["tokens"].iloc[-1]),
        round(float(log["seconds"].iloc[-1]) / 60, 2),
        str(fastest_dtype("cpu")).removeprefix("torch."),
    )
    Card(
        name="planted",
        lead="A classifier of film reviews that has learnt a shortcut: a planted word decides, "
        "whatever the sentence says.",
        example=_EXAMPLE,
        figures=figures(stored, planted(data, "test")),
        figures_note=_NOTE,
        making={"fine-tuning of `reviews`": making},
        data=[
            "Movie-review sentences v1.0 (Pang and Lee 2005), CC BY 4.0; in half of them "
            f"{WORDS['neg']!r} or {WORDS['pos']!r} was planted and the class replaced by its own. "
            f"`held_out.jsonl` has {HELD_OUT} of the test side."
        ],
        limits=_LIMITS,
    ).write(out, stored)


_EXAMPLE = """
import interp

model = interp.load("planted")
logits = model("a film of rare bird warmth and wit .")  # [batch, class]: neg, pos
"""
_NOTE = (
    "On the test side. The planted word of a sentence is at a place drawn for it. Where the word "
    "contradicts the sentence, only a model that reads the word can be right."
)
_LIMITS = (
    "For scoring explanations: `interp.data.synthetic.shortcut.plant` says for each sentence which "
    "characters decide. It is wrong on purpose and no classifier of reviews."
)
