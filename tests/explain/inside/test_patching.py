"""Activation patching: every cell is the intervention its name says, whatever is not computed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from interp import HookedTransformer, HookError, InputError
from interp.explain import Target
from interp.explain.inside.cells import KINDS, together
from interp.explain.inside.patching import patch
from tests.model.configurations import CONFIGURATIONS, EACH_KIND, example, shared_model

_AXIS = {"position": 1, "head": 2, "neuron": 2}
_AXIS_OF_PATTERN = {"head": 1, "position": 2, "key": 3}


def pair(name: str) -> tuple[HookedTransformer, Tensor, Tensor, dict[str, Any]]:
    model = shared_model(name, torch.float64)
    clean, corrupted = (example(model.cfg, batch=1, seed=seed) for seed in (0, 1))
    ids = clean.pop("tokens"), corrupted.pop("tokens")
    return model, *ids, clean


def naive(
    model: HookedTransformer,
    receiver: Tensor,
    donor: Tensor,
    inputs: dict[str, Any],
    name: str,
    axes: dict[int, int],
    metric: Any,
) -> float:
    """One forward from the start, one cell changed in place by a hook."""
    other = model.run_with_cache(donor, names_filter=name, **inputs)[1][name]

    def put(value: Tensor, hook: Any) -> None:
        at = tuple(axes.get(dim, slice(None)) for dim in range(value.ndim))
        value[at] = other[at]

    return float(metric(model.run_with_hooks(receiver, fwd_hooks=[(name, put)], **inputs)))


def last(logits: Tensor) -> Tensor:
    """A metric of logits of any shape, at the last position where there are several."""
    row = logits if logits.ndim == 2 else logits[:, -1]
    return row[:, 1] - row[:, 0]


def early(logits: Tensor) -> Tensor:
    """One that a later position has no part in."""
    return logits[:, 3, 1].tanh()


def cells(found: Any) -> list[tuple[int, ...]]:
    return [tuple(index) for index in (~found.values.isnan()).nonzero().tolist()]


@EACH_KIND
@pytest.mark.parametrize("kind", KINDS)
def test_every_cell_is_a_run_from_the_start(name: str, kind: str) -> None:
    model, clean, corrupted, inputs = pair(name)
    for stack in model.stack_names():
        if f"{stack}.1.{KINDS[kind]}" not in model.hook_points:
            with pytest.raises(HookError):
                patch(model, clean, corrupted, kind, last, stack=stack, inputs=inputs)
            continue
        places = _AXIS_OF_PATTERN if kind.endswith("pattern") else _AXIS
        grids: list[tuple[str, ...]] = [("position",)]
        if kind not in ("resid_pre", "resid_mid", "resid_post") and not kind.endswith("out"):
            part = "neuron" if kind == "neuron" else "head"
            grids = [] if kind == "resid_mid_cross" else [(part,), ("position", part)]
        for by in grids:
            convention: Any = "noising" if by == ("position",) else "denoising"
            options: dict[str, Any] = {"stack": stack, "inputs": inputs, "by": by}
            options |= {"neurons": [0, 7, -1]} if kind == "neuron" else {}
            found = patch(model, clean, corrupted, kind, last, convention=convention, **options)
            assert found.axes == ("layer", *by)
            receiver, donor = (clean, corrupted) if by == ("position",) else (corrupted, clean)
            for cell in cells(found)[::3]:
                axes = {places[axis]: i for axis, i in zip(by, cell[1:], strict=True)}
                point = f"{stack}.{cell[0]}.{KINDS[kind]}"
                value = naive(model, receiver, donor, inputs, point, axes, last)
                assert found.values[cell].item() == pytest.approx(value, abs=1e-8)
            effects = found.values[~found.values.isnan()]
            assert (effects - effects[0]).abs().max() > 1e-4 or effects.numel() == 1
