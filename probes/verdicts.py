"""What a model says of texts that were changed a little: its classes, or its next token.

A text is a list of pieces, which are its words or, for a model without a tokenizer, its ids. So a
word can be put in or taken out, whatever reads the text.

- A classifier says how probable each class is.
- A decoder says how probable each token is behind the text; a masked language model, in a last
  place that is masked; an encoder-decoder, as the first token of the target.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from interp.data.encoding import literal, pad_id, role_id
from interp.data.examples import padded
from interp.data.order import stream_seed
from interp.data.records import Example
from interp.errors import InputError, UnsupportedModelError
from interp.explain.reading import refuse_dropout
from interp.train.tasks.classification import Classification
from interp.train.tasks.task import by_length
from probes.scoring import batch_tokens
from probes.texts import text_of

Floats = NDArray[np.float64]
Pieces = tuple[Any, ...]
"""Words, of which single spaces make the text again; or ids."""

PLACES = ("start", "middle", "end")
_CONTEXTS = 1000  # pieces of texts that next tokens are asked behind
_LENGTH = (6, 14)  # pieces of each
_KEPT = 3  # pieces at the end of such a text, behind whatever is put into it


class Verdicts(ABC):
    """Texts, and a model that says something of them.

    Attributes:
        texts: the pieces of each.
        sure: from this probability on the model is sure of what it says.
        places: of `PLACES`, where a piece can be put without saying the answer itself.
        kept: pieces at the end of a text behind which nothing is put in its middle.
    """

    texts: list[Pieces]
    sure: float
    places: tuple[str, ...] = PLACES
    kept: int = 0

    @abstractmethod
    def probabilities(self, variants: Sequence[tuple[int, Pieces]]) -> Floats:
        """What the model says of other pieces in place of those of a text: [variant, answer]."""

    @abstractmethod
    def name(self, answer: int) -> str:
        """What an answer is called."""

    @property
    @abstractmethod
    def labels(self) -> list[str] | None:
        """The true answer of each text by name, where it is known."""

    def put_in(self, text: int, piece: Any, place: str, random: np.random.Generator) -> Pieces:
        """A text's pieces with one more at a place; in the middle, at one that is drawn."""
        pieces = self.texts[text]
        at = {"start": 0, "end": len(pieces)}.get(place)
        if at is None:
            last = len(pieces) - (self.kept or 1)
            at = int(random.integers(min(1, last), max(1, last) + 1))
        return (*pieces[:at], piece, *pieces[at:])


class OfClassifier(Verdicts):
    """The classes of texts; of pairs of texts, the first one is changed."""

    sure = 0.9

    def __init__(self, model: Any, records: Sequence[Any], labels: Sequence[str] | None):
        self.model = model
        classes = labels or model.cfg.class_names or [str(i) for i in range(model.cfg.n_classes)]
        self.task = Classification(tuple(classes))
        known = [isinstance(record, Example) for record in records]
        self.known = all(known)
        self.records = [
            record if isinstance(record, Example) else Example(text_of(record), classes[0])
            for record in records
        ]
        self.texts = [tuple(record.text.split(" ")) for record in self.records]

    def probabilities(self, variants: Sequence[tuple[int, Pieces]]) -> Floats:
        changed = [replace(self.records[i], text=" ".join(pieces)) for i, pieces in variants]
        return self.task.answer(self.model, changed)

    def name(self, answer: int) -> str:
        return self.task.labels[answer]

    @property
    def labels(self) -> list[str] | None:
        return [record.label for record in self.records] if self.known else None


