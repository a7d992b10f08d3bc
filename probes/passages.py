"""What models are given to read: texts in pieces that fit them, and random tokens that repeat."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interp.data.batch import IGNORED, Batch, pad
from interp.data.encoding import encode_texts, pad_id, role_id, special_ids
from interp.data.examples import Examples, padded
from interp.data.order import Indices, stream_seed
from interp.data.pairs import Pairs
from interp.data.readers import read_documents
from interp.data.records import Pair
from interp.data.sets import SETS, read_set
from interp.data.synthetic.repeated import RepeatedTokens
from interp.errors import InputError

TOKENS = 2048
"""Tokens of a batch, padding included."""

REPEATS = "repeats"
"""The name of random tokens among the data sets."""

_MASKED = 0.15


class Passages(Examples):
    """Rows of token ids, with what should be predicted at each position.

    Args:
        rows: ids of each row; of an encoder-decoder, what the decoder reads.
        labels: of each output, `IGNORED` where nothing is predicted.
        filler: the id that rows are padded with.
        sources: of an encoder-decoder, what its encoder reads.
        tokens: the most in a batch, padding included.
    """

    def __init__(
        self,
        rows: Sequence[list[int]],
        labels: Sequence[list[int]],
        filler: int = 0,
        sources: Sequence[list[int]] | None = None,
        *,
        tokens: int = TOKENS,
    ):
        if not all(rows):
            raise InputError("A passage has no token; leave it out.")
        self.rows, self.labels, self.filler, self.sources = rows, labels, filler, sources
        sizes = [len(row) for row in rows]
        if sources is not None:
            sizes = [max(n, len(row)) for n, row in zip(sizes, sources, strict=True)]
        super().__init__(sizes, tokens, seed=0)

    def collate(self, chosen: Indices | Sequence[int]) -> Batch:
        """The arguments of a forward, and labels [row, pos]."""
        rows = [self.rows[i] for i in chosen]
        labels = pad([self.labels[i] for i in chosen], IGNORED)
        if self.sources is None:
            return Batch(padded(rows, self.filler), labels)
        inputs = padded([self.sources[i] for i in chosen], self.filler)
        inputs |= padded(rows, self.filler, "decoder_tokens", "decoder_attention_mask")
        return Batch(inputs, labels)


def batches(examples: Examples, device: Any = "cpu") -> Iterator[tuple[Indices, Batch]]:
    """Every example once, like lengths together: which they are, [row], and their batch."""
    for step in range(examples.steps_per_epoch):
        chosen = examples.order.step(step)
        yield chosen, examples.collate(chosen).to(device)


def read_by(stack: str, batch: Batch) -> tuple[Tensor, Tensor]:
    """Ids [row, pos] that a stack reads in a batch, and which of them are no padding."""
    name, mask = "tokens", "attention_mask"
    if stack == "decoder":
        name, mask = "decoder_tokens", "decoder_attention_mask"
    ids = batch.inputs[name]
    real = batch.inputs.get(mask)
    return ids, torch.ones_like(ids, dtype=torch.bool) if real is None else real.bool()


# -- texts ---------------------------------------------------------------------------------------


def passages(
    model: Any,
    texts: Sequence[str | Pair],
    *,
    length: int | None = None,
    most: int | None = None,
    masked: bool = False,
    tokens: int = TOKENS,
) -> Examples:
    """Texts as a model reads them, in pieces of at most `length` tokens.

    A decoder reads its begin-of-text token and a piece, and should predict what follows each
    token. An encoder reads a piece in its frame. An encoder-decoder needs pairs of texts, and
    reads both sides whole.

    Args:
        length: by default as long as the context, at most 512.
        most: stop after so many tokens.
        masked: for an encoder: 15% of the tokens, the same ones each time, are read as the mask
            token and are what should be predicted. Otherwise an encoder predicts nothing.

    Raises:
        InputError: no texts, texts where pairs are needed, or a model without a tokenizer.
    """
    tokenizer = model.tokenizer
    if tokenizer is None:
        raise InputError(
            "This model has no tokenizer, so it reads no text; have it read random tokens: "
            f"{REPEATS!r}."
        )
    length = min(model.cfg.n_ctx, 512) if length is None else length
    if model.cfg.shape == "encoder_decoder":
        return _pairs(model, texts, length, most, tokens)
    plain = [text.source if isinstance(text, Pair) else text for text in texts]
    before, after = [], []
    if model.cfg.shape == "encoder":
        before, after = [role_id(tokenizer, "cls", "bos")], [role_id(tokenizer, "sep", "eos")]
    elif tokenizer.bos_token_id is not None and model.cfg.default_prepend_bos:
        before = [tokenizer.bos_token_id]
    rows: list[list[int]] = []
    labels: list[list[int]] = []
    for piece in _pieces(encode_texts(tokenizer, plain), length - len(before + after), most):
        row = before + piece + after
        if model.cfg.shape == "decoder":
            label = [*row[1:], IGNORED]
        elif masked:
            inside = range(len(before), len(row) - len(after))
            row, label = _masked(row, inside, role_id(tokenizer, "mask"), len(rows))
        else:
            label = [IGNORED] * len(row)
        rows.append(row)
        labels.append(label)
    return Passages(rows, labels, pad_id(tokenizer), tokens=tokens)


def _pieces(encoded: Iterator[list[int]], length: int, most: int | None) -> Iterator[list[int]]:
    left = most
    for ids in encoded:
        for start in range(0, len(ids), length):
            if left is not None and left <= 0:
                return
            piece = ids[start : start + length][:left]
            left = None if left is None else left - len(piece)
            yield piece


def _masked(row: list[int], places: range, mask: int, number: int) -> tuple[list[int], list[int]]:
    """What is read and what should be predicted, of the passage of a number."""
    random = np.random.default_rng(stream_seed("mask", number))
    chosen = random.choice(places, max(1, round(_MASKED * len(places))), replace=False)
    read, label = list(row), [IGNORED] * len(row)
    for i in chosen.tolist():
        read[i], label[i] = mask, row[i]
    return read, label


def _pairs(
    model: Any, texts: Sequence[str | Pair], length: int, most: int | None, tokens: int
) -> Pairs:
    pairs = [text for text in texts if isinstance(text, Pair)]
    if len(pairs) < len(texts) or not pairs:
        raise InputError(
            "An encoder-decoder reads pairs of texts; give a set of pairs, such as tatoeba_fr."
        )
    if most is not None:  # a token is about four characters
        sizes = np.cumsum([len(pair.source) / 4 for pair in pairs])
        pairs = pairs[: 1 + int(np.searchsorted(sizes, most))]
    return Pairs(
        [pair.source for pair in pairs],
        [pair.references[0] for pair in pairs],
        model.tokenizer,
        tokens=tokens,
        max_length=length,
        seed=0,
        start=model.cfg.decoder_start_token_id,
    )


# -- random tokens -------------------------------------------------------------------------------


def repeats(
    model: Any, *, rows: int = 32, length: int = 64, seed: int = 0, tokens: int = TOKENS
) -> Passages:
    """Random tokens that repeat, in the frame of the model (`RepeatedTokens`).

    Where a passage ends differs from row to row, so that a head that looks a fixed distance back
    does not pass for one that looks what followed. An encoder-decoder reads on both sides the same.

    Args:
        length: of a row without its frame, at most what the context and the vocabulary allow.
    """
    cfg, tokenizer = model.cfg, model.tokenizer
    frame = (cfg.bos_token_id, cfg.eos_token_id, cfg.pad_token_id, cfg.decoder_start_token_id)
    special = {i for i in frame if i is not None}
    special |= set() if tokenizer is None else set(special_ids(tokenizer))
    ordinary = np.array([i for i in range(cfg.d_vocab) if i not in special])
    length = min(length, cfg.n_ctx - 2, 2 * len(ordinary))
    drawn = RepeatedTokens(len(ordinary) + 1, rows, length, seed).batch(0).labels
    text = ordinary[drawn.numpy() - 1].tolist()
    if cfg.shape == "decoder":
        before = (
            [] if cfg.bos_token_id is None or not cfg.default_prepend_bos else [cfg.bos_token_id]
        )
        read = [before + row for row in text]
        return Passages(read, [[*row[1:], IGNORED] for row in read], tokens=tokens)
    before, after = _frame(model)
    framed = [before + row + after for row in text]
    if cfg.shape == "encoder":
        return Passages(framed, [[IGNORED] * len(row) for row in framed], tokens=tokens)
    written = [row + after for row in text]
    read = [[cfg.decoder_start_token_id, *row[:-1]] for row in written]
    return Passages(read, written, sources=framed, tokens=tokens)


def _frame(model: Any) -> tuple[list[int], list[int]]:
    """What stands before and after a text that an encoder reads."""
    cfg, tokenizer = model.cfg, model.tokenizer
    if tokenizer is not None:
        around = tokenizer.encode("", add_special_tokens=True)
        return (around[:1], around[1:]) if len(around) > 1 else ([], around)
    return [], [] if cfg.eos_token_id is None else [cfg.eos_token_id]


# -- the command line ----------------------------------------------------------------------------


def add_text_arguments(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """The options that say what is read; see `read_texts`."""
    parser.add_argument(
        "--texts",
        default=default,
        required=default is None,
        metavar="NAME|FILE",
        help=f"a public set (with --data), a file of texts, or {REPEATS}: random tokens that repeat"
        + ("" if default is None else f"; {default} by default"),
    )
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="where the public sets lie")
    parser.add_argument("--split", default="test", help="of a public set; test by default")
    parser.add_argument(
        "--tokens", type=int, default=20_000, metavar="N", help="read so many; 20000 by default"
    )


def read_texts(model: Any, options: argparse.Namespace, *, masked: bool = False) -> Examples:
    """What the options of `add_text_arguments` ask for, for a model.

    Raises:
        InputError: no such set or file, or one that is no text.
    """
    if options.texts == REPEATS:
        length = min(64, model.cfg.n_ctx - 2)
        return repeats(model, rows=max(1, options.tokens // length), length=length)
    texts = named_texts(options.texts, options.data, options.split)
    return passages(model, texts, most=options.tokens, masked=masked)


def named_texts(name: str, data: Path | None, split: str) -> list[str | Pair]:
    """The texts of a public set, whose sets lie in the folder `data`, or of a file.

    Raises:
        InputError: no such set or file, or one that is no text.
    """
    if name not in SETS:
        return [_text(record) for record in read_documents([name])]
    if data is None:
        raise InputError(f"{name} is a public set; say with --data where they lie.")
    return [_text(record) for record in read_set(name, data, split)]


def _text(record: Any) -> str | Pair:
    if isinstance(record, str | Pair):
        return record
    text = getattr(record, "text", None)
    if isinstance(text, str):
        return text
    words = getattr(record, "words", None)
    if words is None:
        raise InputError(f"A {type(record).__name__} is no text; give another set.")
    return " ".join(words)
