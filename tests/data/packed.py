"""Small corpora for the tests of what is made from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from interp.data.corpus import PackedCorpus, pack
from interp.data.corruption import sentinels
from interp.data.tokenizing import Kind, train_tokenizer
from interp.tokenizer import Tokenizer

WORDS = (
    "the a little old king, dog cat ran saw sat on under and then home. under-"
    "standing! l'homme naïve naïveté 漢字 x\t y\n\n z 12 345"
).split(" ")


def texts(n: int, seed: int = 0) -> list[str]:
    """Random documents, one of them longer than the rest together."""
    random = np.random.default_rng(seed)
    lengths = [300, *random.integers(1, 40, n - 1)]
    return [" ".join(random.choice(WORDS, size=length)) for length in lengths]


def tokenizer(kind: Kind = "bpe", shape: str = "decoder", d_vocab: int = 400) -> Tokenizer:
    return train_tokenizer(texts(20), kind, d_vocab, shape=shape, extra=sentinels(30))


def corpus(folder: Path, kind: Kind = "bpe", shape: str = "decoder") -> PackedCorpus:
    return pack(texts(20), tokenizer(kind, shape), folder)
