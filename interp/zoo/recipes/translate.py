"""Train the zoo model `translate-en-fr`: a small encoder-decoder on the sentences of Tatoeba.

    interp zoo build translate-en-fr --data DIR --out DIR [--minutes 60]

The recipe serves any corpus of some ten thousand sentence pairs and more: a joint vocabulary, tied
embeddings, dropout and label smoothing, batches of like length, and weights that are averaged on
the way. `interp zoo build translate-en-de` is the same with German.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch

from interp.data.records import Pair
from interp.data.sets import read_set
from interp.data.tokenizing import train_tokenizer
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.tokenizer import Tokenizer
from interp.train.evaluate import evaluate
from interp.train.loop import fit
from interp.train.objective import CrossEntropy
from interp.train.precision import fastest_dtype
from interp.train.settings import Settings
from interp.train.tasks.sequence import Translation
from interp.train.tasks.task import loss_of
from interp.zoo.recipes.card import Card, Making
from interp.zoo.recipes.export import rounded, save_rounded
from interp.zoo.recipes.samples import save_sample

SEED = 0
D_VOCAB, CONTEXT = 8000, 96
TOKENS = 4096  # in a batch, padding included
SAMPLE = 200  # pairs of either side that go with the model
TASK = Translation()
SETTINGS = Settings(
    minutes=60.0,
    optimizer="muon",
    learning_rate=4e-3,
    other_rate=2e-3,
    weight_decay=0.05,
    betas=(0.9, 0.98),
    warmup_steps=300,
    decay_share=0.5,
    ema=0.999,
    evaluate_every=1000,
    checkpoint_every=10_000,
)
_NAMES = {"fr": "French", "de": "German"}


def config(tokenizer: Tokenizer, *, dropout: float = 0.1) -> TransformerConfig:
    """The model: 3 + 3 pre-norm blocks of width 256 with fixed sinusoidal positions.

    Args:
        dropout: 0.1 for a hundred thousand pairs and more; 0.3 for thirty thousand, where a model
            of this size learns its text by heart.
    """
    return TransformerConfig(
        model_name="translate",
        shape="encoder_decoder",
        d_model=256,
        n_layers=3,
        n_heads=4,
        d_vocab=len(tokenizer),
        n_ctx=CONTEXT,
        positional_embedding_type="sinusoidal",
        embed_scale=math.sqrt(256),
        initializer_range=256**-0.5,
        act_fn="relu",
        tie_word_embeddings=True,
        dropout=dropout,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )


def joint_tokenizer(pairs: Sequence[Pair], d_vocab: int = D_VOCAB) -> Tokenizer:
    """One byte-pair vocabulary of both languages, from the training side."""
    sides = (text for pair in pairs for text in (pair.source, *pair.references))
    return train_tokenizer(sides, "bpe", d_vocab, shape="encoder_decoder")


def build(
    out: Path,
    work: Path,
    data: Path,
    *,
    minutes: float | None = None,
    device: str = "cpu",
    language: str = "fr",
) -> None:
    """Trains the model and writes its zoo folder.

    Args:
        work: where the training run lies; a build that was stopped goes on there.
        data: folder of the data sets, with `tatoeba` and `ntrex`.
        minutes: of training, instead of an hour.
        language: that is translated into, `fr` or `de`.
    """
    pairs = {split: read_set(f"tatoeba_{language}", data, split) for split in ("train", "dev")}
    tokenizer = joint_tokenizer(pairs["train"])
    model = HookedTransformer(config(tokenizer), tokenizer, seed=SEED).to(device)
    watched = TASK.source(model, pairs["dev"], tokens=TOKENS)
    settings = SETTINGS if minutes is None else SETTINGS.replace(minutes=minutes)
    done = fit(
        model,
        TASK.source(model, pairs["train"], tokens=TOKENS, seed=SEED),
        settings,
        objective=CrossEntropy(label_smoothing=0.1),
        evaluate=lambda m: {"loss": loss_of(m, watched, CrossEntropy())},
        folder=work,
    )
    stored = rounded(model)
    name = f"translate-en-{language}"
    precision = str(fastest_dtype(torch.device(device).type)).removeprefix("torch.")
    frame = figures(stored, data, language)
    save_rounded(stored.cpu(), out)
    save_samples(out, data, language)
    Card(
        name=name,
        lead=f"Translates English sentences into {_NAMES[language]}: a small encoder-decoder "
        "trained from nothing on the sentences of Tatoeba.",
        example=_EXAMPLE.format(name=name),
        figures=frame,
        figures_note=_NOTE,
        making={
            "training": Making.of(
                done,
                f"interp zoo build {name} --data DIR --out DIR --minutes {settings.minutes:.0f}",
                {"weights, order and dropout": SEED},
                precision,
            )
        },
        data=[
            f"Tatoeba, {sum(len(p.references) for p in pairs['train']):,} pairs of English and "
            f"{_NAMES[language]}, CC BY 2.0 (tatoeba.org, by way of manythings.org/anki). No "
            f"English sentence of the test stands among them. `held_out.jsonl` has {SAMPLE} "
            f"sentences of the test, `learnt.jsonl` {SAMPLE} of the training.",
            "NTREX news sentences, CC BY-SA 4.0, for testing only.",
        ],
        limits=_LIMITS,
    ).write(out, stored)


def save_samples(out: Path, data: Path, language: str) -> None:
    """Pairs that go with the model: of the test side, and some that it has learnt from."""
    name = f"tatoeba_{language}"
    save_sample(read_set(name, data, "test"), out, "held_out", SAMPLE)
    save_sample(read_set(name, data, "train"), out, "learnt", SAMPLE)


def figures(model: HookedTransformer, data: Path, language: str) -> pd.DataFrame:
    """BLEU and chrF on held-out sentences of Tatoeba, against all references and against the first
    alone, and on news."""
    tatoeba = read_set(f"tatoeba_{language}", data, "test")
    first = [Pair(pair.source, pair.references[:1]) for pair in tatoeba]
    sets = {
        "tatoeba, all references": tatoeba,
        "tatoeba, first reference": first,
        "ntrex": read_set(f"ntrex_{language}", data, "test"),
    }
    frames = []
    for name, records in sets.items():
        frame = evaluate(model, TASK, records)
        frame.insert(0, "data", name)
        frames.append(frame.drop(columns="task"))
    return pd.concat(frames, ignore_index=True)


_EXAMPLE = """
import interp

model = interp.load("{name}")
print(model.generate("I have never seen a red car.", num_beams=5, max_new_tokens=40))
"""
_NOTE = (
    "Raw, cased sacreBLEU with beam 5, intervals by bootstrap over sentences. Tatoeba's sentences "
    "are short and everyday, and near-duplicates of a held-out one may be among the training's; "
    "news is another language to this model."
)
_LIMITS = (
    "For studying attention between two languages, for teaching, and for tests. It translates "
    "short everyday sentences; names, numbers, long sentences and news go wrong. Do not rely on it."
)
