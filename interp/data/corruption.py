"""Span corruption (Raffel et al. 2020, arXiv 1910.10683) over a packed corpus."""

from __future__ import annotations

from itertools import count

import numpy as np
import torch
from numpy.typing import NDArray

from interp.data.batch import Batch
from interp.data.corpus import PackedCorpus
from interp.data.encoding import role_id
from interp.data.order import stream_seed
from interp.data.packing import Pieces
from interp.data.sources import Described
from interp.errors import ConfigError
from interp.tokenizer import Tokenizer


class SpanCorruption(Described):
    """Rows for an encoder-decoder: spans of a text are cut out, and the decoder writes them down.

    The encoder reads the text with one sentinel, `<extra_id_0>`, `<extra_id_1>`, ..., in the place
    of each span; the decoder writes each sentinel with its span behind it. Both close with the
    end-of-text token. Number and total length of the spans are the same in each row, so all shapes
    are; where they lie and how long each is, is drawn. Text and spans alternate, and a row ends
    with a span.

    Args:
        corpus: at least `length` tokens.
        rows: texts a step.
        length: tokens of text in a row. The encoder reads `source_length` of them, the decoder
            `target_length`.
        share: of the text that is cut out.
        mean_span: mean length of a span, in tokens.

    Raises:
        ConfigError: the tokenizer has no end token, no padding token (with which the decoder
            starts) or too few sentinels; the text is too short to cut something out.
    """

    def __init__(
        self,
        corpus: PackedCorpus,
        rows: int,
        length: int,
        seed: int,
        *,
        share: float = 0.15,
        mean_span: float = 3.0,
    ):
        self.corpus = corpus
        self.seed = seed
        self.pieces = Pieces(len(corpus), length, rows, seed)
        self.n_cut = round(length * share)
        self.n_spans = max(1, round(self.n_cut / mean_span))
        if not self.n_spans <= min(self.n_cut, length - self.n_cut):
            raise ConfigError(
                f"{self.n_spans} spans of {self.n_cut} tokens in all cannot be cut out of {length} "
                "tokens with text before each. Take longer rows, or another share or mean_span."
            )
        found = sentinel_ids(corpus.tokenizer)
        if len(found) < self.n_spans:
            raise ConfigError(
                f"{self.n_spans} spans need as many sentinels, and the tokenizer has {len(found)}. "
                "Train it with `extra=sentinels(100)`."
            )
        self.sentinels = np.array(found[: self.n_spans])
        self.eos = role_id(corpus.tokenizer, "eos")
        self.start = role_id(corpus.tokenizer, "pad")

    @property
    def steps_per_epoch(self) -> float:
        return self.pieces.steps_per_epoch

    @property
    def source_length(self) -> int:
        return self.pieces.length - self.n_cut + self.n_spans + 1

    @property
    def target_length(self) -> int:
        return self.n_cut + self.n_spans + 1

    def batch(self, step: int) -> Batch:
        """`tokens` [rows, source_length], `decoder_tokens` and labels [rows, target_length]."""
        text = self.corpus.read(self.pieces.step(step), self.pieces.length)
        random = np.random.default_rng(stream_seed(self.seed, "spans", step))
        kept = _parts(len(text), text.shape[1] - self.n_cut, self.n_spans, random)
        cut = _parts(len(text), self.n_cut, self.n_spans, random)
        part = _part_of(np.stack([kept, cut], 2).reshape(len(text), -1))
        is_cut = part % 2 == 1
        opens = np.diff(part, axis=1, prepend=0) > 0
        sentinel = self.sentinels[part // 2]

        # Each span leaves its sentinel where it began; its writing has it in front, for which the
        # place of the token before the span is free, since that token is not written.
        source = self._close(np.where(is_cut, sentinel, text)[~is_cut | opens], len(text))
        before = np.roll(opens & is_cut, -1, axis=1)
        target = self._close(np.where(before, sentinel, text)[is_cut | before], len(text))
        read = np.concatenate([np.full((len(text), 1), self.start), target[:, :-1]], axis=1)
        tokens = {"tokens": torch.from_numpy(source), "decoder_tokens": torch.from_numpy(read)}
        return Batch(tokens, torch.from_numpy(target))

    def _close(self, ids: NDArray[np.int64], rows: int) -> NDArray[np.int64]:
        written = ids.reshape(rows, -1)  # as many in each row
        return np.concatenate([written, np.full((rows, 1), self.eos)], axis=1)


def _part_of(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Lengths [row, part] -> for each position the part that it lies in, [row, pos]."""
    begins = lengths.cumsum(1)[:, :-1]
    steps = np.zeros((len(lengths), int(lengths[0].sum())), dtype=np.int64)
    np.put_along_axis(steps, begins, 1, 1)
    return steps.cumsum(1)


def _parts(rows: int, total: int, parts: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Lengths [row, parts] of at least 1 that add up to `total`, every such division as likely."""
    lots = random.random((rows, total - 1))
    cuts = np.sort(np.argsort(lots, axis=1)[:, : parts - 1], axis=1) + 1
    edges = np.concatenate([np.zeros((rows, 1), int), cuts, np.full((rows, 1), total)], axis=1)
    return np.diff(edges, axis=1)


def sentinels(n: int) -> list[str]:
    """Special tokens that stand for spans, as T5 names them."""
    return [f"<extra_id_{i}>" for i in range(n)]


def sentinel_ids(tokenizer: Tokenizer) -> list[int]:
    """Ids of the sentinels that a tokenizer has, in their order."""
    found: list[int] = []
    for i in count():
        index = tokenizer.token_id(f"<extra_id_{i}>")
        if index is None:
            return found
        found.append(index)
    return found
