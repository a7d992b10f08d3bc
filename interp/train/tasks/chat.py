"""Dialogues in which the model is the assistant."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from interp.data.batch import IGNORED, Batch, pad
from interp.data.chat import Chat
from interp.data.encoding import encode_texts, pad_id
from interp.data.examples import padded
from interp.data.records import ASSISTANT, Dialogue, Turn
from interp.errors import InputError
from interp.model.transformer import HookedTransformer
from interp.train.metrics import Measure, Scores, likelihood, rouge, translation
from interp.train.preference import answer_log_probs
from interp.train.tasks.generation import prompts, template_for, write
from interp.train.tasks.rows import Row
from interp.train.tasks.task import Trainable, by_length, evaluation_tokens, require_shape


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
        owner = [i for i, turns in enumerate(records) for turn in turns if turn.role == ASSISTANT]
        before = [
            turns[:place]
            for turns in records
            for place, turn in enumerate(turns)
            if turn.role == ASSISTANT
        ]
        asked = prompts(before, tokenizer)
        texts = write(
            model,
            [prompt[-(model.cfg.n_ctx - longest) :] for prompt in asked],
            max_new_tokens=longest,
            num_beams=1,
            stop=template.after,
            progress=progress,
        )
        true = encode_texts(tokenizer, _said(records))
        after = tokenizer.encode(template.after)
        surprise = _surprise(model, asked, [[*ids, *after] for ids in true])
        out = [Replies((), 0.0, 0)] * len(records)
        for i, text, (nats, tokens) in zip(owner, texts, surprise, strict=True):
            known = out[i]
            out[i] = Replies((*known.texts, text), known.nats + nats, known.tokens + tokens)
        return out

    def measure(
        self, records: Sequence[Dialogue], answers: list[Replies], *, seed: int = 0
    ) -> list[Measure]:
        wrote = [text for reply in answers for text in reply.texts]
        references = [[text] for text in _said(records)]
        found = [*rouge(wrote, references, seed=seed), translation(wrote, references, seed=seed)[1]]
        nats = np.array([reply.nats for reply in answers])
        if not np.isnan(nats).any():
            tokens = np.array([reply.tokens for reply in answers])
            found += likelihood(nats, tokens, tokens, seed=seed)[:2]
        return found

    def scores(self, records: Sequence[Dialogue], answers: list[Replies]) -> Scores:
        """Nats for each token of the true answers; NaN where the model was not asked."""
        nats = np.array([reply.nats for reply in answers])
        tokens = np.array([reply.tokens for reply in answers], np.float64)
        return Scores("nats_per_token", nats, tokens, higher=False)

    def baseline(
        self, train: Sequence[Dialogue], records: Sequence[Dialogue]
    ) -> tuple[str, list[Replies]]:
        usual = Counter(_said(train)).most_common(1)[0][0]
        return "most frequent answer", [
            Replies(tuple(usual for turn in dialogue if turn.role == ASSISTANT))
            for dialogue in records
        ]


def _said(records: Sequence[Dialogue]) -> list[str]:
    """All that the assistant says."""
    return [turn.text for turns in records for turn in turns if turn.role == ASSISTANT]


def _surprise(
    model: HookedTransformer, prompts: Sequence[list[int]], answers: Sequence[list[int]]
) -> list[tuple[float, int]]:
    """Summed nats of each answer after its prompt, and how many tokens they are of.

    A prompt loses its beginning, and an answer its end, where the context has no room for them.
    """
    room = model.cfg.n_ctx
    rows: list[tuple[list[int], list[int]]] = []
    for prompt, answer in zip(prompts, answers, strict=True):
        answer = answer[:room]
        prompt = prompt[-(room + 1 - len(answer)) :]  # the last token is not read
        ids = [*prompt, *answer]
        rows.append((ids[:-1], [IGNORED] * (len(prompt) - 1) + answer))
    found = [(0.0, 0)] * len(rows)
    filler, device = pad_id(model.require_tokenizer()), model.embed.weight.device
    for chosen in by_length([len(read) for read, _ in rows], evaluation_tokens(model)):
        inputs = padded([rows[i][0] for i in chosen], filler)
        batch = Batch(inputs, pad([rows[i][1] for i in chosen], IGNORED)).to(device)
        with torch.no_grad():
            log_p = answer_log_probs(model, batch).tolist()
        for i, value in zip(chosen, log_p, strict=True):
            found[i] = -value, sum(label != IGNORED for label in rows[i][1])
    return found


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
