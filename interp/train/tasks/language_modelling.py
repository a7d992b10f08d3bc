"""How well a model foresees text: next tokens in a sliding window, or masked ones."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F

from interp.data.batch import IGNORED, Batch, pad
from interp.data.encoding import literal, pad_id, role_id
from interp.data.examples import padded
from interp.data.order import stream_seed
from interp.data.readers import read_documents
from interp.errors import InputError
from interp.model.transformer import HookedTransformer
from interp.train.metrics import Measure, Scores, likelihood
from interp.train.metrics.interval import of_sums, ratio
from interp.train.tasks.task import Task, by_length, evaluation_tokens, require_shape


@dataclass(frozen=True)
class Surprise:
    """How a model fares with one text, over the tokens that it had to predict.

    Attributes:
        nats: summed loss.
        tokens: how many.
        n_bytes: of the text that they cover, in UTF-8.
        hits: how many were the model's best guess.
    """

    nats: float = 0.0
    tokens: int = 0
    n_bytes: int = 0
    hits: int = 0


@dataclass(frozen=True)
class _Part:
    """A piece of a text that fits the model: what is read, and the labels of its outputs."""

    text: int
    tokens: list[int]
    labels: list[int]


class _Predicting(Task[str, list[Surprise]]):
    """What both kinds share: texts are cut into parts, and the surprise is summed over them."""

    signature: ClassVar[str]
    shapes: ClassVar[tuple[str, ...]]

    @classmethod
    def read(cls, path: Path | str) -> list[str]:
        """The texts of a file of any format that `interp.data.readers` knows."""
        texts = [document.text for document in read_documents([path])]
        if not any(texts):
            raise InputError(f"{path} holds no text.")
        return texts

    def measure(
        self, records: Sequence[str], answers: list[Surprise], *, seed: int = 0
    ) -> list[Measure]:
        """Texts are the independent examples."""
        told = [answer for answer in answers if answer.tokens]
        if not told:
            raise InputError("The texts hold no token to predict.")
        nats, tokens, n_bytes, hits = (
            np.array([getattr(answer, name) for answer in told], np.float64)
            for name in ("nats", "tokens", "n_bytes", "hits")
        )
        found = likelihood(nats, tokens, n_bytes, self.signature, seed=seed)
        right = np.stack([hits, tokens], 1)
        accuracy = of_sums(
            "accuracy", right, lambda s: ratio(s[..., 0], s[..., 1]), self.signature, seed=seed
        )
        return [*found, accuracy]

    def scores(self, records: Sequence[str], answers: list[Surprise]) -> Scores:
        """Bits for each byte that a text's predicted tokens cover."""
        bits = np.array([answer.nats for answer in answers]) / math.log(2)
        size = np.array([answer.n_bytes for answer in answers], np.float64)
        return Scores("bits_per_byte", bits, size, higher=False)

    def unigram(
        self, model: HookedTransformer, learnt: Sequence[str], records: Sequence[str]
    ) -> list[Surprise]:
        """The baseline that reads nothing: each token is as probable as it is frequent.

        Frequencies are those of the predicted tokens of `learnt`; each token of the vocabulary
        counts once more, so that none is impossible.
        """
        counts = np.ones(model.cfg.d_vocab_out)
        for part in self._parts(model, learnt)[0]:
            np.add.at(counts, [label for label in part.labels if label != IGNORED], 1.0)
        nats, best = -np.log(counts / counts.sum()), int(counts.argmax())
        parts, n_bytes = self._parts(model, records)
        sums = np.zeros((len(records), 3))
        for part in parts:
            labels = np.array([label for label in part.labels if label != IGNORED], np.int64)
            sums[part.text] += nats[labels].sum(), len(labels), (labels == best).sum()
        return _surprises(sums, n_bytes)

    @abstractmethod
    def _parts(
        self, model: HookedTransformer, records: Sequence[str]
    ) -> tuple[list[_Part], list[int]]:
        """All pieces of all texts, and the bytes of each text that predicted tokens cover."""

    def answer(
        self, model: HookedTransformer, records: Sequence[str], *, progress: bool = False
    ) -> list[Surprise]:
        require_shape(model, self.shapes, self.name)
        parts, n_bytes = self._parts(model, records)
        sums = np.zeros((len(records), 3))
        filler, device = pad_id(model.require_tokenizer()), model.embed.weight.device
        lengths = [len(part.tokens) for part in parts]
        for chosen in by_length(lengths, evaluation_tokens(model), progress=progress, unit="part"):
            some = [parts[i] for i in chosen]
            inputs = padded([part.tokens for part in some], filler)
            batch = Batch(inputs, pad([part.labels for part in some], IGNORED)).to(device)
            np.add.at(sums, [part.text for part in some], _surprise(model, batch))
        return _surprises(sums, n_bytes)


