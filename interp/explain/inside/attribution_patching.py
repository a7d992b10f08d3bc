"""Attribution patching: what patching would do to first order, for every cell at once.

Nanda 2023 (neelnanda.io/attribution-patching): a metric m changes by (u' - u) . dm/du when an
activation u of the clean run is exchanged for u', that of the corrupted one. It takes a forward of
either and one backward, whatever the number of cells. It is exact where all that follows is
linear, and good for small differences; `patch` is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from interp.explain.inside.cells import Site
from interp.explain.inside.pairs import Metric, Pairs, Texts, gradients
from interp.explain.rules import backward_rules
from interp.model.tap import chain

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class NodeScores:
    """By how much a metric would change if a part of the corrupted run were put into the clean
    one: an estimate of `Patched.values` less `Patched.clean`, of a noising patch.

    Attributes:
        kind, stack: of activation, as for `patch`.
        axes: `layer`, and the axes of a cell within it.
        values: float64, one dimension for each of `axes`; mean over pairs.
        method: that found them.
        metric: in words.
        value, corrupted_value: the metric of the two runs, mean over pairs.
        n: pairs.
    """

    kind: str
    stack: str
    axes: tuple[str, ...]
    values: Tensor
    method: str
    metric: str
    value: float
    corrupted_value: float
    n: int

    def to_frame(self) -> pd.DataFrame:
        """A row per cell: site, stack, its indices, method, metric, value, n."""
        import pandas as pd

        cells = self.values.isfinite().nonzero()
        indices = dict(zip(self.axes, cells.T.tolist(), strict=True))
        return pd.DataFrame(
            {
                "site": self.kind,
                "stack": self.stack,
                **indices,
                "method": self.method,
                "metric": self.metric,
                "value": self.values[tuple(cells.T)].tolist(),
                "n": self.n,
            }
        )


def attribution_patching(
    model: Any,
    clean: Texts,
    corrupted: Texts,
    kind: str = "z",
    metric: Metric | None = None,
    *,
    by: str | Sequence[str] | None = None,
    stack: str | None = None,
    rules: str | None = None,
    inputs: dict[str, Any] | None = None,
) -> NodeScores:
    """A first-order estimate of a noising patch of each cell.

    Args:
        model: of any shape, also another library's.
        clean, corrupted: texts of as many tokens each, or ids [pair, pos]; run together.
        kind: of activation: `z` (head outputs), `mlp_out`, `resid_pre`, `neuron`, ..., as for
            `patch`.
        metric: what is read of the clean run; by default the logit of its own prediction. It must
            be differentiable.
        by: the axes of a cell within its layer, of `position`, `head`, `neuron` and `key`, and
            none for whole layers; by default `head` or `neuron` if there are any, else `position`.
        stack: of an encoder-decoder, the one that is patched; by default the decoder.
        rules: of the backward pass, in place of true gradients: `gim` (Edin et al. 2025, arXiv
            2505.17630), or another of `interp.explain.rules`.
        inputs: further inputs of both runs (`decoder_tokens`, `attention_mask`, ...).

    Raises:
        InputError: texts that do not fit, a kind or axis that there is not, a metric without
            gradient.
        HookError: the model has no activation of this kind.
    """
    if stack is None:
        stack = "decoder" if model.cfg.shape == "encoder_decoder" else "blocks"
    site = Site.of(model, kind, stack)
    axes = site.read_by(by)
    with torch.inference_mode(False):
        pairs = Pairs.read(model, clean, corrupted, metric, site.names.values(), inputs)
        slopes = _gradients(pairs, list(site.names.values()), rules)
        effects = {
            layer: (pairs.corrupted_kept[name] - pairs.kept[name]) * slopes[name]
            for layer, name in site.names.items()
        }
    rows = {layer: _by_axes(site, axes, effect) / len(pairs) for layer, effect in effects.items()}
    values = torch.full((max(rows) + 1, *next(iter(rows.values())).shape), torch.nan).double()
    for layer, row in rows.items():
        values[layer] = row
    return NodeScores(
        kind=kind,
        stack=stack,
        axes=("layer", *axes),
        values=values,
        method="atp" if rules is None else f"atp under {rules}",
        metric=pairs.description,
        value=float(pairs.value.mean()),
        corrupted_value=float(pairs.corrupted_value.mean()),
        n=len(pairs),
    )


def _gradients(pairs: Pairs, names: list[str], rules: str | None) -> dict[str, Tensor]:
    """The gradient of the metric with respect to activations of the clean run."""
    kept: dict[str, Tensor] = {}

    def keep(value: Tensor, hook: Any) -> Tensor:
        if not value.requires_grad:  # with frozen weights nothing before it does
            value = value.detach().requires_grad_()
        kept[hook.name] = value
        return value

    model, hooks = pairs.model, [(names, keep)]
    with torch.enable_grad():
        if rules is None:
            logits = model.run_with_hooks(pairs.clean, fwd_hooks=hooks, **pairs.inputs)
        else:  # a point's rule is about what makes it, so what follows the point is kept after it
            tap = chain(backward_rules(model, rules), model.hooks_tap(hooks))
            logits = model(pairs.clean, tap=tap, **pairs.inputs)
        value = pairs.metric(logits).sum()
        found = gradients(value, [kept[name] for name in names])
    return dict(zip(names, found, strict=True))


def _by_axes(site: Site, axes: tuple[str, ...], effect: Tensor) -> Tensor:
    """Summed over all dimensions but the axes of a cell, in their order."""
    dims = [site.dim(axis) for axis in axes]
    summed = effect.double().sum([i for i in range(effect.ndim) if i not in dims]).cpu()
    return summed.permute([sorted(dims).index(dim) for dim in dims])
