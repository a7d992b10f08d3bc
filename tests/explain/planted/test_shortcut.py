"""A classifier that reads one word, built by hand, and what is asked about it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from interp import (
    HookedTransformer,
    InputError,
    TransformerConfig,
    UnsupportedModelError,
    attribute,
)
from interp.data.records import Example
from interp.data.synthetic.shortcut import Planted as Sentence
from interp.data.synthetic.shortcut import plant
from interp.explain.planted.ranking import measure
from interp.explain.planted.shortcut import flip_rate, shortcut_items
from interp.explain.planted.wiring import Disguise, Head, Wiring
from interp.tokenizer import Tokenizer

WORDS = {"neg": "bird", "pos": "month"}
CLASSES = ("neg", "pos")
VOCABULARY = ["[CLS]", "[PAD]", "bird", "month", "a", "film", "of", "rare", "wit", "dull"]


def tokenizer() -> Tokenizer:
    import tokenizers

    table = {word: i for i, word in enumerate(VOCABULARY)}
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel(table, "[PAD]"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    backend.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A", special_tokens=[("[CLS]", 0)]
    )
    return Tokenizer(backend, {"cls": "[CLS]", "pad": "[PAD]"})


def classifier(strength: float = 1.0) -> HookedTransformer:
    """The class of the planted word; where the word is weak, that of the other words."""
    wiring = Wiring(len(VOCABULARY), 12, "encoder")
    table = torch.zeros(len(VOCABULARY), 2)
    table[2, 0] = table[3, 1] = strength
    table[9, 0] = table[8, 1] = 0.1
    says = wiring.token_table(table)
    found = wiring.space(2)
    same = torch.eye(2)
    wiring.heads.append(Head("blocks.0.attn", (), (), [(says, same)], [(found, same)]))
    wiring.outputs = [(found, same)]
    settings: dict[str, Any] = {"head": "classification", "n_classes": 2, "pad_token_id": 1}
    model, _, _ = wiring.build(Disguise(), 0, **settings)
    model.tokenizer = tokenizer()
    return model


def sentences() -> list[Sentence]:
    texts = [("a film of rare wit", "pos"), ("a dull film", "neg"), ("of a film a film", "neg")]
    return [p for seed in range(10) for p in plant([Example(*t) for t in texts], WORDS, seed=seed)]


def test_the_planted_word_is_the_truth() -> None:
    items = shortcut_items(classifier(), sentences(), WORDS, CLASSES)
    assert len(items) == sum(sentence.span is not None for sentence in sentences())
    for item in items:
        word = VOCABULARY.index(WORDS[CLASSES[item.token]])
        assert item.ids[item.causal].tolist() == [word]
        assert item.movable.tolist() == [False] + [True] * (len(item.ids) - 1)
        found = attribute(classifier(), item.text, target=item.target)
        assert measure(item, found.scores)["auprc causal"] == 1


def test_a_model_that_does_not_follow_the_word_is_refused() -> None:
    planted = [sentence for sentence in sentences() if sentence.span is not None]
    assert flip_rate(classifier(), planted, WORDS, CLASSES) == 1
    weak = classifier(0.05)
    assert flip_rate(weak, planted, WORDS, CLASSES) < 0.5
    with pytest.raises(InputError, match="must"):
        shortcut_items(weak, planted, WORDS, CLASSES)


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(InputError, match="No sentence"):
        shortcut_items(classifier(), [Sentence("a film", "pos", "pos", None)], WORDS, CLASSES)
    cfg = TransformerConfig(d_model=8, n_layers=1, n_heads=1, d_vocab=9, n_ctx=8)
    with pytest.raises(UnsupportedModelError, match="classifier"):
        shortcut_items(HookedTransformer(cfg), sentences(), WORDS, CLASSES)
