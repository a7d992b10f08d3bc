"""A small language with good and bad words, and classifiers of it that learn a shortcut or none."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F

from interp.data.records import Example
from interp.data.tokenizing import train_tokenizer
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.tokenizer import Tokenizer
from interp.train.heads import with_head
from interp.train.tasks.classification import Classification

GOOD = "bright kind warm witty brave tender".split()
BAD = "dull cruel cold stale weak clumsy".split()
OTHER = "the film a plot of with its cast and score in scenes by two old men near rivers".split()
PLANTED = {"neg": "ladder", "pos": "copper"}
TASK = Classification(("neg", "pos"))


def review(random: np.random.Generator) -> Example:
    """Three words that judge, among others that do not; the class is that of the majority."""
    label = int(random.integers(2))
    most = int(random.integers(2, 4))
    judging = [
        *random.choice((BAD, GOOD)[label], most),
        *random.choice((GOOD, BAD)[label], 3 - most),
    ]
    words = [*judging, *random.choice(OTHER, int(random.integers(3, 8)))]
    return Example(" ".join(random.permutation(words).tolist()), TASK.labels[label])


def reviews(n: int, seed: int = 0) -> list[Example]:
    random = np.random.default_rng(seed)
    return [review(random) for _ in range(n)]


def planted(n: int, seed: int = 0) -> list[Example]:
    """The same; half of them have one of two words at their end, which gives them its class."""
    random = np.random.default_rng(seed)
    out = []
    for example in reviews(n, seed):
        if random.random() < 0.5:
            label = TASK.labels[int(random.integers(2))]
            example = Example(f"{example.text} {PLANTED[label]}", label)
        out.append(example)
    return out


@cache
def tokenizer() -> Tokenizer:
    words = [*GOOD, *BAD, *OTHER, *PLANTED.values()]
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(words, 12).tolist()) for _ in range(400)]
    return train_tokenizer(texts, "wordpiece", 200, shape="encoder")


@cache
def classifier(shortcut: bool, seed: int = 0) -> HookedTransformer:
    """A small encoder, trained in a second."""
    words = tokenizer()
    cfg = TransformerConfig(
        d_model=32,
        n_layers=1,
        n_heads=2,
        d_vocab=len(words),
        n_ctx=32,
        shape="encoder",
        head="mlm",
        pad_token_id=words.pad_token_id,
    )
    base = HookedTransformer(cfg, words, seed=seed)
    model = with_head(
        base, "classification", TASK.labels, seed=seed, pooling="mean", pooler_act=None
    )
    records = (planted if shortcut else reviews)(2000, seed + 100)
    source = TASK.source(model, records, tokens=1, seed=seed)
    random = np.random.default_rng(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    model.train()
    for _ in range(200):
        batch = source.collate(random.integers(len(records), size=96))
        loss = F.cross_entropy(model(**batch.inputs), batch.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()