class OfNextToken(Verdicts):
    """The most probable tokens behind pieces of texts, which are cut out by the seed; of an
    encoder-decoder, the first tokens that it makes of whole texts."""

    sure = 0.5

    def __init__(self, model: Any, records: Sequence[Any], seed: int):
        self.model, cfg = model, model.cfg
        self.backend = None if model.tokenizer is None else literal(model.tokenizer)
        random = np.random.default_rng(stream_seed("verdicts", seed))
        pair = cfg.shape == "encoder_decoder"
        self.texts = []
        for record in records:
            pieces = self._pieces(record)
            if pair:  # whole, as it is meant to be translated
                self.texts += [pieces] if len(pieces) >= _KEPT else []
                continue
            for _ in range(max(1, _CONTEXTS // len(records))):
                n = int(random.integers(_LENGTH[0], _LENGTH[1] + 1))
                start = int(random.integers(max(1, len(pieces) - n + 1)))
                if len(pieces) >= n:
                    self.texts.append(pieces[start : start + n])
        self.texts = list(dict.fromkeys(self.texts))
        self.kept = 0 if pair else _KEPT
        # What stands last has a say of its own in what comes next, and what a source begins with
        # in what its translation begins with.
        self.places = PLACES[1:] if pair else PLACES[:2]

    def _pieces(self, record: Any) -> Pieces:
        if self.backend is not None:
            return tuple(text_of(record).split())
        ids = record.tolist() if hasattr(record, "tolist") else record
        if not isinstance(ids, list | tuple) or not all(type(i) is int for i in ids):
            raise InputError("Records for a model without a tokenizer must be ids [pos].")
        return tuple(ids)

    @torch.inference_mode()
    def probabilities(self, variants: Sequence[tuple[int, Pieces]]) -> Floats:
        rows = [self._row(pieces) for _, pieces in variants]
        model, cfg = self.model, self.model.cfg
        filler = 0 if model.tokenizer is None else pad_id(model.tokenizer)
        found: Floats = np.zeros((len(rows), cfg.d_vocab_out), dtype=np.float32)
        for chosen in by_length([len(row) for row in rows], batch_tokens(model)):
            inputs = padded([rows[i] for i in chosen], filler)
            if cfg.shape == "encoder_decoder":
                start = torch.full((len(chosen), 1), cfg.decoder_start_token_id)
                inputs["decoder_tokens"] = start
                last = [0] * len(chosen)
            else:
                behind = 2 if cfg.shape == "encoder" else 1  # the mask stands before [SEP]
                last = [len(rows[i]) - behind for i in chosen]
            logits = model(**{name: x.to(model.W_E.device) for name, x in inputs.items()})
            said = logits[torch.arange(len(chosen)), last].float().softmax(-1)
            found[chosen] = said.cpu().numpy()
        return found

    def _row(self, pieces: Pieces) -> list[int]:
        cfg, tokenizer = self.model.cfg, self.model.tokenizer
        if self.backend is None:
            return list(pieces)
        pair = cfg.shape == "encoder_decoder"
        ids = list(self.backend.encode(" ".join(pieces), add_special_tokens=pair).ids)
        if cfg.shape == "encoder":
            before, after = role_id(tokenizer, "cls", "bos"), role_id(tokenizer, "sep", "eos")
            return [before, *ids[: cfg.n_ctx - 3], role_id(tokenizer, "mask"), after]
        if cfg.shape == "decoder" and cfg.default_prepend_bos:
            ids = [tokenizer.bos_token_id, *ids]
        return ids[-cfg.n_ctx :]

    def name(self, answer: int) -> str:
        return str(answer) if self.model.tokenizer is None else str(self.model.to_string([answer]))

    @property
    def labels(self) -> None:
        return None


def verdicts(
    model: Any, records: Sequence[Any], *, labels: Sequence[str] | None = None, seed: int = 0
) -> Verdicts:
    """What a model says of texts.

    Args:
        records: texts or records with one; of a model without a tokenizer, ids [pos].
        labels: of a classifier, its classes in order; by default their names in the model.

    Raises:
        UnsupportedModelError: the model neither classifies whole texts nor predicts tokens.
        InputError: no records, or none that is long enough.
    """
    refuse_dropout(model)
    if not len(records):
        raise InputError("There are no texts.")
    if model.cfg.head == "classification":
        model.require_tokenizer()
        return OfClassifier(model, records, labels)
    if model.cfg.head not in ("lm", "mlm"):
        raise UnsupportedModelError(
            f"The model has the head {model.cfg.head!r}; what it says of a whole text is known of "
            "classifiers and of language models."
        )
    if model.cfg.n_ctx < _LENGTH[1] + 2:
        raise InputError(f"The context holds {model.cfg.n_ctx} tokens; that is no text.")
    found = OfNextToken(model, records, seed)
    if not found.texts:
        raise InputError(f"No text has {_LENGTH[1]} words.")
    return found
