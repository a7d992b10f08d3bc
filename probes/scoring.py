"""How probable a model finds each token of a text: what the analyses of behaviour stand on.

- A decoder predicts each token from those before it. Where the model begins with a begin-of-text
  token, that predicts the first one too; where it does not, nothing does, and the first token has
  no number (NaN). Texts beyond the context are read in windows that move by half of it.
- An encoder predicts each token with only that token masked: the pseudo-log-likelihood of Salazar
  et al. (2020, arXiv 1910.14659). It is no probability of the text, and favours words of several
  tokens, since the rest of a word gives the masked part away (Kauf & Ivanova 2023).
- An encoder-decoder predicts the text as the target of a source.

Begin, end and other frame tokens are read but never scored; special tokens that stand in a text are
letters.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from interp.data.batch import IGNORED
from interp.data.encoding import literal, pad_id, role_id
from interp.data.examples import padded
from interp.errors import ConfigError, InputError
from interp.explain.reading import refuse_dropout
from interp.train.tasks.language_modelling import windows
from interp.train.tasks.task import by_length

Floats = NDArray[np.float64]
Spans = NDArray[np.int64]

_LOGITS = 2**25  # at a time
_TOKENS = 4096


@dataclass(frozen=True)
class Scored:
    """The tokens of one text.

    Attributes:
        ids: of the tokens.
        spans: where each stands in the text, [token, 2], in characters.
        log_probs: of each, in nats, [token]; NaN where nothing predicts it.
    """

    ids: tuple[int, ...]
    spans: Spans
    log_probs: Floats

    @property
    def n(self) -> int:
        """How many tokens are predicted."""
        return int(np.isfinite(self.log_probs).sum())

    @property
    def total(self) -> float:
        """Summed log-probability of the predicted tokens, in nats."""
        return float(np.nansum(self.log_probs))


@dataclass(frozen=True)
class Row:
    """What one row of a forward reads, and which tokens of which text its outputs predict.

    Attributes:
        text: which one.
        tokens: that are read.
        outputs: the places in the row whose outputs count.
        predicted: the place in the text of the token that each of them predicts.
        labels: the ids of those tokens.
        source: of an encoder-decoder.
    """

    text: int
    tokens: list[int]
    outputs: list[int]
    predicted: list[int]
    labels: list[int]
    source: list[int] | None = None

    def __len__(self) -> int:
        return max(len(self.tokens), len(self.source or ()))


def score(
    model: Any,
    texts: Sequence[str],
    *,
    sources: Sequence[str] | str | None = None,
    progress: bool = False,
) -> list[Scored]:
    """Scores every token of every text, in batches of like length; equal texts are scored once.

    Args:
        model: with a head over its vocabulary and a tokenizer.
        texts: each with at least one token.
        sources: of an encoder-decoder, what each text is the target of; one text for all.
        progress: whether to show a bar.

    Raises:
        ConfigError: the model predicts no tokens, or sources are missing or needless.
        InputError: a text without a token, one that is too long for an encoder-decoder, a model
            that drops activations at random, or log-probabilities that are not finite.
    """
    asked = list(zip(texts, _sources(model, texts, sources), strict=True))
    once = {pair: i for i, pair in enumerate(dict.fromkeys(asked))}
    told = list(once)
    rows, ids, spans = _encoded(model, told)
    found = [np.full(len(one), np.nan) for one in ids]
    lengths = [len(row) for row in rows]
    for chosen in by_length(lengths, batch_tokens(model), progress=progress, unit="row"):
        some = [rows[i] for i in chosen]
        values = _log_probs(model, some)
        if not np.isfinite(values).all():
            raise InputError(
                "The model's log-probabilities are not finite on texts such as "
                f"{told[some[0].text][0][:60]!r}; look for weights that are not finite, or for "
                "overflow."
            )
        first = 0
        for row in some:
            found[row.text][row.predicted] = values[first : first + len(row.predicted)]
            first += len(row.predicted)
    scored = [Scored(tuple(i), s, v) for i, s, v in zip(ids, spans, found, strict=True)]
    return [scored[once[pair]] for pair in asked]


def score_pairs(
    model: Any,
    pairs: Sequence[tuple[str, str]],
    *,
    sources: Sequence[str] | str | None = None,
) -> list[tuple[Scored, Scored]]:
    """Scores both texts of each pair; see `score`.

    Args:
        sources: of an encoder-decoder, one for each pair or one for all.

    Raises:
        ConfigError, InputError: as `score` does, and if there are no pairs.
    """
    if not pairs:
        raise InputError("There are no pairs to judge.")
    if sources is not None and not isinstance(sources, str):
        sources = [source for source in sources for _ in range(2)]
    scored = score(model, [text for pair in pairs for text in pair], sources=sources)
    return list(zip(scored[::2], scored[1::2], strict=True))


def reading(
    model: Any, texts: Sequence[str], sources: Sequence[str] | str | None = None
) -> list[Row]:
    """What has to be read for every token of the texts to be predicted; raises as `score` does."""
    return _encoded(model, list(zip(texts, _sources(model, texts, sources), strict=True)))[0]


def batch_tokens(model: Any) -> int:
    """Tokens of one forward: as many as are efficient and keep the logits below 128 MB."""
    return min(_TOKENS, max(1, _LOGITS // int(model.cfg.d_vocab)))


def owners(text: str, spans: Spans, starts: Sequence[int]) -> NDArray[np.int64]:
    """Which piece of a text each token belongs to, [token]: that of its first visible character.

    So the space before a word counts with the word, wherever the tokenizer has put it.

    Args:
        spans: of the tokens, [token, 2].
        starts: where each piece begins, ascending.
    """
    visible = [i for i, character in enumerate(text) if not character.isspace()] or [0]
    places = [
        visible[min(bisect_left(visible, int(start)), len(visible) - 1)] for start in spans[:, 0]
    ]
    found: NDArray[np.int64] = np.searchsorted(np.asarray(starts), places, side="right") - 1
    return found


def _sources(
    model: Any, texts: Sequence[str], sources: Sequence[str] | str | None
) -> Sequence[str | None]:
    """The source of each text."""
    if not model.cfg.has_vocabulary_head:
        raise ConfigError(
            f"The model has the head {model.cfg.head!r} and predicts no tokens; give a language "
            "model."
        )
    refuse_dropout(model)
    if isinstance(texts, str):
        raise InputError("The texts are one string; give a list.")
    if (model.cfg.shape == "encoder_decoder") != (sources is not None):
        raise ConfigError(
            "An encoder-decoder scores a text as the target of a source; give its sources."
            if sources is None
            else f"Only an encoder-decoder has sources; this is a {model.cfg.shape}."
        )
    if sources is None or isinstance(sources, str):
        return [sources] * len(texts)
    if len(sources) != len(texts):
        raise InputError(f"There are {len(texts)} texts and {len(sources)} sources.")
    return sources


def _encoded(
    model: Any, told: Sequence[tuple[str, str | None]]
) -> tuple[list[Row], list[list[int]], list[Spans]]:
    """The rows that predict the tokens of texts, the tokens, and where those stand."""
    backend = literal(model.require_tokenizer())
    ids: list[list[int]] = []
    spans: list[Spans] = []
    for text, _ in told:
        encoded = backend.encode(text, add_special_tokens=False)
        if not encoded.ids:
            raise InputError(f"The text {text!r} has no token, so there is nothing to score.")
        ids.append(list(encoded.ids))
        spans.append(np.array(encoded.offsets, dtype=np.int64))
    asking = {source: _asked(model, backend, source) for _, source in told}
    rows = [
        row for i, (_, source) in enumerate(told) for row in _rows(model, i, ids[i], asking[source])
    ]
    return rows, ids, spans


def _asked(model: Any, backend: Any, source: str | None) -> list[int] | None:
    """The tokens of a source, in the tokenizer's template."""
    if source is None:
        return None
    ids = list(backend.encode(source, add_special_tokens=True).ids)
    if not 0 < len(ids) <= model.cfg.n_ctx:
        raise InputError(
            f"A source has {len(ids)} tokens; it needs one, and the context holds "
            f"{model.cfg.n_ctx}."
        )
    return ids


