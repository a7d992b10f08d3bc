"""The head atlas: where each attention head looks, and what its weights make of what they read.

    python -m probes.heads --run induction --out heads.parquet --chart heads.html

Where it looks is measured on text, by default on random tokens that repeat, where nothing but the
repetition can be used. What its weights do is read off them, see `probes.head_weights`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from interp.data.examples import Examples
from interp.errors import UnsupportedModelError
from interp.figures.heads import head_chart
from interp.model.hook_points import HookPoint
from interp.model.transformer import HookedTransformer
from probes.frames import tidy
from probes.head_weights import copying, strongest_composition
from probes.passages import REPEATS, add_text_arguments, batches, read_by, read_texts
from probes.script import Script
from probes.statistics import ratio_interval

Places = dict[str, tuple[str, int, str]]
"""The point of each attention pattern -> its stack, layer and part of the block."""

_PATTERN = re.compile(r"(\w+)\.(\d+)\.(attn|cross_attn)\.hook_pattern")


class Seen(NamedTuple):
    """What the queries of a batch can look at.

    Attributes:
        query, key: ids [row, query] and [row, key].
        visible: [row, query, key], True for real pairs that attention may flow between.
        other: [row or 1, query, key], True for keys that are not the query itself (of a causal
            stack, that are before it); everywhere in cross-attention.
        first, last: [row, 1, key], True for the first and the last real key.
    """

    query: Tensor
    key: Tensor
    visible: Tensor
    other: Tensor
    first: Tensor
    last: Tensor


def _same(seen: Seen) -> Tensor:
    return seen.query[:, :, None] == seen.key[:, None, :]


def _after_same(seen: Seen) -> Tensor:
    """Keys behind one that holds the query's token."""
    earlier = _same(seen) & seen.other & seen.visible
    return torch.cat([torch.zeros_like(earlier[..., :1]), earlier[..., :-1]], -1)


def _at(distance: int) -> Callable[[Seen], Tensor]:
    def keys(seen: Seen) -> Tensor:
        places = torch.arange(seen.key.shape[1], device=seen.key.device)
        return (places[None, :] == places[:, None] + distance)[None]

    return keys


TARGETS: dict[str, tuple[frozenset[str], Callable[[Seen], Tensor]]] = {
    "previous": (frozenset({"causal", "both"}), _at(-1)),
    "next": (frozenset({"both"}), _at(1)),
    "first": (frozenset({"causal", "both", "cross"}), lambda seen: seen.first & seen.other),
    "last": (frozenset({"both", "cross"}), lambda seen: seen.last & seen.other),
    "duplicate": (
        frozenset({"causal", "both", "cross"}),
        lambda seen: _same(seen) & seen.other,
    ),
    "induction": (frozenset({"causal", "both", "cross"}), _after_same),
}
"""What a head may look at -> the kinds of attention in which this makes sense, and which keys they
are. `causal` attention sees the past, `both` sees all, `cross` sees another text."""


def heads(model: Any, examples: Examples) -> pd.DataFrame:
    """All that the atlas says of a model: `attention_scores`, and for a HookedTransformer also
    `copying` and `strongest_composition`."""
    parts = [attention_scores(model, examples)]
    if isinstance(model, HookedTransformer):
        parts += [copying(model), strongest_composition(model)]
    return pd.concat([part for part in parts if len(part)], ignore_index=True)


@torch.no_grad()
def attention_scores(model: Any, examples: Examples) -> pd.DataFrame:
    """How much of its attention each head gives to a kind of token.

    - `previous`, `next`: the token before, or after.
    - `first`, `last`: the ends of the text, where heads rest what they do not use (Xiao et al.
      2023, arXiv 2309.17453).
    - `duplicate`: the same token elsewhere (of the past, where attention is causal).
    - `induction`: what followed the same token elsewhere (Olsson et al. 2022, arXiv 2209.11895).

    In cross-attention, `duplicate` is the source token that the decoder has just read, and
    `induction` what follows it in the source.

    Returns:
        A row per site (`blocks.attn`, `decoder.cross_attn`, ...), layer, head and metric. The value
        is the mean over the queries that have such a token, their number is `n`; the interval is
        over texts. `chance` is what a head gets that attends to all it sees alike.

    Raises:
        UnsupportedModelError: the attention patterns of the model cannot be read.
    """
    found = [_PATTERN.fullmatch(name) for name in model.hook_points]
    places = {m[0]: (m[1], int(m[2]), m[3]) for m in found if m}
    if not places:
        raise UnsupportedModelError("This model shows no attention patterns, so no heads.")
    totals, counts, even = _tally(model, examples, places)
    values = totals.sum(0) / np.maximum(counts.sum(0), 1)[:, None]
    low, high = ratio_interval(totals, np.repeat(counts[:, :, None], totals.shape[2], 2))
    rows = []
    for i, (stack, layer, part) in enumerate(places.values()):
        for t, metric in enumerate(TARGETS):
            n = counts[:, i, t].sum()
            if n:
                rows += [
                    {
                        "site": f"{stack}.{part}",
                        "layer": layer,
                        "head": head,
                        "chance": even[:, i, t].sum() / n,
                        "metric": metric,
                        "value": values[i, head, t],
                        "ci_low": low[i, head, t],
                        "ci_high": high[i, head, t],
                        "n": int(n),
                    }
                    for head in range(totals.shape[2])
                ]
    return tidy(rows)


