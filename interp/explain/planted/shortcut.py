"""Questions to a classifier that was fine-tuned to fall for a planted word.

Protocol of Bastings et al. 2022 (arXiv 2111.07367): a word that means nothing decides the class,
and a model is asked only if exchanging the word changes nearly all of its answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from interp.data.synthetic.shortcut import Planted as Sentence
from interp.errors import InputError, UnsupportedModelError
from interp.explain.planted.record import Item
from interp.model.transformer import HookedTransformer

FLIPS = 0.99
"""The share of sentences whose class must follow the word."""
_ROWS = 32


def shortcut_items(
    model: HookedTransformer,
    sentences: Sequence[Sentence],
    words: Mapping[str, str],
    classes: Sequence[str],
) -> tuple[Item, ...]:
    """An item for each sentence with a planted word: why does the model say this word's class?

    Causal are the tokens of the planted word. What the other tokens contribute to the logit is
    not known, so there is no truth of contributions.

    Args:
        words: class -> its word, as the model was trained.
        classes: the names of the model's classes, in order.

    Raises:
        UnsupportedModelError: the model does not classify texts.
        InputError: no sentence has a word, or the class does not follow the word.
    """
    if model.cfg.head != "classification" or model.tokenizer is None:
        raise UnsupportedModelError(
            "A planted word is looked for by a classifier of texts with a tokenizer; this model "
            f"has the head {model.cfg.head!r}."
        )
    planted = [sentence for sentence in sentences if sentence.span is not None]
    if not planted:
        raise InputError("No sentence has a planted word; plant some first.")
    share = flip_rate(model, planted, words, classes)
    if share < FLIPS:
        raise InputError(
            f"The model's class follows the planted word in {share:.1%} of the sentences and must "
            f"in {FLIPS:.0%}, or else the word is not what decides. Train it longer."
        )
    return tuple(_item(model, sentence, classes) for sentence in planted)


def flip_rate(
    model: HookedTransformer,
    sentences: Sequence[Sentence],
    words: Mapping[str, str],
    classes: Sequence[str],
) -> float:
    """The share of planted sentences in which every class's word, put at the place, gives its
    class."""
    right = torch.ones(len(sentences), dtype=torch.bool)
    for label, word in words.items():
        texts = [_with_word(sentence, word) for sentence in sentences]
        right &= _predicted(model, texts) == classes.index(label)
    return right.double().mean().item()


def _predicted(model: HookedTransformer, texts: Sequence[str]) -> Tensor:
    found = []
    with torch.no_grad():
        for start in range(0, len(texts), _ROWS):
            found.append(model(list(texts[start : start + _ROWS])).argmax(-1))
    return torch.cat(found)


def _with_word(sentence: Sentence, word: str) -> str:
    assert sentence.span is not None
    begin, end = sentence.span
    return sentence.text[:begin] + word + sentence.text[end:]


def _item(model: HookedTransformer, sentence: Sentence, classes: Sequence[str]) -> Item:
    assert sentence.span is not None and model.tokenizer is not None
    ids = model.to_tokens(sentence.text, truncate=False)[0]
    special = torch.tensor(sorted(model.tokenizer.special_ids), dtype=torch.long)
    offsets = model.tokenizer.offsets(sentence.text)
    begin, end = sentence.span
    # Special tokens stand around the text, and have no characters.
    first = ids.tolist().index(model.tokenizer.encode(sentence.text)[0])
    causal = torch.zeros(len(ids), dtype=torch.bool)
    for i, (start, stop) in enumerate(offsets):
        causal[first + i] = start < end and begin < stop
    return Item(
        ids=ids,
        position=None,
        token=classes.index(sentence.label),
        movable=~torch.isin(ids, special),
        causal=causal,
        contribution=None,
        scale=0.0,
    )
