"""What changes in a training, and when: loss, degeneracy and gradient noise over checkpoints.

    python -m probes.dynamics --run stories-suite --texts childrens_stories --data DATA

For each checkpoint the loss, the local learning coefficient (`probes.llc`) and the noise scale of
the gradient (`probes.gradient_noise`); for each of these curves its change points
(`probes.change_points`).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from interp.data.batch import IGNORED
from interp.data.examples import Examples
from interp.errors import InputError
from interp.figures.dynamics import dynamics_chart
from probes.change_points import ALPHA, change_points
from probes.frames import tidy
from probes.gradient_noise import gradient_noise
from probes.llc import Sampling, llc
from probes.passages import REPEATS, add_text_arguments, batches, read_texts
from probes.script import Script
from probes.statistics import ratio_interval
from probes.subjects import Subject, of_one, opened

_ROWS = 8  # of a chain at a draw


def dynamics(
    these: Sequence[Subject],
    examples: Callable[[Any], Examples],
    *,
    alpha: float = ALPHA,
    **sampling: Any,
) -> pd.DataFrame:
    """All that is measured of each model, and the change points of every run.

    Args:
        these: from `probes.subjects.subjects`.
        examples: what a model reads.
        alpha: see `change_points`.
        **sampling: see `moment`.

    Returns:
        The rows of `moment` for each model; and for each run and curve with at least four moments
        rows `change_point`, with `of` (the metric), `step` and `step_before` (between which it
        lies) and its p-value.
    """
    measured = tidy(
        pd.concat(
            [
                of_one(subject, model, lambda model: moment(model, examples(model), **sampling))
                for subject, model in opened(these)
            ],
            ignore_index=True,
        )
    )
    jumps = list(_jumps(measured, alpha))
    return (
        tidy(pd.concat([measured, pd.DataFrame(jumps)], ignore_index=True)) if jumps else measured
    )


def moment(
    model: Any,
    examples: Examples,
    *,
    n_beta: float | None = None,
    step: float = 1e-5,
    localization: float = 100.0,
    chains: int = 4,
    burn_in: int = 50,
    draws: int = 100,
) -> pd.DataFrame:
    """The state of a model: `loss` in nats a token, `llc` (with `rhat`), `noise_scale` in tokens.

    Args:
        n_beta: inverse temperature, by default `n / log(n)` for n predicted tokens.
        step, localization, chains, burn_in, draws: see `probes.llc.Sampling`.

    Raises:
        InputError: nothing is predicted in the texts (an encoder needs masked ones).
    """
    total, counts = _losses(model, examples)
    if not counts.sum():
        raise InputError("Nothing is predicted in these texts, so that there is no loss.")
    low, high = ratio_interval(total[:, None], counts[:, None])
    rows: list[dict[str, Any]] = [
        {"metric": "loss", "value": total.sum() / counts.sum(), "n": int(counts.sum())}
        | {"ci_low": float(low[0]), "ci_high": float(high[0])}
    ]
    n = int(counts.sum())
    n_beta = n / math.log(max(n, 2)) if n_beta is None else n_beta
    settings = Sampling(n_beta, step, localization, chains, burn_in, draws)
    found = llc(
        _loss_of(model), dict(model.named_parameters()), _rows_of(examples, chains), settings
    )
    rows.append(
        {"metric": "llc", "value": found.value, "ci_low": found.ci_low, "ci_high": found.ci_high}
        | {"n": n, "rhat": found.rhat, "n_beta": n_beta}
    )
    noise = gradient_noise(model, examples)
    rows.append(
        {"metric": "noise_scale", "value": noise.scale * noise.tokens, "n": noise.n}
        | {"ci_low": noise.ci_low * noise.tokens, "ci_high": noise.ci_high * noise.tokens}
    )
    return tidy(rows)


def _jumps(frame: pd.DataFrame, alpha: float) -> Any:
    """The change points of every curve over the steps of a run."""
    for (run, metric), curve in frame.dropna(subset=["step"]).groupby(
        ["run", "metric"], sort=False
    ):
        curve = curve.sort_values("step")
        values = curve["value"].to_numpy()
        if len(curve) < 4 or not np.isfinite(values).all():
            continue
        steps = curve["step"].tolist()
        # A loss falls by shares: its logarithm jumps where it jumps.
        level = np.log(values) if (values > 0).all() else values
        for found in change_points(level, alpha=alpha):
            yield {
                "run": run,
                "step": steps[found.place],
                "step_before": steps[found.place - 1],
                "of": metric,
                "metric": "change_point",
                "value": found.p,
                "n": len(curve),
            }


@torch.no_grad()
def _losses(model: Any, examples: Examples) -> tuple[np.ndarray, np.ndarray]:
    """Summed loss and number of predicted tokens of each text, [text]."""
    total, counts = np.zeros(len(examples)), np.zeros(len(examples))
    for chosen, batch in batches(examples, model.W_E.device):
        logits = model(**batch.inputs).float()
        each = F.cross_entropy(
            logits.transpose(1, 2), batch.labels, ignore_index=IGNORED, reduction="none"
        )
        total[chosen] = each.sum(1).cpu().numpy()
        counts[chosen] = (batch.labels != IGNORED).sum(1).cpu().numpy()
    return total, counts


def _loss_of(model: Any) -> Callable[[Mapping[str, Tensor], Any], Tensor]:
    """The mean loss as a function of weights, for one chain."""

    def loss(weights: Mapping[str, Tensor], rows: dict[str, Tensor]) -> Tensor:
        inputs = {name: value for name, value in rows.items() if name != "labels"}
        with sdpa_kernel(SDPBackend.MATH):  # the fused one would run chain by chain
            logits = torch.func.functional_call(model, dict(weights), (), inputs)
        labels = rows["labels"]
        known = labels != IGNORED
        right = labels.clamp(min=0)[..., None]
        each = -logits.float().log_softmax(-1).gather(-1, right)[..., 0]
        return torch.where(known, each, 0.0).sum() / known.sum()

    return loss


def _rows_of(examples: Examples, chains: int) -> Callable[[int], dict[str, Tensor]]:
    """Step -> the texts that the chains read in it, each its own: tensors [chain, row, pos]."""

    def rows(step: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(step)
        chosen = torch.randint(len(examples), (chains * _ROWS,), generator=generator)
        batch = examples.collate(chosen.tolist())
        named = {**batch.inputs, "labels": batch.labels}
        return {name: value.unflatten(0, (chains, _ROWS)) for name, value in named.items()}

    return rows


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_text_arguments(parser, default=REPEATS)
    parser.add_argument("--alpha", type=float, default=ALPHA, help="level of change points")
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--draws", type=int, default=100, help="of each chain")
    parser.add_argument("--step", type=float, default=1e-5, help="of Langevin dynamics")
    parser.add_argument("--localization", type=float, default=100.0, metavar="G")


SCRIPT = Script(
    name="dynamics",
    summary="Loss, local learning coefficient and gradient noise of checkpoints, and their jumps.",
    examples="  python -m probes.dynamics --run induction --chart dynamics.html",
    whole=lambda these, options: dynamics(
        these,
        lambda model: read_texts(model, options, masked=model.cfg.shape == "encoder"),
        alpha=options.alpha,
        chains=options.chains,
        draws=options.draws,
        step=options.step,
        localization=options.localization,
    ),
    chart=lambda frame, scheme: dynamics_chart(frame, scheme=scheme),
    add_arguments=_arguments,
)


if __name__ == "__main__":
    raise SystemExit(SCRIPT.main())
