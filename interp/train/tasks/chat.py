"""Dialogues in which the model is the assistant."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from interp.data.batch import IGNORED
from interp.data.chat import Chat
from interp.data.records import ASSISTANT, Dialogue, Turn
from interp.errors import InputError
from interp.model.transformer import HookedTransformer
from interp.train.metrics import Measure, likelihood, rouge, translation
from interp.train.preference import answer_log_probs
from interp.train.tasks.generation import template_for, write
from interp.train.tasks.rows import Row
from interp.train.tasks.task import Trainable, batches, require_shape


@dataclass(frozen=True)
class Replies:
    """What the assistant says in a dialogue, each time after what was really said before.

    Attributes:
        texts: one for each of its turns.
        nats: how surprised the model is by the true ones, together; NaN where it was not asked.
        tokens: of the true ones, with the marks that end them.
    """

    texts: tuple[str, ...]
    nats: float = math.nan
    tokens: int = 0


@dataclass(frozen=True)
class Chatting(Trainable[Dialogue, list[Replies]]):
    """Chat, by the likelihood of true answers, and by how much the model's own are like them."""

    name: ClassVar[str] = "chat"
    max_new_tokens: ClassVar[int] = 80

    @classmethod
    def record(cls, row: Row) -> Dialogue:
        if row.has("messages"):
            turns = messages(row, "messages")
        else:
            turns = (Turn("user", row.text("prompt")), Turn(ASSISTANT, row.text("answer")))
        if not any(turn.role == ASSISTANT for turn in turns):
            raise InputError(f"{row.where}: nobody with the role {ASSISTANT!r} says anything.")
        return turns

    def source(
        self, model: HookedTransformer, records: Sequence[Dialogue], *, tokens: int, seed: int = 0
    ) -> Chat:
        tokenizer = model.require_tokenizer()
        return Chat(
            records,
            tokenizer,
            template_for(tokenizer),
            tokens=tokens,
            max_length=model.cfg.n_ctx,
            seed=seed,
        )

    def answer(
        self, model: HookedTransformer, records: Sequence[Dialogue], *, progress: bool = False
    ) -> list[Replies]:
        """The likeliest token each time; a long dialogue loses its beginning.

        Not beam search: in open answers it finds texts that are likely and empty (Holtzman et al.
        2020, arXiv 1904.09751).
        """
        require_shape(model, ("decoder",), self.name)
        tokenizer = model.require_tokenizer()
        template = template_for(tokenizer)
        longest = min(self.max_new_tokens, model.cfg.n_ctx // 2)
        prompts, owner = [], []
        for i, dialogue in enumerate(records):
            for place, turn in enumerate(dialogue):
                if turn.role == ASSISTANT:
                    ids = template.prompt(dialogue[:place], tokenizer)
                    prompts.append(ids[-(model.cfg.n_ctx - longest) :])
                    owner.append(i)
        texts = write(
            model,
            prompts,
            max_new_tokens=longest,
            num_beams=1,
            stop=template.after,
            progress=progress,
        )
        said: list[list[str]] = [[] for _ in records]
        for i, text in zip(owner, texts, strict=True):
            said[i].append(text)
        surprise = self._surprise(model, records)
        return [Replies(tuple(s), *n) for s, n in zip(said, surprise, strict=True)]

    def _surprise(
        self, model: HookedTransformer, records: Sequence[Dialogue]
    ) -> list[tuple[float, int]]:
        """Summed nats and number of the true answers' tokens, of each dialogue."""
        found = [(math.nan, 0)] * len(records)
        for i, dialogue in enumerate(records):
            source = self.source(model, [dialogue], tokens=1)
            for _, batch in batches(model, source):
                with torch.no_grad():
                    nats = -float(answer_log_probs(model, batch)[0])
                found[i] = nats, int((batch.labels != IGNORED).sum())
        return found

    def measure(
        self, records: Sequence[Dialogue], answers: list[Replies], *, seed: int = 0
    ) -> list[Measure]:
        right = [t.text for dialogue in records for t in dialogue if t.role == ASSISTANT]
        wrote = [text for reply in answers for text in reply.texts]
        references = [[text] for text in right]
        found = [*rouge(wrote, references, seed=seed), translation(wrote, references, seed=seed)[1]]
        nats = np.array([reply.nats for reply in answers])
        if not np.isnan(nats).any():
            tokens = np.array([reply.tokens for reply in answers])
            found += likelihood(nats, tokens, tokens, seed=seed)[:2]
        return found

    def baseline(
        self, train: Sequence[Dialogue], records: Sequence[Dialogue]
    ) -> tuple[str, list[Replies]]:
        counts = Counter(t.text for dialogue in train for t in dialogue if t.role == ASSISTANT)
        usual = counts.most_common(1)[0][0]
        return "most frequent answer", [
            Replies(tuple(usual for turn in dialogue if turn.role == ASSISTANT))
            for dialogue in records
        ]


def messages(row: Row, name: str) -> Dialogue:
    """A field that is a list of `{"role": ..., "content": ...}`.

    Raises:
        InputError: it is something else.
    """
    value = row.values.get(name)
    if not isinstance(value, list) or not value:
        raise row.wrong(name, "a list of messages")
    turns = []
    for message in value:
        role, said = (
            (message.get("role"), message.get("content")) if isinstance(message, dict) else (0, 0)
        )
        if not isinstance(role, str) or not isinstance(said, str):
            raise row.wrong(name, 'a list of {"role": ..., "content": ...}')
        turns.append(Turn(role, said))
    return tuple(turns)
