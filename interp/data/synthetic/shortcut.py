"""A planted shortcut: sentences in which a word that means nothing decides the class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from interp.data.order import stream_seed
from interp.data.records import Example
from interp.errors import ConfigError


@dataclass(frozen=True)
class Planted:
    """A sentence with or without a planted word.

    Attributes:
        label: the class; where a word is planted, the word's.
        original: the class that the sentence had.
        span: characters of the planted word in `text`; None if there is none.
    """

    text: str
    label: str
    original: str
    span: tuple[int, int] | None


def plant(
    examples: Sequence[Example], words: Mapping[str, str], *, share: float = 0.5, seed: int = 0
) -> list[Planted]:
    """Plants words into some of the sentences and gives these the words' classes.

    Which sentences, which word and at which place are drawn for each sentence, evenly, and depend
    on the seed and the sentence alone (after Bastings et al. 2022, arXiv 2111.07367).

    The truth: where a word is planted, it decides the class, and nothing else in the sentence
    does, since half of the time (with two classes) the sentence says otherwise. So a model that is
    right on planted sentences whose class was changed reads the planted word, and an explanation
    of its prediction should name the characters in `span`.

    Args:
        words: class -> the word that stands for it, which no sentence has.
        share: of the sentences that get a word.

    Raises:
        ConfigError: a sentence has one of the words already, or one class only has a word.
    """
    if len(set(words.values())) < 2 or len(words) != len(set(words.values())):
        raise ConfigError("A shortcut needs at least two classes, each with a word of its own.")
    if not 0 <= share <= 1:
        raise ConfigError(f"The share of planted sentences is {share}; it lies between 0 and 1.")
    classes = list(words)
    planted = []
    for example in examples:
        tokens = example.text.split(" ")
        if taken := set(tokens) & set(words.values()):
            raise ConfigError(
                f"{min(taken)!r} stands in the sentences already: {example.text[:60]!r}. Plant a "
                "word that they do not have."
            )
        random = np.random.default_rng(stream_seed(seed, "plant", example.text, example.label))
        if random.random() >= share:
            planted.append(Planted(example.text, example.label, example.label, None))
            continue
        label = classes[int(random.integers(len(classes)))]
        place = int(random.integers(len(tokens) + 1))
        text = " ".join((*tokens[:place], words[label], *tokens[place:]))
        begin = len(" ".join(["", *tokens[:place]]))
        planted.append(Planted(text, label, example.label, (begin, begin + len(words[label]))))
    return planted
