"""Activations of a model over texts, read as they are needed and shuffled on their way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from interp.data.batch import Batch
from interp.data.encoding import special_ids
from interp.data.examples import Examples
from interp.data.order import Indices, stream_seed
from interp.errors import InputError
from interp.model.continuation import evaluating
from interp.model.core import Transformer
from interp.model.hook_points import resolve
from probes.passages import read_by

_TOKENS = 4096  # of a forward, padding included


class ModelRows:
    """Batches of activations at one site, or pairs of two sites, without end.

    An epoch reads every token of every text once. The texts come in an order of their own each
    epoch; a buffer is filled with the activations of several, and handed out in random order
    across all of it before the next one is filled. Which rows a step gets is a pure function of
    the seed and the step, so that a training that goes on at step n reads only the buffer of that
    step again.

    Args:
        model: any whose activations have names.
        examples: what it reads (`probes.passages`).
        site, target: hook points, [batch, pos, ...] each; further dimensions are laid side by side.
        rows: of a batch; the last ones of a buffer differ by a few, so that none is left over.
        buffer: rows that are shuffled together, the memory that this takes.
        seed: of the order.

    Raises:
        HookError: the model lacks a site. InputError: there is no token to read.
    """

    def __init__(
        self,
        model: Any,
        examples: Examples,
        site: str,
        target: str | None = None,
        *,
        rows: int = 2048,
        buffer: int = 2**17,
        seed: int = 0,
    ):
        if not 1 <= rows <= buffer:
            raise InputError(f"Batches of {rows} rows do not come out of a buffer of {buffer}.")
        self.model, self.examples, self.rows, self.buffer = model, examples, rows, buffer
        self.seed = seed
        self.site = resolve(model.hook_points, site)
        self.target = self.site if target is None else resolve(model.hook_points, target)
        if stack_of(model, self.site) != stack_of(model, self.target):
            raise InputError(
                f"{self.site} has the positions of one side of the model and {self.target} those "
                "of the other; a transcoder needs both at the same tokens."
            )
        parts = np.arange(len(examples)).tolist()
        self.counts = np.concatenate(
            [
                counted(model, self.site, examples.collate(parts[i : i + 64])).sum(1).numpy()
                for i in range(0, len(parts), 64)
            ]
        )
        if not self.counts.any():
            raise InputError("The texts hold special tokens only: there is nothing to read.")

    def steps_of(self, epoch: int) -> int:
        """Batches of an epoch; others may have a few more or less, as their buffers are others."""
        return sum(self._steps(chosen) for chosen in self._buffers(epoch))

    def __iter__(self) -> Iterator[Tensor | tuple[Tensor, Tensor]]:
        return self.since(0)

    def since(self, step: int) -> Iterator[Tensor | tuple[Tensor, Tensor]]:
        """The batches from a step on."""
        epoch = 0
        while True:
            for number, chosen in enumerate(self._buffers(epoch)):
                steps = self._steps(chosen)
                if step < steps:
                    yield from self._shuffled(chosen, steps, epoch, number, step)
                step = max(0, step - steps)
            epoch += 1

    def _buffers(self, epoch: int) -> Iterator[Indices]:
        """Which texts fill each buffer of an epoch."""
        order = np.random.default_rng(stream_seed(self.seed, epoch)).permutation(len(self.counts))
        number = (np.cumsum(self.counts[order]) - 1) // self.buffer
        yield from np.split(order, np.flatnonzero(np.diff(number)) + 1)

    def _steps(self, chosen: Indices) -> int:
        rows = int(self.counts[chosen].sum())
        return max(1, round(rows / self.rows)) if rows else 0

    def _shuffled(
        self, chosen: Indices, steps: int, epoch: int, number: int, first: int
    ) -> Iterator[Tensor | tuple[Tensor, Tensor]]:
        x, y = self._read(chosen)
        order = np.random.default_rng(stream_seed(self.seed, epoch, number)).permutation(len(x))
        for rows in torch.from_numpy(order).to(x.device).tensor_split(steps)[first:]:
            yield x[rows] if y is x else (x[rows], y[rows])

    def _read(self, chosen: Indices) -> tuple[Tensor, Tensor]:
        read: list[list[Tensor]] = []
        for some in _like_lengths(chosen, self.examples):
            batch = self.examples.collate(some).to(self.model.W_E.device)
            found = activations(self.model, batch, [self.site, self.target])
            keep = counted(self.model, self.site, batch)
            read.append([found[name][keep] for name in dict.fromkeys((self.site, self.target))])
        parts = [torch.cat(part) for part in zip(*read, strict=True)]
        return parts[0], parts[-1]


def activations(model: Any, batch: Batch, sites: list[str]) -> dict[str, Tensor]:
    """Site -> [batch, pos, d], in a forward that ends after the last of them.

    Raises:
        InputError: activations that are not finite, with the site, text and position.
    """
    mode = evaluating(model) if isinstance(model, Transformer) else nullcontext()
    with torch.no_grad(), mode:
        _, cache = model.run_with_cache(
            **batch.inputs, names_filter=list(dict.fromkeys(sites)), return_cache_object=False
        )
    found = {name: flat(cache[name]) for name in sites}
    for name, value in found.items():
        bad = (~value.isfinite()).any(-1) & counted(model, name, batch)
        if bool(bad.any()):
            text, position = bad.nonzero()[0].tolist()
            raise InputError(
                f"{name} is not finite at position {position} of text {text} of a batch. Look for "
                "such values in the weights, or for an overflow of a half-precision type."
            )
    return found


def flat(value: Tensor) -> Tensor:
    """[batch, pos, ...] -> [batch, pos, d]: heads are laid side by side."""
    if value.ndim < 3:
        raise InputError(
            f"An activation of shape {list(value.shape)} has no vector at each position; a "
            "dictionary needs one."
        )
    return value.flatten(2)


def counted(model: Any, site: str, batch: Batch) -> Tensor:
    """The tokens that a dictionary is for, [batch, pos]: no padding, and no special tokens, whose
    activations are constants, often far larger than all others."""
    ids, real = read_by(stack_of(model, site), batch)
    cfg, tokenizer = model.cfg, model.tokenizer
    special = {cfg.bos_token_id, cfg.eos_token_id, cfg.pad_token_id, cfg.decoder_start_token_id}
    special |= set() if tokenizer is None else set(special_ids(tokenizer))
    known = torch.tensor(sorted(i for i in special if i is not None), device=ids.device)
    return real & ~torch.isin(ids, known)


def stack_of(model: Any, site: str) -> str:
    """The stack whose tokens the positions of a site are."""
    positions = model.hook_points[site].shape.split()[1:2]
    return "decoder" if site.startswith("decoder.") and positions == ["pos"] else "source"


def _like_lengths(chosen: Indices, examples: Examples) -> Iterator[Indices]:
    """The texts in batches of at most 4,096 tokens, the longest first."""
    lengths = np.asarray(examples.order.lengths)[chosen]
    chosen = chosen[np.argsort(-lengths, kind="stable")]
    first = 0
    while first < len(chosen):
        size = max(1, _TOKENS // int(examples.order.lengths[chosen[first]]))
        yield chosen[first : first + size]
        first += size
