"""From one text to another: translation, summaries, answers in free words.

An encoder-decoder reads the source and writes the target. A decoder gets the source as what a user
says and learns the target as the assistant's answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from interp.data.chat import Chat
from interp.data.examples import Examples
from interp.data.pairs import Pairs
from interp.data.records import ASSISTANT, Pair, Turn
from interp.model.transformer import HookedTransformer
from interp.train.metrics import Measure, Scores, rouge, sentence_chrf, squad, translation
from interp.train.metrics.rouge import KINDS, rouge_each
from interp.train.metrics.squad import squad_each
from interp.train.tasks.extractive_qa import sentences
from interp.train.tasks.generation import asked, prompts, template_for, write
from interp.train.tasks.rows import Row
from interp.train.tasks.task import Trainable, require_shape


class TextToText(Trainable[Pair, list[str]]):
    """A task whose source and target are texts; an answer is the text that the model writes."""

    max_new_tokens: ClassVar[int]
    """The most tokens of a target; never more than half the model's context."""

    def source(
        self, model: HookedTransformer, records: Sequence[Pair], *, tokens: int, seed: int = 0
    ) -> Examples:
        """A record with several references is an example with each of them."""
        tokenizer = model.require_tokenizer()
        both = [(record.source, target) for record in records for target in record.references]
        if model.cfg.shape == "encoder_decoder":
            return Pairs(
                [source for source, _ in both],
                [target for _, target in both],
                tokenizer,
                tokens=tokens,
                max_length=model.cfg.n_ctx,
                seed=seed,
                start=model.cfg.decoder_start_token_id,
            )
        said = asked([source for source, _ in both], tokenizer, self._room(model))
        return Chat(
            [
                (*turns, Turn(ASSISTANT, target))
                for turns, (_, target) in zip(said, both, strict=True)
            ],
            tokenizer,
            template_for(tokenizer),
            tokens=tokens,
            max_length=model.cfg.n_ctx,
            seed=seed,
        )

    def answer(
        self, model: HookedTransformer, records: Sequence[Pair], *, progress: bool = False
    ) -> list[str]:
        """What beam search with five beams finds."""
        require_shape(model, ("encoder_decoder", "decoder"), self.name)
        tokenizer, longest = model.require_tokenizer(), self._longest(model)
        sources = [record.source for record in records]
        if model.cfg.shape == "encoder_decoder":
            pairs = Pairs(
                sources,
                [""] * len(sources),
                tokenizer,
                tokens=1,
                max_length=model.cfg.n_ctx,
                seed=0,
            )
            ids = [source for source, _ in pairs.sources]
            return write(model, ids, max_new_tokens=longest, progress=progress)
        ids = prompts(asked(sources, tokenizer, self._room(model)), tokenizer)
        stop = template_for(tokenizer).after
        return write(model, ids, max_new_tokens=longest, stop=stop, progress=progress)

    def _longest(self, model: HookedTransformer) -> int:
        return min(self.max_new_tokens, model.cfg.n_ctx // 2)

    def _room(self, model: HookedTransformer) -> int:
        """Tokens of the source that a decoder's context has room for, beside marks and target."""
        tokenizer = model.require_tokenizer()
        (marks,) = prompts([(Turn("user", ""),)], tokenizer)
        return model.cfg.n_ctx - len(marks) - self._longest(model)


@dataclass(frozen=True)
class Translation(TextToText):
    """Translation, by BLEU and chrF."""

    name: ClassVar[str] = "translation"
    max_new_tokens: ClassVar[int] = 256

    @classmethod
    def record(cls, row: Row) -> Pair:
        return Pair(row.text("source"), row.texts("target"))

    def measure(
        self, records: Sequence[Pair], answers: list[str], *, seed: int = 0
    ) -> list[Measure]:
        return translation(answers, [record.references for record in records], seed=seed)

    def scores(self, records: Sequence[Pair], answers: list[str]) -> Scores:
        right = [record.references for record in records]
        return Scores.each("sentence_chrf", sentence_chrf(answers, right))

    def baseline(self, train: Sequence[Pair], records: Sequence[Pair]) -> tuple[str, list[str]]:
        return "the source as it is", [record.source for record in records]


@dataclass(frozen=True)
class Summarisation(TextToText):
    """Summaries, by ROUGE."""

    name: ClassVar[str] = "summarisation"
    max_new_tokens: ClassVar[int] = 80

    @classmethod
    def record(cls, row: Row) -> Pair:
        return Pair(row.text("text"), row.texts("summary"))

    def measure(
        self, records: Sequence[Pair], answers: list[str], *, seed: int = 0
    ) -> list[Measure]:
        return rouge(answers, [record.references for record in records], seed=seed)

    def scores(self, records: Sequence[Pair], answers: list[str]) -> Scores:
        found = rouge_each(answers, [record.references for record in records])
        return Scores.each(KINDS[-1], found[:, -1])

    def baseline(self, train: Sequence[Pair], records: Sequence[Pair]) -> tuple[str, list[str]]:
        return "lead sentence", [sentences(record.source)[0] for record in records]


@dataclass(frozen=True)
class GenerativeQA(TextToText):
    """Questions that the model answers in its own words, by exact match and F1."""

    name: ClassVar[str] = "generative_qa"
    max_new_tokens: ClassVar[int] = 40

    @classmethod
    def record(cls, row: Row) -> Pair:
        question = row.text("question")
        if row.has("context"):
            question = f"{question}\n{row.text('context')}"
        return Pair(question, row.texts("answers"))

    def measure(
        self, records: Sequence[Pair], answers: list[str], *, seed: int = 0
    ) -> list[Measure]:
        return squad(answers, [record.references for record in records], seed=seed)

    def scores(self, records: Sequence[Pair], answers: list[str]) -> Scores:
        found = squad_each(answers, [record.references for record in records])
        return Scores.each("f1", found[:, 1])

    def baseline(self, train: Sequence[Pair], records: Sequence[Pair]) -> tuple[str, list[str]]:
        usual = Counter(record.references[0] for record in train).most_common(1)[0][0]
        return "most frequent answer", [usual] * len(records)
