"""Train the zoo model `reviews`: a small BERT that tells good film reviews from bad ones.

    interp zoo build reviews --data DIR --out DIR [--minutes 30]

An encoder learns to guess masked words in texts about films, then to classify sentences. The same
is done without the first part, and both three times, so that the card can say what pre-training is
worth.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from interp.data.corpus import PackedCorpus, pack
from interp.data.records import Example
from interp.data.sets import read_set
from interp.data.tokenizing import train_tokenizer
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.pretrained import load
from interp.train.evaluate import evaluate
from interp.train.finetune import Plan, finetune
from interp.train.heads import with_head
from interp.train.loop import Fitted, fit
from interp.train.precision import fastest_dtype
from interp.train.recipe import Recipe
from interp.train.recorder import MODEL
from interp.train.settings import Settings
from interp.train.tasks.classification import Classification
from interp.zoo.recipes.card import Card, Making
from interp.zoo.recipes.export import save_rounded
from interp.zoo.recipes.samples import save_sample

SEEDS = (0, 1, 2)
D_VOCAB = 6000
HELD_OUT, LEARNT = 300, 150  # sentences that go with the model
TASK = Classification(("neg", "pos"))
RECIPE = Recipe(
    model=TransformerConfig(
        model_name="reviews",
        shape="encoder",
        head="mlm",
        d_model=128,
        n_layers=3,
        n_heads=4,
        d_vocab=D_VOCAB,
        n_ctx=128,
        act_fn="gelu",
        dropout=0.1,
        # A masked word is first guessed from its neighbours, which relative positions find at once.
        positional_embedding_type="relative_positional_bias",
        tie_word_embeddings=True,
        unembed_bias=True,
    ),
    settings=Settings(
        minutes=30.0,
        optimizer="muon",
        learning_rate=5e-3,
        other_rate=3e-3,
        weight_decay=0.05,
        warmup_steps=400,
        decay_share=0.4,
        evaluate_every=2000,
        checkpoint_every=0,
    ),
    rows=8,  # few, since a masked model needs many steps before it sees more than frequencies
    source={"share": 0.4},  # many guesses a step (Wettig et al. 2023, arXiv 2202.08005)
)
TUNED = Plan(epochs=6, learning_rate=3e-4, patience=2)
FROM_SCRATCH = Plan(epochs=12, learning_rate=1e-3, patience=3)


# -- text ----------------------------------------------------------------------------------------


def sentences(data: Path, split: str) -> list[Example]:
    """Sentences of film reviews with their class, split by a hash of the sentence."""
    return list(read_set("sentence_polarity", data, split))


def unlabelled(data: Path) -> list[str]:
    """Texts about films without the sentences that are held out for testing or development, which
    some collections share: whole reviews, subjective and objective sentences, and the sentences
    that are trained on."""
    held_out = {_plain(e.text) for split in ("dev", "test") for e in sentences(data, split)}
    texts = [
        example.text
        for name in ("movie_reviews", "subjectivity")
        for split in ("train", "dev", "test")
        for example in read_set(name, data, split)
    ]
    texts += [example.text for example in sentences(data, "train")]
    kept = []
    for text in texts:
        lines = [line for line in text.split("\n") if _plain(line) not in held_out]
        if any(line.strip() for line in lines):
            kept.append("\n".join(lines))
    return kept


def _plain(text: str) -> str:
    """What two copies of a sentence have in common."""
    return "".join(letter for letter in text.lower() if letter.isalnum())


def packed(data: Path, folder: Path) -> tuple[PackedCorpus, PackedCorpus]:
    """The texts as two packed corpora, one in thirty held out; packed once."""
    train, dev = folder / "corpus", folder / "dev"
    if not (dev / "corpus.json").is_file():
        texts = unlabelled(data)
        held_out = texts[::30]
        del texts[::30]
        tokenizer = train_tokenizer(texts, "wordpiece", D_VOCAB, shape="encoder")
        pack(texts, tokenizer, train)
        pack(held_out, tokenizer, dev)
    return PackedCorpus.open(train), PackedCorpus.open(dev)


# -- training ------------------------------------------------------------------------------------


def pretrain(
    data: Path, work: Path, settings: Settings, device: str
) -> tuple[HookedTransformer, Fitted]:
    """The encoder that has learnt to guess masked words."""
    corpus, dev = packed(data, work)
    recipe = RECIPE.replace(settings=settings)
    model = recipe.build(corpus.tokenizer).to(device)
    done = fit(
        model,
        recipe.read(corpus),
        settings,
        evaluate=recipe.evaluation(dev),
        folder=work / "masked",
    )
    return model, done


def classifier(base: HookedTransformer, seed: int) -> HookedTransformer:
    """`base` with a new head that reads the mean of all positions: masked words have not taught
    the first one to stand for the sentence."""
    return with_head(
        base, "classification", TASK.labels, seed=seed, pooling="mean", pooler_act=None
    )


def tuned(base: HookedTransformer, plan: Plan, data: Path, folder: Path) -> HookedTransformer:
    """A classifier made of `base`, unless it was made before."""
    if not (folder / "evaluation.csv").is_file():
        train, dev = sentences(data, "train"), sentences(data, "dev")
        finetune(classifier(base, plan.seed), TASK, train, dev, plan, folder=folder)
    model: HookedTransformer = load(folder / MODEL)
    return model


def save_samples(out: Path, data: Path) -> None:
    """Sentences that go with the model: of the test side, and some that it has learnt from."""
    save_sample(sentences(data, "test"), out, "held_out", HELD_OUT)
    save_sample(sentences(data, "train"), out, "learnt", LEARNT)


def build(
    out: Path, work: Path, data: Path, *, minutes: float | None = None, device: str = "cpu"
) -> None:
    """Trains the model and its comparisons, and writes the zoo folder.

    Args:
        work: where the training runs lie; a build that was stopped goes on there.
        data: folder of the data sets.
        minutes: of pre-training, instead of half an hour.
    """
    settings = RECIPE.settings if minutes is None else RECIPE.settings.replace(minutes=minutes)
    base, done = pretrain(data, work, settings, device)
    fresh = RECIPE.build(base.require_tokenizer()).to(device)
    systems = {"pre-trained": (base, TUNED), "from scratch": (fresh, FROM_SCRATCH)}
    models: dict[str, list[HookedTransformer]] = {name: [] for name in systems}
    for name, (start, plan) in systems.items():
        for seed in SEEDS:
            seeded = dataclasses.replace(plan, seed=seed)
            models[name].append(tuned(start, seeded, data, work / f"{name}-{seed}"))
    stored = save_rounded(models["pre-trained"][0].cpu(), out)
    save_samples(out, data)
    test = sentences(data, "test")
    frame = pd.concat(
        [
            evaluate(stored, TASK, test).assign(system="this model"),
            *(over_seeds(found, test).assign(system=name) for name, found in models.items()),
            words_alone(sentences(data, "train"), test).assign(system="words and pairs of words"),
        ],
        ignore_index=True,
    )
    columns = ["system", "metric", "value", "ci_low", "ci_high", "n"]
    precision = str(fastest_dtype(base.embed.weight.device.type)).removeprefix("torch.")
    command = f"interp zoo build reviews --data DIR --out DIR --minutes {settings.minutes:.0f}"
    Card(
        name="reviews",
        lead="Says whether a sentence about a film is positive or negative: a small BERT, trained "
        "from nothing on masked words of texts about films, then on labelled sentences.",
        example=_EXAMPLE,
        figures=frame[columns],
        figures_note=_NOTE,
        making={
            "masked words": Making.of(done, command, {"weights and order": 0}, precision),
        },
        data=_DATA,
        limits=_LIMITS,
    ).write(out, stored)


# -- measures ------------------------------------------------------------------------------------


def over_seeds(models: Sequence[HookedTransformer], test: Sequence[Example]) -> pd.DataFrame:
    """Mean accuracy over seeds, with the interval of the sentences pooled and the spread."""
    found = [evaluate(model, TASK, test) for model in models]
    rows = [frame[frame["metric"] == "accuracy"].iloc[0] for frame in found]
    values = np.array([row["value"] for row in rows])
    mean = pd.DataFrame(
        {
            "metric": ["accuracy, mean of three seeds"],
            "value": [values.mean()],
            "ci_low": [np.mean([row["ci_low"] for row in rows])],
            "ci_high": [np.mean([row["ci_high"] for row in rows])],
            "n": [len(test)],
        }
    )
    spread = pd.DataFrame(
        {"metric": ["accuracy, spread over seeds"], "value": [values.std(ddof=1)], "n": [3]}
    )
    return pd.concat([mean, spread], ignore_index=True)


def words_alone(train: Sequence[Example], test: Sequence[Example]) -> pd.DataFrame:
    """What a linear model on tf-idf of words and pairs of words gets, the usual rival."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    from interp.train.metrics import proportion, to_frame

    vectors = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\S+")
    model = LogisticRegression(C=10.0, max_iter=1000)
    model.fit(vectors.fit_transform([e.text for e in train]), [e.label for e in train])
    guesses = model.predict(vectors.transform([e.text for e in test]))
    right = [guess == e.label for guess, e in zip(guesses, test, strict=True)]
    return to_frame([proportion("accuracy", sum(right), len(right))])


_EXAMPLE = """
import interp

model = interp.load("reviews")
logits = model("a film of rare warmth and wit .")  # [batch, class]: neg, pos
"""
_NOTE = (
    "On the test side of the sentences, which is given by a hash of each. *From scratch* is the "
    "same model without the first training. The rival is logistic regression on tf-idf of words "
    "and pairs of words."
)
_DATA = [
    "Movie-review sentences v1.0 (Pang and Lee 2005), CC BY 4.0: training, development and test. "
    f"`held_out.jsonl` has {HELD_OUT} of the test side, `learnt.jsonl` {LEARNT} of the training "
    "side.",
    "Movie-review documents v2.0 (Pang and Lee 2004) and subjectivity v1.0 (Pang and Lee 2004), CC "
    "BY 4.0: masked words only, without sentences of the development and test sides.",
]
_LIMITS = (
    "For studying classifiers: attributions, probes, masks. It has read English film reviews in "
    "lower case with spaces around punctuation and nothing else; a verdict on any other text means "
    "nothing, and irony escapes it."
)