def _rows(model: Any, text: int, ids: list[int], source: list[int] | None) -> Iterator[Row]:
    cfg, tokenizer = model.cfg, model.require_tokenizer()
    if cfg.shape == "encoder":
        yield from _masked(tokenizer, cfg.n_ctx, text, ids)
    elif cfg.shape == "encoder_decoder":
        if len(ids) > cfg.n_ctx:
            raise InputError(f"A text has {len(ids)} tokens; the context holds {cfg.n_ctx}.")
        places = list(range(len(ids)))
        yield Row(text, [cfg.decoder_start_token_id, *ids[:-1]], places, places, ids, source)
    else:
        bos = tokenizer.bos_token_id if cfg.default_prepend_bos else None
        next_one = 1 if bos is None else 0
        for read, labels in windows(ids if bos is None else [bos, *ids], cfg.n_ctx):
            outputs = [i for i, label in enumerate(labels) if label != IGNORED]
            predicted = list(range(next_one, next_one + len(outputs)))
            next_one += len(outputs)
            yield Row(text, read, outputs, predicted, [ids[i] for i in predicted])


def _masked(tokenizer: Any, n_ctx: int, text: int, ids: list[int]) -> Iterator[Row]:
    """A row for each token, which reads the mask in its place."""
    mask = role_id(tokenizer, "mask")
    before, after = role_id(tokenizer, "cls", "bos"), role_id(tokenizer, "sep", "eos")
    for start in range(0, len(ids), n_ctx - 2):
        piece = ids[start : start + n_ctx - 2]
        for i in range(len(piece)):
            read = [before, *piece[:i], mask, *piece[i + 1 :], after]
            yield Row(text, read, [i + 1], [start + i], [piece[i]])


@torch.inference_mode()
def logits_of(model: Any, rows: Sequence[Row]) -> Tensor:
    """The logits that the rows' outputs predict from, one row's behind another's,
    [output, d_vocab], in float32 at least."""
    filler, device = pad_id(model.require_tokenizer()), model.W_E.device
    tokens = [row.tokens for row in rows]
    sources = [row.source for row in rows if row.source is not None]
    if sources:
        inputs = padded(sources, filler)
        inputs |= padded(tokens, filler, "decoder_tokens", "decoder_attention_mask")
    else:
        inputs = padded(tokens, filler)
    logits = model(**{name: value.to(device) for name, value in inputs.items()})
    owner = [i for i, row in enumerate(rows) for _ in row.outputs]
    chosen: Tensor = logits[owner, [i for row in rows for i in row.outputs]]
    # Half precision has too few digits for a sum over a vocabulary.
    return chosen.to(torch.promote_types(chosen.dtype, torch.float32))


@torch.inference_mode()
def _log_probs(model: Any, rows: Sequence[Row]) -> Floats:
    """Of the tokens that the rows predict, one row's behind another's."""
    logits = logits_of(model, rows)
    right = torch.tensor([i for row in rows for i in row.labels], device=logits.device)[:, None]
    found: Floats = (logits.gather(-1, right)[:, 0] - logits.logsumexp(-1)).double().cpu().numpy()
    return found
