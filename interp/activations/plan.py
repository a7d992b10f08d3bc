"""What a harvest reads and keeps, and in which pieces."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from interp.activations.places import Places
from interp.activations.precision import Precision, check_precision, row_bytes
from interp.activations.reading import TOKENS, Reader
from interp.activations.summary import Pair, SummaryFitter, full_pairs
from interp.activations.texts import Texts
from interp.data.encoding import tokenizer_hash
from interp.errors import InputError
from interp.model.fingerprint import weights_hash
from interp.model.hook_points import NamesFilter
from interp.model.protocol import LanguageModel

PLACES = ("text", "start", "stop", "written")
"""Columns of a store's places that are not labels."""


@dataclass(frozen=True)
class Plan:
    """What is harvested from a model.

    Attributes:
        texts, sites, places, tokens: as for `Reader`.
        labels: a line for each of the places, with any columns.
        about: a line for each of the texts, with any columns.
        rows: the precision in which rows are kept; None to keep none.
        moments: keep moments of every site (`Summary`).
        classes: the column of labels whose classes have sums in the moments. A missing label is
            in no class.
        pairs: sites whose cross moments are kept with the moments.
        shard: rows of a shard, about; what a kill can cost. By default a 64th of all, at least
            4,096.
    """

    texts: Texts
    sites: NamesFilter
    places: Places | None = None
    labels: pd.DataFrame | None = None
    about: pd.DataFrame | None = None
    rows: Precision | None = "float32"
    moments: bool = False
    classes: str | None = None
    pairs: Sequence[Pair] = ()
    tokens: int = TOKENS
    shard: int | None = None


class Job:
    """A plan and the model that it is for.

    Attributes:
        reader: reads the rows.
        widths: site -> width of its rows.
        classes: names of the classes, sorted.
        shards: which batches of the reader are in each shard.

    Raises:
        HookError, InputError: see `Reader`; labels or descriptions that do not fit.
    """

    def __init__(self, model: LanguageModel, plan: Plan):
        self.model, self.plan = model, plan
        if plan.rows is not None:
            check_precision(plan.rows)
        elif not plan.moments:
            raise InputError("Neither rows nor moments are to be kept; ask for one of them.")
        if not plan.moments and (plan.classes or plan.pairs):
            raise InputError("Classes and pairs are for moments; ask for moments.")
        self.reader = Reader(model, plan.texts, plan.sites, plan.places, tokens=plan.tokens)
        n = len(self.reader.places)
        _check_lines("labels", plan.labels, n, "places", PLACES)
        _check_lines("about", plan.about, len(plan.texts), "texts", ("tokens", "target"))
        self.pairs = full_pairs(model, plan.pairs, self.reader.sites)
        self.classes, self.labels = self._classes()
        self.widths = self.reader.widths()
        self.shards = self._shards(max(4096, -(-n // 64)) if plan.shard is None else plan.shard)

    def __len__(self) -> int:
        """How many rows."""
        return len(self.reader.places)

    def fitter(self) -> SummaryFitter | None:
        """Gathers the moments; None if none are wanted."""
        if not self.plan.moments:
            return None
        return SummaryFitter(self.widths, len(self.classes), self.pairs)

    @property
    def n_bytes(self) -> int:
        """Bytes that rows and moments take."""
        size = 0
        if self.plan.rows is not None:
            strides = (row_bytes(width, self.plan.rows) for width in self.widths.values())
            size += len(self) * sum(sum(stride.values()) for stride in strides)
        if self.plan.moments:
            classes = len(self.classes)
            size += sum(8 * width * (width + classes + 1) for width in self.widths.values())
            size += sum(8 * self.widths[x] * self.widths[y] for x, y in self.pairs)
        return size

    def places(self) -> pd.DataFrame:
        """The lines of `places.parquet`: where each row is from, `written` (its place in the order
        in which rows are read) and its labels."""
        written = np.empty(len(self), np.int64)
        written[np.concatenate(self.reader.batches)] = np.arange(len(self))
        frame = self.reader.places.to_frame().assign(written=written)
        if self.plan.labels is not None:
            frame = pd.concat([frame, self.plan.labels.reset_index(drop=True)], axis=1)
        return frame

    def texts(self) -> pd.DataFrame:
        """The lines of `texts.parquet`: ids of each text, and what is known about it."""
        texts = self.plan.texts
        frame = pd.DataFrame({"tokens": [list(row) for row in texts.source.tokens]})
        if texts.target is not None:
            frame["target"] = [list(row) for row in texts.target.tokens]
        if self.plan.about is not None:
            frame = pd.concat([frame, self.plan.about.reset_index(drop=True)], axis=1)
        return frame

    @cached_property
    def description(self) -> dict[str, Any]:
        """What decides every bit of the result, as plain values."""
        tokenizer = self.model.tokenizer
        return {
            "weights": weights_hash(self.model),  # type: ignore[arg-type]
            "tokenizer": None if tokenizer is None else tokenizer_hash(tokenizer),
            "texts": _hash(self.texts()),
            "places": _hash(self.places()),
            "n": len(self),
            "sites": self.widths,
            "rows": self.plan.rows,
            "moments": self.plan.moments,
            "classes": self.classes,
            "pairs": [list(pair) for pair in self.pairs],
            "shards": [len(shard) for shard in self.shards],
        }

    def _classes(self) -> tuple[list[str], Tensor | None]:
        column = self.plan.classes
        if column is None:
            return [], None
        if self.plan.labels is None or column not in self.plan.labels:
            there = [] if self.plan.labels is None else list(self.plan.labels)
            raise InputError(f"There is no column {column!r} of labels; there are {there}.")
        values = self.plan.labels[column]
        codes = pd.Categorical(values, categories=sorted(values.dropna().unique()))
        return [str(name) for name in codes.categories], torch.from_numpy(codes.codes.astype("i8"))

    def _shards(self, size: int) -> list[list[int]]:
        if size < 1:
            raise InputError(f"A shard of {size} rows holds nothing; give a positive number.")
        shards: list[list[int]] = [[]]
        rows = 0
        for number, batch in enumerate(self.reader.batches):
            if rows >= size:
                shards.append([])
                rows = 0
            shards[-1].append(number)
            rows += len(batch)
        return shards


def _check_lines(
    what: str, frame: pd.DataFrame | None, n: int, of: str, taken: Sequence[str]
) -> None:
    if frame is None:
        return
    if len(frame) != n:
        raise InputError(f"`{what}` has {len(frame)} lines for {n} {of}; each needs its own.")
    named = [str(column) for column in frame]
    bad = [name for name in named if name in taken or named.count(name) > 1]
    if bad:
        raise InputError(f"`{what}` has the column {bad[0]!r}, a name that is taken.")


def _hash(frame: pd.DataFrame) -> str:
    digest = hashlib.sha256(repr([str(column) for column in frame]).encode())
    for column in frame:
        values = frame[column]
        if pd.api.types.is_numeric_dtype(values.dtype):
            digest.update(values.to_numpy().tobytes())
        elif len(values) and isinstance(values.iloc[0], list):
            for ids in values:
                digest.update(np.array([len(ids), *ids], np.int64).tobytes())
        else:
            digest.update("\x1f".join(map(repr, values)).encode())
    return digest.hexdigest()
