"""One reading of all units: how probable each token was, and what the model expected of it.

Whatever attacks a model by its likelihood (membership, discoverable extraction) is a function of
three numbers a token: log p of the token itself, and mean and spread of log p over the vocabulary.
They are taken in chunks of logits, so a reading costs one forward and no memory for the logits of
more than one batch.

A unit is what one person could have put into the training data:

| model | unit | what is predicted |
|---|---|---|
| decoder | a text | each token, in windows of the context that move by half of it |
| encoder (`mlm`) | a text | each token, masked once in one of seven turns (pseudo-likelihood) |
| encoder-decoder | a `Pair` | the tokens of the first reference, given the source |
| classifier | an `Example` | its label |
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interp.data.batch import IGNORED, Batch, pad
from interp.data.encoding import encode_texts, pad_id, role_id, tokenizer_hash
from interp.data.examples import padded
from interp.data.pairs import Pairs
from interp.data.records import Example, Pair
from interp.errors import InputError, InterpError, UnsupportedModelError
from interp.model.transformer import HookedTransformer
from interp.train.tasks.classification import Classification, require_classes
from interp.train.tasks.language_modelling import windows
from interp.train.tasks.task import batches, by_length, evaluation_tokens

Floats = NDArray[np.float64]
Unit = str | Pair | Example

TURNS = 7
"""An encoder reads a text so many times, with every seventh token masked: 14% as in training."""

_LOGITS = 2**24
"""At a time in which means and spreads are taken."""


@dataclass(frozen=True)
class Reading:
    """How a model fares with units, over the tokens that it had to predict.

    Attributes:
        unit: [token], whose token it is, ascending; every unit has at least one.
        log_prob: [token], of what stands there, in nats.
        mean: [token], the expectation of log p over the vocabulary: minus the entropy.
        std: [token], its standard deviation.
    """

    unit: NDArray[np.int64]
    log_prob: Floats
    mean: Floats
    std: Floats

    def __len__(self) -> int:
        return int(self.unit[-1]) + 1

    @property
    def starts(self) -> NDArray[np.int64]:
        """Where the tokens of each unit begin, [unit]."""
        return np.searchsorted(self.unit, np.arange(len(self)))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each unit, [unit]."""
        return np.bincount(self.unit)

    @property
    def total(self) -> Floats:
        """log p of each unit, [unit], in nats."""
        total: Floats = np.add.reduceat(self.log_prob, self.starts)
        return total


def read(
    model: HookedTransformer,
    units: Sequence[Unit],
    *,
    labels: Sequence[str] = (),
    progress: bool = False,
) -> Reading:
    """Reads all units, several a batch.

    Args:
        labels: of a classifier, the names of its classes in the order of its outputs, where it
            does not know them itself.

    Raises:
        InputError: no units, or units that this model does not read.
        UnsupportedModelError: a head that gives no probability to a unit.
        InterpError: probabilities that are not numbers.
    """
    if not len(units):
        raise InputError("There is nothing to read: give at least one unit.")
    parts = _parts(model, units, labels, progress)
    owners, values = [], []
    with torch.inference_mode():
        for owner, batch in parts:
            labelled = batch.labels != IGNORED
            rows = labelled.nonzero()[:, 0].cpu().numpy()
            logits = model(**batch.inputs)[labelled]
            owners.append(np.asarray(owner)[rows])
            values.append(moments(logits, batch.labels[labelled]))
    unit, found = np.concatenate(owners), np.concatenate(values)
    order = np.argsort(unit, kind="stable")
    unit, found = unit[order], found[order]
    silent = np.setdiff1d(np.arange(len(units)), unit)
    if len(silent):
        raise InputError(f"Unit {silent[0]} has no token to predict; leave it out.")
    if not np.isfinite(found).all():
        bad = int(unit[~np.isfinite(found).all(1)][0])
        raise InterpError(
            f"The model's probabilities in unit {bad} are not finite; look for NaN in its weights "
            "(`Run.audit`)."
        )
    return Reading(unit, *found.T)


