"""Activations of many texts, in batches of like lengths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from interp.activations.places import Ints, Places
from interp.activations.sites import Site, common_side, open_sites
from interp.activations.texts import Side, Texts
from interp.data.examples import padded
from interp.errors import InputError
from interp.model.continuation import evaluating
from interp.model.core import Transformer
from interp.model.hook_points import NamesFilter
from interp.model.protocol import LanguageModel

TOKENS = 4096
"""Tokens of a batch, padding included: enough for the matrix products, little memory."""


@dataclass(frozen=True)
class Rows:
    """Activations of some rows.

    Attributes:
        values: site -> [row, d], in the model's precision.
        places: the tokens that each row is of.
        order: where each row stands among all that were asked for, [row].
    """

    values: dict[str, Tensor]
    places: Places
    order: Ints

    def __len__(self) -> int:
        return len(self.order)


class Reader:
    """Activations at some sites, batch by batch; each forward ends after the last of the sites.

    Texts of like length come together, so that little is padding, and the longest first, so that
    a batch that does not fit into memory fails at once. Peak memory is that of one batch. Equal
    arguments give equal batches.

    Args:
        texts: from `encode`, or ids: `Texts(Side(ids))`.
        sites: hook points with a vector at each position (heads are laid side by side, so
            `[batch, pos, head, d_head]` gives rows of `head * d_head`), or with one for each text:
            a name, several, or a predicate. Of an encoder-decoder, all of one side.
        places: the rows; by default every token but special ones.
        tokens: the most in a batch, padding included. A longer text is a batch of its own.

    Attributes:
        sites: full names, in firing order.
        side: the texts that the rows are of.
        places: the rows.
        batches: which rows are in each batch.

    Raises:
        HookError: a site that the model lacks.
        InputError: a site without a vector at each position, sites of two sides, a place that lies
            outside its text.
    """

    def __init__(
        self,
        model: LanguageModel,
        texts: Texts,
        sites: NamesFilter,
        places: Places | None = None,
        *,
        tokens: int = TOKENS,
    ):
        self.model, self.texts = model, texts
        self._sites = open_sites(model, sites)
        self.sites = [site.name for site in self._sites]
        self.side = _side(texts, self._sites)
        self.places = Places.tokens(self.side) if places is None else places
        self.places.check(self.side)
        self.batches = batches(texts, self.places, tokens)

    def batch(self, number: int) -> Rows:
        """The rows of one batch.

        Raises:
            InputError: activations that are not finite, with site, text and token.
        """
        return self.rows(self.batches[number])

    def widths(self) -> dict[str, int]:
        """Site -> width of its rows; one short text is read for it."""
        shortest = self.batches[-1][-1:]
        return {name: value.shape[1] for name, value in self.rows(shortest).values.items()}

    def rows(self, order: Ints) -> Rows:
        """Some of the rows, as one batch."""
        places = self.places[order]
        rows = Rows(_read(self.model, self.texts, self._sites, places), places, order)
        _refuse_not_finite(rows, self.side, self.model)
        return rows


def read(
    model: LanguageModel,
    texts: Texts,
    sites: NamesFilter,
    places: Places | None = None,
    *,
    tokens: int = TOKENS,
) -> Iterator[Rows]:
    """The batches of a `Reader` with these arguments, one after the other.

    Raises:
        HookError, InputError: see `Reader`.
    """
    reader = Reader(model, texts, sites, places, tokens=tokens)
    return map(reader.batch, range(len(reader.batches)))


def gather(
    model: LanguageModel,
    texts: Texts,
    sites: NamesFilter,
    places: Places | None = None,
    *,
    tokens: int = TOKENS,
    device: torch.device | str | None = None,
) -> Rows:
    """All that `read` yields as one, in the order of `places`: `values[site]` is [row, d].

    Args:
        device: where to keep the values; by default where the model is.
    """
    reader = Reader(model, texts, sites, places, tokens=tokens)
    values: dict[str, Tensor] = {}
    for order in reader.batches:
        for name, value in reader.rows(order).values.items():
            if name not in values:
                shape = len(reader.places), value.shape[1]
                values[name] = value.new_empty(shape, device=device)
            out = values[name]
            out[torch.from_numpy(order).to(out.device)] = value.to(out.device)
    return Rows(values, reader.places, np.arange(len(reader.places)))


def _side(texts: Texts, sites: Sequence[Site]) -> Side:
    if common_side(sites) == "source":
        return texts.source
    if texts.target is None:
        raise InputError(
            f"{sites[0].name} lies in the decoder, and the texts have no targets for it to read; "
            "give them to `encode`."
        )
    return texts.target


def batches(texts: Texts, places: Places, tokens: int) -> list[Ints]:
    """The rows of each batch: of whole texts, the longest first."""
    if tokens < 1:
        raise InputError(f"A batch of {tokens} tokens reads nothing; give a positive number.")
    source = texts.source.lengths
    target = np.zeros_like(source) if texts.target is None else texts.target.lengths
    used = np.unique(places.text)
    ranked = used[np.lexsort((source[used], source[used] + target[used]))[::-1]]
    batch_of = np.zeros(len(texts), np.int64)
    number = rows = wide = wide_target = 0
    for text, length, length_target in zip(
        *(x.tolist() for x in (ranked, source[ranked], target[ranked])), strict=True
    ):
        wide, wide_target = max(wide, length), max(wide_target, length_target)
        if rows and (rows + 1) * (wide + wide_target) > tokens:
            number, rows, wide, wide_target = number + 1, 0, length, length_target
        rows += 1
        batch_of[text] = number
    of_row = batch_of[places.text]
    order = np.argsort(of_row, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(of_row[order])) + 1)


def _read(
    model: LanguageModel, texts: Texts, sites: Sequence[Site], places: Places
) -> dict[str, Tensor]:
    """The rows of one batch: site -> [row, d]."""
    device = model.W_E.device
    used, row = np.unique(places.text, return_inverse=True)
    inputs = _padded(texts.source, used, "tokens", "attention_mask")
    if texts.target is not None:
        inputs |= _padded(texts.target, used, "decoder_tokens", "decoder_attention_mask")
    mode = evaluating(model) if isinstance(model, Transformer) else nullcontext()
    with torch.no_grad(), mode:
        _, cache = model.run_with_cache(
            **{name: value.to(device) for name, value in inputs.items()},
            names_filter=[site.name for site in sites],
            return_cache_object=False,
        )
    lengths = places.stop - places.start
    # Tokens of all rows in one list: of each, its text in the batch and its position there.
    first = np.repeat(places.start - np.cumsum(lengths) + lengths, lengths)
    position = torch.from_numpy(first + np.arange(lengths.sum())).to(device)
    text = torch.from_numpy(np.repeat(row, lengths)).to(device)
    single = bool((lengths == 1).all())
    values = {}
    for site in sites:
        value = cache.pop(site.name)
        if not site.by_position:
            values[site.name] = value[torch.from_numpy(row).to(device)]
            continue
        taken = value[text, position].flatten(1)
        values[site.name] = taken if single else _means(taken, lengths)
    return values


def _padded(side: Side, used: Ints, tokens: str, mask: str) -> dict[str, Tensor]:
    rows = [list(side.tokens[text]) for text in used]
    return padded(rows, rows[0][0], tokens, mask)


def _means(values: Tensor, lengths: Ints) -> Tensor:
    """The means of runs of rows, summed in at least float32: [token, d] -> [row, d]."""
    wide = values.float() if values.dtype.itemsize < 4 else values
    counts = torch.from_numpy(lengths).to(values.device)
    return torch.segment_reduce(wide, "mean", lengths=counts).to(values.dtype)


def _refuse_not_finite(rows: Rows, side: Side, model: LanguageModel) -> None:
    # A sum is finite unless a value is not, or it overflows; only then does one look closer.
    sums = torch.stack([value.sum(dtype=torch.float32) for value in rows.values.values()])
    if bool(sums.isfinite().all()):
        return
    for name, value in rows.values.items():
        bad = (~value.isfinite()).any(1).nonzero()
        if len(bad):
            row = int(bad[0])
            at = rows.places
            text, start, stop = int(at.text[row]), int(at.start[row]), int(at.stop[row])
            where = f"token {start}" if stop == start + 1 else f"tokens {start} to {stop - 1}"
            said = ""
            if model.tokenizer is not None:
                said = f" ({model.tokenizer.decode(list(side.tokens[text][start:stop]))!r})"
            kind = "NaN" if bool(value[row].isnan().any()) else "infinite"
            raise InputError(
                f"{name} is {kind} at {where}{said} of text {text}. Look for such values in the "
                "weights, or for an overflow of a half-precision type."
            )
