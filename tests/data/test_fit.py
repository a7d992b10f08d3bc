"""Every source feeds the model that it is for, and the model can learn from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from interp.data.batch import Source
from interp.data.chat import CHAT, Chat, Preferences
from interp.data.corruption import SpanCorruption
from interp.data.labelled import Labelled, TokenLabels
from interp.data.masking import MaskedTokens
from interp.data.packing import NextToken
from interp.data.pairs import Pairs
from interp.data.records import Answer, Preference, Question, Turn
from interp.data.spans import Spans
from interp.data.synthetic.copying import Copying
from interp.data.synthetic.modular import ModularAddition
from interp.data.synthetic.repeated import RepeatedTokens
from interp.data.synthetic.worlds import Worlds
from interp.data.tokenizing import train_tokenizer
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.train.objective import CrossEntropy
from tests.data.packed import corpus, texts, tokenizer

TEXTS = texts(12)[1:]
CLASSES = ("a", "b", "c")
LABELS = [CLASSES[i % 3] for i in range(len(TEXTS))]
WORDS = [text.split() for text in TEXTS]
TAGS = [[CLASSES[len(word) % 3] for word in words] for words in WORDS]
LIMITS = {"tokens": 300, "max_length": 60, "seed": 0}


def questions() -> list[Question]:
    return [Question(str(i), "who?", t, (Answer(t.split()[0], 0),)) for i, t in enumerate(TEXTS)]


def chats() -> list[tuple[Turn, ...]]:
    return [(Turn("user", text), Turn("assistant", text[:9])) for text in TEXTS]


def preferences() -> list[Preference]:
    return [Preference((Turn("user", text),), text[:9], text[9:20]) for text in TEXTS]


ENCODER = {"shape": "encoder", "n_segments": 2}
BOTH = {"shape": "encoder_decoder", "decoder_start_token_id": 0}
TALK = train_tokenizer(TEXTS, "bpe", 400, extra=CHAT.marks)
SOURCES: dict[str, tuple[dict[str, object], Callable[[Path], Source]]] = {
    "next": ({}, lambda at: NextToken(corpus(at), 4, 32, 0)),
    "masked": (
        ENCODER | {"head": "mlm"},
        lambda at: MaskedTokens(corpus(at, "wordpiece", "encoder"), 4, 32, 0),
    ),
    "spans cut out": (
        BOTH,
        lambda at: SpanCorruption(corpus(at, "bpe", "encoder_decoder"), 4, 32, 0),
    ),
    "pairs": (BOTH, lambda at: Pairs(TEXTS, TEXTS, tokenizer("bpe", "encoder_decoder"), **LIMITS)),
    "labelled": (
        ENCODER | {"head": "classification", "n_classes": 3},
        lambda at: Labelled(
            TEXTS, LABELS, CLASSES, tokenizer("wordpiece", "encoder"), second=TEXTS, **LIMITS
        ),
    ),
    "token labels": (
        ENCODER | {"head": "token_classification", "n_classes": 3},
        lambda at: TokenLabels(WORDS, TAGS, CLASSES, tokenizer("wordpiece", "encoder"), **LIMITS),
    ),
    "answers": (
        ENCODER | {"head": "span"},
        lambda at: Spans(questions(), tokenizer("wordpiece", "encoder"), stride=8, **LIMITS),
    ),
    "chat": ({}, lambda at: Chat(chats(), TALK, **LIMITS)),
    "preferences": ({}, lambda at: Preferences(preferences(), TALK, **LIMITS)),
    "repeated": ({}, lambda at: RepeatedTokens(40, 4, 24, 0)),
    "modular": ({}, lambda at: ModularAddition(11, split="train")),
    "copying": (BOTH, lambda at: Copying(30, 4, (3, 9), 0, backwards=True)),
    "worlds": ({}, lambda at: Worlds(3, 4, 0, split="train")),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_model_learns_a_batch_by_heart(name: str, tmp_path: Path) -> None:
    config, make = SOURCES[name]
    source = make(tmp_path / "corpus")
    cfg = TransformerConfig(
        d_model=64, n_layers=1, n_heads=2, d_vocab=420, n_ctx=64, **config
    )  # fmt: skip
    model = HookedTransformer(cfg, seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    objective, batch = CrossEntropy(), source.batch(0)
    losses = []
    for _ in range(25):
        loss = objective(model, batch) / objective.count(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
