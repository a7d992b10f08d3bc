"""Tiny models of each shape with a vocabulary of their own, and examples that they can learn."""

from __future__ import annotations

from functools import cache

import numpy as np

from interp.data.chat import CHAT
from interp.data.records import Answer, Example, Pair, Preference, Question, Tagged, Turn
from interp.data.tokenizing import train_tokenizer
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.tokenizer import Tokenizer

WORDS = "the cat sat on a mat while dogs ran fast good bad film yes no who where what".split()


def sentence(random: np.random.Generator, most: int = 9) -> str:
    return " ".join(random.choice(WORDS, random.integers(3, most + 1)).tolist())


def sentences(n: int, seed: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    return [sentence(random) for _ in range(n)]


@cache
def tokenizer(shape: str, marks: bool = True) -> Tokenizer:
    extra = CHAT.marks if shape == "decoder" and marks else ()
    return train_tokenizer(sentences(50), "bpe", 310, shape=shape, extra=extra)


def model(
    shape: str = "decoder", seed: int = 0, *, marks: bool = True, **changes: object
) -> HookedTransformer:
    """A language model (`lm`, of an encoder `mlm`) of 24 dimensions."""
    words = tokenizer(shape, marks)
    cfg = TransformerConfig(
        d_model=24,
        n_layers=2,
        n_heads=2,
        d_vocab=len(words),
        n_ctx=48,
        shape=shape,
        head="mlm" if shape == "encoder" else "lm",
        n_segments=2 if shape == "encoder" else 0,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
        decoder_start_token_id=words.pad_token_id if shape == "encoder_decoder" else None,
        initializer_range=0.1,
    ).replace(**changes)
    return HookedTransformer(cfg, words, seed=seed).eval()


def examples(n: int, seed: int = 0) -> list[Example]:
    """`pos` if the text has the word `good`, which half of them have."""
    random = np.random.default_rng(seed)
    out = []
    for i in range(n):
        words = [word for word in sentence(random).split() if word != "good"] or ["cat"]
        if i % 2:
            words.insert(int(random.integers(len(words) + 1)), "good")
        out.append(Example(" ".join(words), "pos" if i % 2 else "neg"))
    return out


def tagged(n: int, seed: int = 0) -> list[Tagged]:
    """`N` for three nouns, `O` for other words."""
    found = [tuple(text.split()) for text in sentences(n, seed)]
    nouns = ("cat", "mat", "dogs")
    return [Tagged(words, tuple("N" if w in nouns else "O" for w in words)) for words in found]


def questions(n: int, seed: int = 0) -> list[Question]:
    """Where `cat` stands; every third context has none."""
    out = []
    for i, text in enumerate(sentences(n, seed)):
        context = text.replace("cat", "mat") + ("" if i % 3 == 0 else " cat ran")
        answers = () if i % 3 == 0 else (Answer("cat", context.index("cat")),)
        out.append(Question(f"q{i}", "where the cat", context, answers))
    return out


def pairs(n: int, seed: int = 0) -> list[Pair]:
    return [Pair(text, (text.split()[0],)) for text in sentences(n, seed)]


def dialogues(n: int, seed: int = 0) -> list[tuple[Turn, ...]]:
    return [
        (Turn("user", text), Turn("assistant", text.split()[-1])) for text in sentences(n, seed)
    ]


def preferences(n: int, seed: int = 0) -> list[Preference]:
    return [Preference((Turn("user", text),), "yes the cat", "no") for text in sentences(n, seed)]
