"""Activation patching: what a model says when one part of it comes from another text.

Vig et al. 2020 (arXiv 2004.12265), Meng et al. 2022 (arXiv 2202.05262); the two conventions as in
Heimersheim & Nanda 2024 (arXiv 2404.15255). Every cell is an exact intervention, do(u = u').
Nothing that a change cannot reach is computed again: a cell resumes the run at its layer and, in
a causal stack, at its position; and the cells of a layer share forwards.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, get_args

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.attribute import read_target
from interp.explain.inside.cells import Site, picked
from interp.explain.inside.grid import Grid
from interp.explain.inside.patched import Convention, Patched
from interp.explain.inside.run import Run
from interp.explain.target import Target

Text = str | Tensor | list[int]


def patch(
    model: Any,
    clean: Text,
    corrupted: Text,
    kind: str = "resid_pre",
    metric: Target | Callable[[Tensor], Tensor] | None = None,
    *,
    by: str | Sequence[str] | None = None,
    layers: Sequence[int] | None = None,
    positions: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    neurons: int | Sequence[int] | None = None,
    stack: str | None = None,
    convention: Convention = "denoising",
    inputs: dict[str, Any] | None = None,
    corrupted_inputs: dict[str, Any] | None = None,
) -> Patched:
    """Puts each part of one run into another, one cell of the grid at a time, and reads a metric.

    Args:
        model: of any shape; one of another library runs from the start for every cell.
        clean, corrupted: two texts of as many tokens, or their ids.
        kind: of activation, a key of `KINDS`: the stream, what a layer writes, head outputs,
            queries, keys, values, patterns, neurons; with `cross_` those of cross-attention.
        metric: what is read; of a target, the tokens and positions are those of the clean run. By
            default the logit of the clean run's own prediction.
        by: the axes of a cell within its layer, of `position`, `head`, `neuron` and `key` (of a
            pattern); by default `head` or `neuron` where there are any, else `position`. Of none,
            (), a cell is the whole activation of a layer.
        layers, heads: only these; by default all.
        positions: only these (of a pattern, queries); by default all that are no padding.
        neurons: only these of every layer; or how many of all, those with the largest effect to
            first order.
        stack: of an encoder-decoder, the one that is patched; by default the decoder.
        convention: `denoising` puts clean parts into the corrupted run, `noising` corrupted parts
            into the clean one.
        inputs: further inputs of both runs (`attention_mask`, `decoder_tokens`, ...).
        corrupted_inputs: those of the corrupted run, where they differ.

    Raises:
        InputError: texts of different lengths, equal texts, a kind, axis or index that there is
            not, or what the model or metric refuses.
        HookError: the model has no activation of this kind, or it cannot be edited.
    """
    if convention not in get_args(Convention):
        raise InputError(f"convention is {convention!r}; it is 'denoising' or 'noising'.")
    wanted = read_target(metric)
    if stack is None:
        stack = "decoder" if model.cfg.shape == "encoder_decoder" else "blocks"
    site = Site.of(model, kind, stack)
    axes = site.read_by(by)
    names = {i: site.names[i] for i in picked("layer", layers, len(site.names))}
    with torch.inference_mode(False):
        runs = (
            Run.read(model, clean, wanted, inputs, list(names.values())),
            Run.read(model, corrupted, wanted, corrupted_inputs or inputs, list(names.values())),
        )
        _check_pair(*runs)
        target = runs[0].resolve(wanted)
        ends = runs[0].value(target), runs[1].value(target)
        _warn_of_equals(*ends, runs[0].logits.dtype)
        receiver, donor = runs[::-1] if convention == "denoising" else runs
        grid = Grid(site, axes, receiver, donor, target, names)
        values, forwards = grid.fill(positions, heads, neurons)
    return Patched(
        kind=kind,
        stack=stack,
        convention=convention,
        metric=target.description,
        axes=("layer", *axes),
        values=values,
        clean=ends[0],
        corrupted=ends[1],
        tokens=tuple(runs[0].texts(site.counted)),
        corrupted_tokens=tuple(runs[1].texts(site.counted)),
        forwards=forwards,
    )


def _check_pair(clean: Run, corrupted: Run) -> None:
    stacks = {"encoder", clean.last_stack} if clean.last_stack == "decoder" else {"blocks"}
    pairs = [(clean.ids(stack), corrupted.ids(stack)) for stack in sorted(stacks)]
    for a, b in pairs:
        if len(a) != len(b):
            raise InputError(
                f"The clean text has {len(a)} tokens and the corrupted one {len(b)}; patching "
                "puts position in place of position, so both need as many."
            )
    if all(torch.equal(a, b) for a, b in pairs):
        raise InputError("The clean and the corrupted text are the same, so no part differs.")
    for stack in stacks:
        masks = [run.mask(stack) for run in (clean, corrupted)]
        real = [torch.ones_like(clean.ids(stack)) if m is None else m[0].long() for m in masks]
        if not torch.equal(*real):
            raise InputError("The two texts are padded differently; give both the same mask.")


def _warn_of_equals(clean: float, corrupted: float, dtype: torch.dtype) -> None:
    if abs(clean - corrupted) <= 16 * torch.finfo(dtype).eps * max(abs(clean), abs(corrupted)):
        warnings.warn(
            f"The metric is {clean:.6g} on both texts, so no share of their difference can be "
            "recovered. Choose texts or a metric that tell them apart.",
            stacklevel=3,
        )