def _tally(
    model: Any, examples: Examples, places: Places
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each text the attention on each target, [text, place, head, target], the queries that
    have one, and what an even head would give it, [text, place, target] both."""
    kinds = {(stack, part) for stack, _, part in places.values()}
    summed: list[Tensor] = []
    for _, batch in batches(examples, model.W_E.device):
        wanted = {kind: _wanted(model, batch, *kind) for kind in kinds}
        found: dict[str, Tensor] = {}
        # A function sees each pattern as it goes by, so that one of them is held at a time.
        score = partial(_score, found, places, wanted)
        model.run_with_hooks(**batch.inputs, fwd_hooks=[(list(places), score)], return_type=None)
        columns = []
        for name, (stack, _, part) in places.items():
            _, count, even = wanted[stack, part]
            columns.append(torch.cat([found[name].double(), count[:, None], even[:, None]], 1))
        summed.append(torch.stack(columns, 1))  # [row, place, head + 2, target]
    whole = torch.cat(summed).cpu().numpy()  # the one time that the host waits
    return whole[:, :, :-2], whole[:, :, -2], whole[:, :, -1]


def _score(
    found: dict[str, Tensor],
    places: Places,
    wanted: dict[tuple[str, str], tuple[Tensor, Tensor, Tensor]],
    pattern: Tensor,
    hook: HookPoint,
) -> None:
    """Puts the attention that falls on each target into `found`, [row, head, target]."""
    stack, _, part = places[hook.name]
    on = wanted[stack, part][0].flatten(1, 2)
    found[hook.name] = pattern.flatten(2) @ on.to(pattern.dtype)


def _wanted(model: Any, batch: Any, stack: str, part: str) -> tuple[Tensor, Tensor, Tensor]:
    """Which keys are targets of which queries, [row, query, key, target], how many queries have
    one, and the share of them that an even head gives, summed over queries, [row, target]."""
    kind, seen = _seen(model, batch, stack, part)
    nothing = torch.zeros_like(seen.visible)
    masks = [
        keys(seen) & seen.visible if kind in kinds else nothing for kinds, keys in TARGETS.values()
    ]
    on = torch.stack(masks, -1)
    known = on.any(2).double()
    width = seen.visible.sum(-1).clamp(min=1)
    share = on.sum(2).double() / width[..., None]
    return on, known.sum(1), share.sum(1)


def _seen(model: Any, batch: Any, stack: str, part: str) -> tuple[str, Seen]:
    query, real = read_by(stack, batch)
    cross = part == "cross_attn"
    key, there = read_by("encoder", batch) if cross else (query, real)
    visible = real[:, :, None] & there[:, None, :]
    places = torch.arange(key.shape[1], device=key.device)
    if cross:
        kind, other = "cross", torch.ones_like(visible[:1])
    elif stack == "decoder" or (stack == "blocks" and model.cfg.shape == "decoder"):
        kind, other = "causal", (places[None, :] < places[:, None])[None]
        visible = visible & (places[None, :] <= places[:, None])
    else:
        kind, other = "both", (places[None, :] != places[:, None])[None]
    first = there & (there.cumsum(1) == 1)
    last = there & (there.flip(1).cumsum(1).flip(1) == 1)
    return kind, Seen(query, key, visible, other, first[:, None], last[:, None])


SCRIPT = Script(
    name="heads",
    summary="Where each attention head looks, what it copies, and which heads it reads.",
    examples=(
        "  python -m probes.heads --run induction --out heads.parquet --chart heads.html\n"
        "  python -m probes.heads --run stories --texts childrens_stories --data DATA"
    ),
    measure=lambda model, options: heads(model, read_texts(model, options)),
    chart=head_chart,
    add_arguments=lambda parser: add_text_arguments(parser, default=REPEATS),
)


if __name__ == "__main__":
    raise SystemExit(SCRIPT.main())
