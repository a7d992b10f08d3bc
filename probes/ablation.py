"""What a model loses without each of its parts: heads, attention layers, feed-forward layers.

A part is taken away by *mean ablation*: at every position it gives what it gives on average over
the examples, so that it says nothing of this one (Wang et al. 2022, arXiv 2211.00593). Other parts
may make up for it, so that a small loss does not show that a part has no role.

How much the model's answers move is measured from its own: a model that is too sure of itself may
even gain when a part is gone. Any disturbance moves them. Beside each part therefore stands chance:
the same part changed by the same amounts in a random direction, by turning the change with a random
rotation. What counts is how far a part is beyond that, with p-values from sign flips over the
examples, corrected for all parts.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from interp.data.batch import Batch
from interp.errors import InputError
from interp.figures.ablation import ablation_chart
from interp.model.tap import Hooks
from interp.train.tasks.classification import Classification
from interp.train.tasks.task import Task
from probes.frames import tidy
from probes.script import Script
from probes.stakes import Answered, staked
from probes.statistics import cluster_bootstrap, sign_flips
from probes.texts import add_text_options, records_of

Floats = NDArray[np.float64]

KINDS = {
    "head": "attn.hook_z",
    "cross head": "cross_attn.hook_z",
    "attention": "hook_attn_out",
    "cross attention": "hook_cross_attn_out",
    "mlp": "hook_mlp_out",
}
"""Kind of part -> the activation of a block that it writes."""


@dataclass(frozen=True)
class Part:
    """A part of a model.

    Attributes:
        site: its kind, of `KINDS`; in an encoder-decoder with its stack before.
        head: of heads.
        name: of the activation.
    """

    site: str
    stack: str
    layer: int
    head: int | None
    name: str


def parts_of(model: Any) -> list[Part]:
    """Every head, attention layer and feed-forward layer, in the order of the forward pass.

    Raises:
        UnsupportedModelError: a model of another library.
    """
    stacks = list(model.stack_names())
    found = []
    for stack in stacks:
        before = f"{stack} " if len(stacks) > 1 else ""
        for layer in range(len(model.stack(stack).blocks)):
            for kind, name in KINDS.items():
                full = f"{stack}.{layer}.{name}"
                if full not in model.hook_points:
                    continue
                heads = range(model.cfg.n_heads) if kind.endswith("head") else [None]
                found += [Part(before + kind, stack, layer, head, full) for head in heads]
    return found


def ablation(
    model: Any,
    records: Sequence[Any],
    task: Task[Any, Any] | None = None,
    *,
    length: int = 64,
    seed: int = 0,
) -> pd.DataFrame:
    """What a model loses without each of its parts.

    Args:
        records, task, length: see `probes.stakes.staked`.
        seed: of the random directions and of the intervals.

    Returns:
        `site` (`model` for all of it; else the kind of part), `layer`, `head` and `metric`:

        - `loss` and `accuracy` without the part (of `model`: with all parts), over all answers;
        - `moved`: how far the answers move, on average over examples: the Kullback-Leibler
          divergence from those with all parts, in nats an answer;
        - `changed`: the share of answers that become others; and `lost`: by how much the loss
          rises, in nats an answer;
        - each of these three with `, chance`: by a change of the same size in a random direction;
        - `p`: that the part moves the answers no more than chance, corrected for all parts.

        Parts come by `moved`, the largest first.

    Raises:
        InputError, UnsupportedModelError: see `staked`.
    """
    batches = staked(model, records, task, length=length)
    parts = parts_of(model)
    if not parts:
        raise InputError("The model has no block, so there is no part to take away.")
    owners = np.concatenate([chosen for chosen, _ in batches])
    means = _means(model, batches, sorted({part.name for part in parts}))
    turns = _rotations(means, seed)
    base, without, chance = [], [], []
    with torch.inference_mode():
        for _, batch in batches:
            _, cache = model.run_with_cache(**batch.to(model.W_E.device).inputs)
            last = len(model.stack(model.last_stack).blocks)
            whole = Answered.of(model.resume(cache, last), batch.labels)
            base.append(whole.stakes())
            run = partial(_changed, model, cache, batch, whole)
            without.append(np.stack([run(part, means[part.name], None) for part in parts], 1))
            chance.append(
                np.stack([run(part, means[part.name], turns[part.name]) for part in parts], 1)
            )
    order = np.argsort(owners, kind="stable")
    intact, gone, turned = (np.concatenate(some)[order] for some in (base, without, chance))
    return tidy(_rows(parts, intact, gone, turned, seed))


def _means(
    model: Any, batches: Sequence[tuple[list[int], Batch]], names: Sequence[str]
) -> dict[str, Tensor]:
    """The mean of each activation over all real positions, without its batch and positions."""
    sums: dict[str, Tensor] = {}
    counts = dict.fromkeys(names, 0)
    with torch.inference_mode():
        for _, batch in batches:
            inputs = batch.to(model.W_E.device).inputs
            _, cache = model.run_with_cache(**inputs, names_filter=list(names))
            for name in names:
                value = cache[name].double()
                mask = inputs.get(
                    "decoder_attention_mask" if name.startswith("decoder.") else "attention_mask"
                )
                real = value.flatten(0, 1) if mask is None else value[mask.bool()]
                sums[name] = sums.get(name, 0) + real.sum(0)
                counts[name] += len(real)
    return {name: sums[name] / counts[name] for name in names}


def _rotations(means: dict[str, Tensor], seed: int) -> dict[str, Tensor]:
    """A random orthogonal matrix for each activation, evenly drawn (Mezzadri 2007)."""
    generator = torch.Generator().manual_seed(seed)
    out = {}
    for name, mean in means.items():
        n = mean.shape[-1]
        q, r = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))
        out[name] = (q * r.diagonal().sign()).to(mean.device)
    return out


def _changed(
    model: Any,
    cache: Any,
    batch: Batch,
    whole: Answered,
    part: Part,
    mean: Tensor,
    turn: Tensor | None,
) -> Floats:
    """What becomes of a batch with a part at its mean, or changed as much in another direction:
    the columns of `Answered.stakes` and `Answered.moved_from`, [example, 5]."""

    def edit(value: Tensor, hook: Any) -> Tensor:
        out = value.clone()
        mine = out if part.head is None else out[:, :, part.head]
        target = (mean if part.head is None else mean[part.head]).to(mine.dtype)
        change = target - mine
        mine += change if turn is None else change @ turn.to(mine.dtype)
        return out

    tap = Hooks(model.hook_points, {part.name: [edit]})
    now = Answered.of(model.resume(cache, part.layer, tap=tap, stack=part.stack), batch.labels)
    return np.concatenate([now.stakes(), now.moved_from(whole)], 1)


def _rows(
    parts: Sequence[Part], whole: Floats, gone: Floats, turned: Floats, seed: int
) -> Iterator[dict[str, Any]]:
    """
    Args:
        whole: stakes with all parts, [example, 3]; of each part what becomes of them without it,
            `gone`, and by chance, `turned`: [example, part, 5].
    """
    units, n = np.arange(len(whole)), len(whole)
    several: dict[str, Floats] = {}
    for suffix, found in (("", gone), (", chance", turned)):
        each = found / found[..., 2:3]  # an answer
        several[f"moved{suffix}"] = each[..., 3]
        several[f"changed{suffix}"] = each[..., 4]
        several[f"lost{suffix}"] = each[..., 0] - (whole[:, 0] / whole[:, 2])[:, None]
    p = sign_flips(several["moved"] - several["moved, chance"], units, seed=seed)
    bounds = {name: cluster_bootstrap(x, units, seed=seed) for name, x in several.items()}
    yield from _totals({"site": "model", "layer": pd.NA, "head": pd.NA}, whole, seed)
    for k in np.argsort(-several["moved"].mean(0), kind="stable").tolist():
        part = parts[k]
        keys = {"site": part.site, "layer": part.layer, "head": part.head}
        yield from _totals(keys, gone[:, k, :3], seed)
        for name, x in several.items():
            low, high = bounds[name]
            yield {
                **keys, "metric": name, "value": x[:, k].mean(), "ci_low": low[k],
                "ci_high": high[k], "n": n,
            }  # fmt: skip
        yield {**keys, "metric": "p", "value": p[k], "n": n}


def _totals(keys: dict[str, Any], of: Floats, seed: int) -> Iterator[dict[str, Any]]:
    """Loss and accuracy over all answers, examples drawn anew for the interval."""
    weights = np.random.default_rng(seed).multinomial(
        len(of), np.full(len(of), 1 / len(of)), size=1000
    )
    drawn = weights @ of
    for i, name in enumerate(("loss", "accuracy")):
        low, high = np.quantile(drawn[:, i] / drawn[:, 2], (0.025, 0.975))
        value = of[:, i].sum() / of[:, 2].sum()
        yield {
            **keys, "metric": name, "value": value, "ci_low": low, "ci_high": high, "n": len(of),
        }  # fmt: skip


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_text_options(parser)
    parser.add_argument("--labels", nargs="+", help="of a classifier, in the order of its outputs")
    parser.add_argument("--length", type=int, default=64, metavar="N", help="tokens of a text")


def _measure(model: Any, options: argparse.Namespace) -> pd.DataFrame:
    from interp.train.tasks.sequence import Translation

    task: Task[Any, Any] | None = None
    if model.cfg.head == "classification" and options.labels:
        task = Classification(tuple(options.labels))
    elif model.cfg.shape == "encoder_decoder":
        task = Translation()
    return ablation(model, records_of(options), task, length=options.length, seed=options.seed)


SCRIPT = Script(
    name="ablation",
    summary="What a model loses without each head, attention layer and feed-forward layer.",
    examples="  python -m probes.ablation --run reviews --data DIR --set sentence_polarity",
    measure=_measure,
    chart=ablation_chart,
    add_arguments=_add_arguments,
)

if __name__ == "__main__":
    raise SystemExit(SCRIPT.main())
