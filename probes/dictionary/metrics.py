"""How much of a model a dictionary keeps: of the activations, and of what they do.

- *FVU*, the fraction of variance unexplained: squared error over the variance around the mean,
  both summed over all tokens. The mean predictor has 1, a perfect copy 0. The mean is that of all
  tokens measured, so the size of a batch changes nothing.
- *L0*: active latents at a token.
- *dead*: share of the latents that are active at none of the tokens that were read, whose number
  is said.
- *loss recovered*: (loss ablated - loss with the reconstruction) / (loss ablated - loss), where
  ablated means that the activation is replaced by its mean, or by zero; both are said, since zero
  is far from anything the model knows and flatters every dictionary.

Special tokens keep their own activation in all of them (see `stream.counted`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from interp.data.batch import IGNORED, Batch
from interp.data.examples import Examples
from interp.errors import InputError
from interp.model.hook_points import HookPoint
from interp.train.metrics.interval import Floats, Measure, of_sums, ratio, to_frame
from probes.dictionary.coder import Coder
from probes.dictionary.stream import activations, counted, flat
from probes.passages import batches as batches_of

_RUNS = ("loss", "loss_reconstructed", "loss_mean_ablated", "loss_zero_ablated")


class Fit:
    """What a dictionary makes of activations, gathered as they stream by.

    Sums are kept for each unit (a text, or a batch), which are what is drawn anew for intervals:
    tokens of one text are not independent.

    Attributes:
        n: tokens.
        counts: at how many of them each latent was active, [latents].
        strongest: largest value of each latent, [latents].
    """

    def __init__(self, coder: Coder):
        self.coder = coder
        self.n = 0
        self.counts = torch.zeros(coder.latents, dtype=torch.int64)
        self.strongest = torch.zeros(coder.latents, dtype=torch.float64)
        self._pilot: Tensor | None = None
        # Of each unit: tokens, active latents, squared error, squares around the pilot.
        self._sums: list[Tensor] = []
        self._shifts: list[Tensor] = []  # sum of what is to be written minus the pilot, [d]

    def add(self, x: Tensor, y: Tensor, unit: Tensor | None = None) -> Tensor:
        """Counts rows in, and returns what the dictionary made of them.

        Args:
            x: what is read, [n, d_in].
            y: what should be written, [n, d_out]; `x` itself for an autoencoder.
            unit: the number of the unit that each row belongs to, ascending from 0, [n]; by
                default all rows are one unit.
        """
        z = self.coder.encode(x)
        written = self.coder.decode(z)
        if written.shape != y.shape:
            raise InputError(
                f"The dictionary writes {list(written.shape)} and should write {list(y.shape)}."
            )
        active = z > 0
        wide = y.double()
        if self._pilot is None:  # close to the mean, so that squares do not cancel
            self._pilot = wide.mean(0)
        shifted = wide - self._pilot
        each = torch.stack(
            [
                torch.ones(len(x), dtype=torch.float64, device=x.device),
                active.sum(1).double(),
                (wide - written.double()).square().sum(1),
                shifted.square().sum(1),
            ],
            1,
        )
        unit = torch.zeros(len(x), dtype=torch.int64) if unit is None else unit
        units = int(unit.max()) + 1 if len(unit) else 0
        unit = unit.to(x.device)
        self._sums.append(each.new_zeros(units, 4).index_add(0, unit, each).cpu())
        shape = (units, shifted.shape[1])
        self._shifts.append(shifted.new_zeros(shape).index_add(0, unit, shifted).cpu())
        self.n += len(x)
        self.counts += active.sum(0).cpu()
        if len(z):
            self.strongest = self.strongest.maximum(z.amax(0).double().cpu())
        return written

    def measures(self) -> list[Measure]:
        """FVU, L0 and the share of dead latents.

        Raises:
            InputError: nothing was counted, or all of it was the same.
        """
        if self.n == 0:
            raise InputError("There is no token to measure a dictionary on.")
        sums = torch.cat(self._sums).numpy()
        shifts = torch.cat(self._shifts).numpy()
        n = sums[:, 0]
        centre = shifts.sum(0) / self.n  # the mean, seen from the pilot
        spread = sums[:, 3] - 2 * shifts @ centre + n * (centre @ centre)
        if not spread.sum() > 0:
            raise InputError(
                "All activations are the same: there is no variance that could be explained."
            )
        table = np.stack([sums[:, 2], spread, sums[:, 1], n], 1)[n > 0]
        dead = float((self.counts == 0).double().mean())
        nan = float("nan")
        return [
            of_sums("fvu", table, lambda s: ratio(s[..., 0], s[..., 1])),
            of_sums("l0", table, lambda s: ratio(s[..., 2], s[..., 3])),
            Measure("dead", dead, nan, nan, len(table)),
        ]

    def latents(self) -> pd.DataFrame:
        """A row for each latent and metric: `density`, the share of tokens at which it is active,
        and `strongest`, its largest value; `n` is the number of tokens."""
        n = len(self.counts)
        parts = {"density": self.counts / max(self.n, 1), "strongest": self.strongest}
        return pd.DataFrame(
            {
                "latent": list(range(n)) * len(parts),
                "metric": [name for name in parts for _ in range(n)],
                "value": torch.cat([part.double() for part in parts.values()]).numpy(),
                "n": self.n,
            }
        )


@torch.no_grad()
def fit_of_rows(coder: Coder, batches: Iterable[Tensor | tuple[Tensor, Tensor]]) -> Fit:
    """How well a dictionary fits rows of activations; each batch is a unit of the intervals."""
    fit = Fit(coder)
    for batch in batches:
        x, y = batch if isinstance(batch, tuple) else (batch, batch)
        fit.add(x, y)
    return fit


@torch.no_grad()
def evaluate(model: Any, coder: Coder, examples: Examples) -> tuple[pd.DataFrame, Fit]:
    """A dictionary in its model, on texts.

    Args:
        examples: what the model reads (`probes.passages`); those without labels have no loss.

    Returns:
        Rows for `tidy` (metric, value, ci_low, ci_high, n texts) with the column `tokens`, and
        the `Fit` for what it says of single latents.

    Raises:
        HookError: the model lacks the dictionary's site. InputError: widths that do not fit.
    """
    fit, losses = Fit(coder), []
    average = _mean(model, coder, examples)
    for _, batch in batches_of(examples, model.W_E.device):
        keep = counted(model, coder.target, batch)
        read = activations(model, batch, [coder.site, coder.target])
        unit = torch.arange(len(keep), device=keep.device)[:, None].expand_as(keep)[keep]
        written = fit.add(read[coder.site][keep], read[coder.target][keep], unit)
        if batch.n_labels:
            written = written.to(average.dtype)
            replacements = (None, written, average, torch.zeros_like(average))
            losses.append([_losses(model, coder.target, batch, keep, by) for by in replacements])
    found = fit.measures()
    if losses:
        # [text, run, (summed loss, labels)]
        each = np.concatenate([np.stack(runs, 1) for runs in losses])
        found += _loss_measures(each[each[:, 0, 1] > 0])
    return to_frame(found).drop(columns="signature").assign(tokens=fit.n), fit


def _mean(model: Any, coder: Coder, examples: Examples) -> Tensor:
    """The mean of what should be written, [d]."""
    total, n = None, 0
    for _, batch in batches_of(examples, model.W_E.device):
        value = activations(model, batch, [coder.target])[coder.target]
        rows = value[counted(model, coder.target, batch)]
        total = rows.double().sum(0) + (0 if total is None else total)
        n += len(rows)
    if total is None or n == 0:
        raise InputError("The texts hold special tokens only: there is nothing to measure.")
    return (total / n).to(rows.dtype)


def _losses(model: Any, target: str, batch: Batch, keep: Tensor, by: Tensor | None) -> Floats:
    """Summed loss and number of labels of each text, [text, 2], with the counted activations
    replaced: by rows [n, d], by one row [d], or not at all."""

    def replaced(value: Tensor, hook: HookPoint) -> Tensor:
        out = flat(value).clone()
        out[keep] = by.to(out.dtype) if by is not None else out[keep]
        return out.view_as(value)

    hooks = [] if by is None else [(target, replaced)]
    logits = model.run_with_hooks(**batch.inputs, return_type="logits", fwd_hooks=hooks)
    labels = batch.labels
    each = F.cross_entropy(
        logits.flatten(0, 1).float(), labels.flatten(), reduction="none", ignore_index=IGNORED
    ).view_as(labels)
    both = torch.stack([each.double().sum(1), (labels != IGNORED).double().sum(1)], 1)
    out: Floats = both.cpu().numpy()
    return out


def _loss_measures(each: Floats) -> list[Measure]:
    """Losses in nats per token and the shares of them that are recovered; from [text, run, 2]."""
    found = [
        of_sums(name, each[:, i], lambda s: ratio(s[..., 0], s[..., 1]))
        for i, name in enumerate(_RUNS)
    ]
    for name, i in (("mean", 2), ("zero", 3)):
        table = np.stack([each[:, i, 0], each[:, 1, 0], each[:, 0, 0]], 1)
        found.append(of_sums(f"loss_recovered_{name}", table, _recovered))
    return found


def _recovered(sums: Floats) -> Floats:
    ablated, reconstructed, clean = (sums[..., i] for i in range(3))
    return ratio(ablated - reconstructed, ablated - clean)