def moments(logits: Tensor, labels: Tensor) -> Floats:
    """log p of the label, its expectation and its standard deviation, [n, 3].

    Args:
        logits: [n, d_vocab]; the softmax is taken in float32 at least.
        labels: [n].
    """
    out = []
    rows = max(1, _LOGITS // logits.shape[-1])
    for some, label in zip(logits.split(rows), labels.split(rows), strict=True):
        log_p = (some if some.dtype == torch.float64 else some.float()).log_softmax(-1)
        p = log_p.exp()
        log_p_there = log_p.masked_fill(p == 0, 0.0)  # what cannot be counts nothing
        mean = (p * log_p_there).sum(-1, keepdim=True)
        spread = (p * (log_p_there - mean).square()).sum(-1).sqrt()
        own = log_p.gather(-1, label[:, None])
        out.append(torch.cat([own, mean, spread[:, None]], 1).double().cpu())
    found: Floats = torch.cat(out).numpy()
    return found


def require_same_tokenizer(model: HookedTransformer, other: HookedTransformer) -> None:
    """Raises `InputError` unless two models read a text as the same tokens."""
    one, two = (tokenizer_hash(m.require_tokenizer()) for m in (model, other))
    if one != two:
        raise InputError("The reference reads other tokens than the model; it needs its tokenizer.")


def text_of(unit: Unit) -> str:
    """The text whose presence in the training data is asked about."""
    if isinstance(unit, Pair):
        return unit.references[0]
    return unit.text if isinstance(unit, Example) else unit


# -- what the model is shown of each kind of unit --------------------------------------------------

_Parts = Iterator[tuple[Sequence[int], Batch]]


def _parts(
    model: HookedTransformer, units: Sequence[Unit], labels: Sequence[str], progress: bool
) -> _Parts:
    """Batches, and which unit each row is of."""
    cfg = model.cfg
    if cfg.head == "classification":
        examples = _all(units, Example, "a classifier")
        task = Classification(tuple(labels) or cfg.class_names)
        require_classes(model, task.labels)
        return batches(model, task.source(model, examples, tokens=1), progress=progress)
    if cfg.head not in ("lm", "mlm"):
        raise UnsupportedModelError(
            f"A model with the head {cfg.head!r} gives no probability to a whole unit; membership "
            "is asked of language models and classifiers."
        )
    if cfg.shape == "encoder_decoder":
        pairs = _all(units, Pair, "an encoder-decoder")
        source = Pairs(
            [pair.source for pair in pairs],
            [pair.references[0] for pair in pairs],
            model.require_tokenizer(),
            tokens=1,
            max_length=cfg.n_ctx,
            seed=0,
            start=cfg.decoder_start_token_id,
        )
        return batches(model, source, progress=progress)
    texts = _all(units, str, "a language model of this shape")
    show = _in_windows if cfg.shape == "decoder" else _in_turns
    return _grouped(model, list(show(model, texts)), progress)


_Kind = TypeVar("_Kind", str, Pair, Example)


def _all(units: Sequence[Unit], kind: type[_Kind], reader: str) -> list[_Kind]:
    found = [unit for unit in units if isinstance(unit, kind)]
    if len(found) < len(units):
        i = next(i for i, unit in enumerate(units) if not isinstance(unit, kind))
        raise InputError(
            f"Unit {i} is a {type(units[i]).__name__}; {reader} reads {kind.__name__} units."
        )
    return found


_Part = tuple[int, list[int], list[int]]  # unit, tokens, labels


def _in_windows(model: HookedTransformer, texts: Sequence[str]) -> Iterator[_Part]:
    tokenizer = model.require_tokenizer()
    bos = tokenizer.bos_token_id if model.cfg.default_prepend_bos else None
    for unit, ids in enumerate(encode_texts(tokenizer, texts)):
        shown = ids if bos is None else [bos, *ids]
        for tokens, labels in windows(shown, model.cfg.n_ctx):
            yield unit, tokens, labels


def _in_turns(model: HookedTransformer, texts: Sequence[str]) -> Iterator[_Part]:
    tokenizer = model.require_tokenizer()
    mask = role_id(tokenizer, "mask")
    before, after = role_id(tokenizer, "cls", "bos"), role_id(tokenizer, "sep", "eos")
    length = model.cfg.n_ctx - 2
    for unit, ids in enumerate(encode_texts(tokenizer, texts)):
        for start in range(0, len(ids), length):
            piece = ids[start : start + length]
            for turn in range(min(TURNS, len(piece))):
                hidden = [i % TURNS == turn for i in range(len(piece))]
                tokens = [mask if h else t for h, t in zip(hidden, piece, strict=True)]
                labels = [t if h else IGNORED for h, t in zip(hidden, piece, strict=True)]
                yield unit, [before, *tokens, after], [IGNORED, *labels, IGNORED]


def _grouped(model: HookedTransformer, parts: list[_Part], progress: bool) -> _Parts:
    filler, device = pad_id(model.require_tokenizer()), model.embed.weight.device
    lengths = [len(tokens) for _, tokens, _ in parts]
    for chosen in by_length(lengths, evaluation_tokens(model), progress=progress, unit="part"):
        some = [parts[i] for i in chosen]
        inputs = padded([tokens for _, tokens, _ in some], filler)
        labels = pad([labels for _, _, labels in some], IGNORED)
        yield [unit for unit, _, _ in some], Batch(inputs, labels).to(device)