@dataclass(frozen=True)
class LanguageModelling(_Predicting):
    """Perplexity and bits per byte of a decoder.

    Each token is predicted once, in windows of the model's context that move by half of it, so
    that all but a text's first tokens are predicted from at least half a context.
    """

    name: ClassVar[str] = "lm"
    signature: ClassVar[str] = "sliding window, stride: half the context"
    shapes: ClassVar[tuple[str, ...]] = ("decoder",)

    def _parts(
        self, model: HookedTransformer, records: Sequence[str]
    ) -> tuple[list[_Part], list[int]]:
        tokenizer = model.require_tokenizer()
        bos = tokenizer.bos_token_id if model.cfg.default_prepend_bos else None
        parts: list[_Part] = []
        n_bytes = []
        for text, (ids, offsets) in enumerate(_encoded(model, records)):
            first = 0
            if bos is None and ids:  # nothing predicts the first token
                first = offsets[0][1]
            n_bytes.append(len(records[text][first:].encode()))
            read = ids if bos is None else [bos, *ids]
            parts += [_Part(text, *window) for window in windows(read, model.cfg.n_ctx)]
        return parts, n_bytes


@dataclass(frozen=True)
class MaskedLM(_Predicting):
    """Perplexity and bits per byte of masked tokens, of an encoder.

    In each piece of a text 15% of the tokens, drawn from a fixed seed, are read as the mask token
    and predicted.
    """

    name: ClassVar[str] = "mlm"
    signature: ClassVar[str] = "15% masked, seed 0"
    shapes: ClassVar[tuple[str, ...]] = ("encoder",)

    def _parts(
        self, model: HookedTransformer, records: Sequence[str]
    ) -> tuple[list[_Part], list[int]]:
        tokenizer = model.require_tokenizer()
        mask = role_id(tokenizer, "mask")
        before, after = role_id(tokenizer, "cls", "bos"), role_id(tokenizer, "sep", "eos")
        length = model.cfg.n_ctx - 2
        parts: list[_Part] = []
        n_bytes = []
        for text, (ids, offsets) in enumerate(_encoded(model, records)):
            size = 0
            for start in range(0, len(ids), length):
                piece = ids[start : start + length]
                random = np.random.default_rng(stream_seed("mask", text, start))
                n = max(1, round(0.15 * len(piece)))
                chosen = set(random.choice(len(piece), n, replace=False).tolist())
                read = [mask if i in chosen else token for i, token in enumerate(piece)]
                labels = [token if i in chosen else IGNORED for i, token in enumerate(piece)]
                parts.append(_Part(text, [before, *read, after], [IGNORED, *labels, IGNORED]))
                spans = [offsets[start + i] for i in chosen]
                size += sum(len(records[text][a:b].encode()) for a, b in spans)
            n_bytes.append(size)
        return parts, n_bytes


def _surprises(sums: np.ndarray, n_bytes: Sequence[int]) -> list[Surprise]:
    """From nats, tokens and hits of each text, [text, 3], and its bytes."""
    return [
        Surprise(nats, int(tokens), size, int(hits))
        for (nats, tokens, hits), size in zip(sums.tolist(), n_bytes, strict=True)
    ]


def windows(ids: list[int], length: int) -> Iterator[tuple[list[int], list[int]]]:
    """What a causal model reads of a text, and the labels of its outputs; each token but the
    first is a label once."""
    stride, known = max(1, length // 2), 1
    for start in range(0, len(ids), stride):
        if known >= len(ids):
            return
        end = min(start + length, len(ids) - 1)
        labels = [IGNORED] * (known - 1 - start) + ids[known : end + 1]
        yield ids[start:end], labels
        known = end + 1


def _encoded(
    model: HookedTransformer, texts: Sequence[str]
) -> Iterator[tuple[list[int], list[tuple[int, int]]]]:
    """Ids and characters of each text's tokens; special tokens in a text are letters."""
    backend = literal(model.require_tokenizer())
    for text in texts:
        encoding = backend.encode(text, add_special_tokens=False)
        yield list(encoding.ids), list(encoding.offsets)


@torch.no_grad()
def _surprise(model: HookedTransformer, batch: Batch) -> np.ndarray:
    """For each row its summed nats, number of labels and hits, [row, 3]."""
    logits = model(**batch.inputs)
    labelled = batch.labels != IGNORED
    chosen, labels = logits[labelled].float(), batch.labels[labelled]
    nats = F.cross_entropy(chosen, labels, reduction="none").double()
    hits = (chosen.argmax(-1) == labels).double()
    columns = torch.stack([nats, torch.ones_like(nats), hits], 1)
    out = torch.zeros(len(batch), 3, dtype=torch.float64, device=nats.device)
    found: np.ndarray = out.index_add(0, labelled.nonzero()[:, 0], columns).cpu().numpy()
    return found
