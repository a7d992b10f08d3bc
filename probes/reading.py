"""Labelled stretches as a model reads them: rows that probes are fitted to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from interp.activations import Places, Side, Texts, encode, gather
from interp.errors import InputError
from interp.model.hook_points import select
from interp.model.protocol import LanguageModel
from probes.labelled import Labelled, Parts, Pooling
from probes.scores import UNKNOWN, Ints
from probes.solvers.spans import Spans

PARTS = ("train", "dev", "test")


@dataclass(frozen=True)
class Read:
    """A part as a model reads it; stretches that it cannot read are left out.

    Attributes:
        values: site -> standardised activations, [row, d]; of edges those of both ends side by
            side, [row, 2 d]. Where a probe pools by itself, of all tokens, [token, d].
        spans: first and last + 1 token of each end of each row, [row, end] each, where a probe
            pools by itself.
        classes: [row]; `UNKNOWN` for a label that is not fitted to.
        labels, types, lemmas: [row]; no lemmas where they are not known.
        text: which text each row is of, [row].
        left_out: share of the rows that the model could not read.
    """

    values: dict[str, Tensor]
    spans: tuple[Tensor, Tensor] | None
    classes: Ints
    labels: list[str]
    types: list[str]
    lemmas: list[str]
    text: Ints
    left_out: float

    def rows(self, sites: str | Sequence[str], kept: Tensor | None = None) -> Tensor | Spans:
        """What a probe is fitted to or judged by: of one site, or of several as a stack.

        Args:
            kept: only these rows, a mask [row].
        """
        if isinstance(sites, str):
            values = self.values[sites]
        else:
            values = torch.stack([self.values[site] for site in sites])
        if self.spans is not None:
            start, stop = self.spans if kept is None else (end[kept] for end in self.spans)
            return Spans(values, start, stop)
        return values if kept is None else values[..., kept, :]


def encoded(model: LanguageModel, parts: Parts) -> dict[str, Texts]:
    """The texts of all parts as a model's tokens."""
    return {part: encode(model, getattr(parts, part).texts, truncate=True) for part in PARTS}


def read_parts(
    model: LanguageModel,
    parts: Parts,
    texts: Mapping[str, Texts],
    names: list[str],
    pooling: Pooling | None,
) -> dict[str, Read]:
    """All parts, standardised by the mean and the spread of what is fitted to.

    Args:
        texts: from `encoded`.
        names: the sites.
        pooling: which token of a stretch is read; None for all of them.

    Raises:
        InputError: a site in a decoder that reads translations.
    """
    number = {label: i for i, label in enumerate(sorted(set(parts.train.labels)))}
    found: dict[str, Read] = {}
    for name in PARTS:
        part: Labelled = getattr(parts, name)
        decoder = names[0].startswith("decoder")
        side = texts[name].target if decoder else texts[name].source
        if side is None:
            raise InputError(
                f"{names[0]} lies in a decoder that reads translations, which a treebank does "
                "not have; probe the encoder."
            )
        ends, kept = _ends(part, side, "mean" if pooling is None else pooling)
        spans = None
        if pooling is None:
            tokens, spans = _tokens(ends)
            values = gather(model, texts[name], names, tokens).values
        else:
            values = gather(model, texts[name], names, _one_after_another(ends)).values
            # The rows of one end stand below those of the other; they belong beside them.
            values = {s: torch.cat(v.chunk(len(ends)), 1) for s, v in values.items()}
        labels = [part.labels[i] for i in kept]
        found[name] = Read(
            {site: value.float() for site, value in values.items()},
            spans,
            np.array([number.get(label, UNKNOWN) for label in labels], np.int64),
            labels,
            [part.types[i] for i in kept],
            [part.lemmas[i] for i in kept] if part.lemmas else [],
            part.text[kept],
            1 - len(kept) / len(part),
        )
    for site, value in found["train"].values.items():
        mean, spread = value.mean(0), value.std(0, correction=0)
        spread[spread == 0] = 1.0  # a constant coordinate stays one
        for read in found.values():
            read.values[site].sub_(mean).div_(spread)
    return found


def _ends(part: Labelled, side: Side, pooling: Pooling) -> tuple[list[Places], Ints]:
    """Of each end the tokens of its rows, and which rows have tokens at all their ends."""
    placed = [end.places(side, pooling) for end in part.ends]
    kept = placed[0][1]
    for _, other in placed[1:]:
        kept = np.intersect1d(kept, other, assume_unique=True)
    return [places[np.searchsorted(known, kept)] for places, known in placed], kept


def _one_after_another(ends: list[Places]) -> Places:
    names = ("text", "start", "stop")
    return Places(*(np.concatenate([getattr(end, name) for end in ends]) for name in names))


def _tokens(ends: list[Places]) -> tuple[Places, tuple[Tensor, Tensor]]:
    """All tokens from the first to the last that a row of a text has, each once, and the places
    among them of the first and the last + 1 token of each end, [row, end] each."""
    every = _one_after_another(ends)
    used, of = np.unique(every.text, return_inverse=True)
    first = np.full(len(used), np.iinfo(np.int64).max)
    last = np.zeros(len(used), np.int64)
    np.minimum.at(first, of, every.start)
    np.maximum.at(last, of, every.stop)
    counts = last - first
    before = np.cumsum(counts) - counts
    text = np.repeat(used, counts)
    position = np.arange(counts.sum()) - np.repeat(before - first, counts)
    moved = (before - first)[of].reshape(len(ends), -1).T
    start, stop = (
        torch.from_numpy(np.stack([getattr(end, name) for end in ends], 1) + moved)
        for name in ("start", "stop")
    )
    return Places(text, position, position + 1), (start, stop)


def depth(site: str, model: LanguageModel) -> int:
    """How many blocks have worked on a site, in whole or in part."""
    found = re.match(r"(?:blocks|encoder|decoder)\.(\d+)\.", site)
    if found:
        return int(found[1]) + (not site.endswith("hook_resid_pre"))
    return 0 if "embed" in site else int(model.cfg.n_layers)


def stream(model: LanguageModel) -> list[str]:
    """The residual stream before the first block and after each; the encoder's, if there is one."""
    stack = "encoder" if model.cfg.shape == "encoder_decoder" else "blocks"
    after = [f"{stack}.{layer}.hook_resid_post" for layer in range(model.cfg.n_layers)]
    return select(model.hook_points, [f"{stack}.0.hook_resid_pre", *after])
