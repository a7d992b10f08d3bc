"""Which neurons are worth patching: a first guess at what each would do, all from one backward.

To first order a patch changes the metric by (other - own) . dm/d(own) (attribution patching, Nanda
2023). The guess chooses; what is reported of the chosen is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from interp.explain.inside.run import Run
from interp.explain.reading import finite
from interp.explain.resolved import ResolvedTarget


def strongest(
    receiver: Run,
    others: Mapping[int, Tensor],
    names: Mapping[int, str],
    target: ResolvedTarget,
    within: Tensor,
    k: int,
) -> dict[int, list[int]]:
    """Layer -> the neurons in it that are among the `k` with the largest guess of all.

    Args:
        others: layer -> the neurons of the other run, [1, pos, d_mlp].
        names: layer -> full name.
        within: positions to be patched, [pos] of bool.
    """
    kept: dict[str, Tensor] = {}

    def keep(value: Tensor, hook: Any) -> None:
        if not value.requires_grad:  # with frozen weights nothing before it does
            value.requires_grad_()
        kept[hook.name] = value

    with torch.enable_grad():
        logits = receiver.model.run_with_hooks(
            receiver.tokens, fwd_hooks=[(list(names.values()), keep)], **receiver.inputs
        )
        own = [kept[name] for name in names.values()]
        gradients = torch.autograd.grad(target(logits).sum(), own, allow_unused=True)
    layers = list(names)
    guesses = torch.zeros(len(layers), own[0].shape[-1], dtype=torch.float64)
    for i, (layer, value, gradient) in enumerate(zip(layers, own, gradients, strict=True)):
        if gradient is not None:
            effect = (others[layer] - value.detach()) * finite(gradient, "gradient of the metric")
            guesses[i] = effect[0, within].double().sum(0).abs().cpu()
    best = guesses.flatten().topk(min(k, guesses.numel())).indices.tolist()
    width = guesses.shape[1]
    chosen: dict[int, list[int]] = {layer: [] for layer in layers}
    for index in sorted(best):
        chosen[layers[index // width]].append(index % width)
    return chosen
