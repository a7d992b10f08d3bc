"""Which tokens, words, positions or heads matter to a model over a whole data set.

Every text is explained by itself (`interp.attribute`, or `direct_attribution` for heads), and the
local scores are put together:

- `mass`: the part of all importance that a unit has. In each text importance is |score|, in shares
  of the text's sum, so that texts count alike; over all units the masses add up to 1.
- `share`: the same per occurrence: how much of its text's importance a unit has where it occurs.
- `score`: the signed mean per occurrence, in the target's unit.

Intervals are over other texts (a cluster bootstrap). They are not corrected for having looked at
every unit: of a thousand units the largest is partly the luckiest. A mean hides in which contexts a
unit matters, and every flaw of the local method stays (`interp.attribution_report` measures those).
"""

from __future__ import annotations

import argparse
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from interp.errors import InputError
from interp.explain import METHODS, Target, attribute
from interp.explain.inside import direct_attribution
from interp.figures.importance import importance_chart
from probes.frames import tidy
from probes.script import Script
from probes.statistics import cluster_bootstrap
from probes.texts import add_text_options, records_of, text_of

By = Literal["token", "word", "position", "distance", "head"]

_KEYS: dict[str, tuple[str, ...]] = {
    "token": ("side", "token"),
    "word": ("side", "token"),
    "position": ("side", "position"),
    "distance": ("side", "position"),
    "head": ("site", "layer", "head"),
}


def importance(
    model: Any,
    texts: Sequence[str],
    *,
    by: By = "word",
    method: str = "integrated_gradients",
    target: Target | None = None,
    inputs: dict[str, Any] | None = None,
    seed: int = 0,
    **options: Any,
) -> pd.DataFrame:
    """What matters to a model's predictions, over texts.

    Args:
        by: `token` or `word` (by what they say, without spaces around), `position` (from the
            start), `distance` (tokens before the place where the model predicts), or `head` (with
            feed-forward layers, embeddings and biases as parts of their own).
        method: a local explainer of `interp.explain.METHODS`; of heads it is always the direct
            attribution.
        target: what is explained; by default the logit of the model's own prediction at the end,
            above the mean of all logits.
        inputs: further inputs of every forward.
        seed: of the bootstrap.
        **options: of the method.

    Returns:
        The unit (`token`; `position`; or `site`, `layer` and `head`), `side` (`input`, or
        `source` and `target` of an encoder-decoder), `metric` (`mass`, `share`, `score`), `value`,
        its interval, and `n`, its occurrences. By mass, the largest first. A unit that occurs in
        one text alone has an interval for its mass only.

    Raises:
        InputError: no texts, another `by`, nothing that matters at all, or what the explainer
            refuses.
    """
    if by not in get_args(By):
        raise InputError(f"by is {by!r}; it must be one of {', '.join(get_args(By))}.")
    if isinstance(texts, str) or not texts:
        raise InputError("importance looks over a list of texts; there is none.")
    target = Target.centred_logit() if target is None else target
    local = pd.DataFrame(
        [
            {"text": i, **row}
            for i, text in enumerate(texts)
            for row in (
                _heads(model, text, target, inputs)
                if by == "head"
                else _units(model, text, by, method, target, inputs, options)
            )
        ]
    )
    return tidy(_aggregated(local, list(_KEYS[by]), seed))


def _units(
    model: Any,
    text: str,
    by: str,
    method: str,
    target: Target,
    inputs: dict[str, Any] | None,
    options: dict[str, Any],
) -> Iterator[dict[str, Any]]:
    found = attribute(
        model,
        text,
        method,
        target,
        inputs=inputs,
        units="words" if by == "word" else "tokens",
        **options,
    )
    frame = found.to_frame()
    if by == "distance" and found.position is None:
        raise InputError(
            "The target is read at no one place, so there is no distance to it; ask by position."
        )
    written = frame["side"].iloc[-1]  # where the model predicts
    for row in frame.itertuples():
        place = int(row.position)
        if by == "distance":
            if row.side != written:
                continue
            place = int(found.position or 0) - place
        yield {
            "side": row.side,
            "token": str(row.token).strip() or str(row.token),
            "position": place,
            "score": float(row.score),
        }


def _heads(
    model: Any, text: str, target: Target, inputs: dict[str, Any] | None
) -> Iterator[dict[str, Any]]:
    for row in direct_attribution(model, text, target, by="head", inputs=inputs).itertuples():
        yield {"site": row.part, "layer": row.layer, "head": row.head, "score": float(row.value)}


def _aggregated(local: pd.DataFrame, keys: list[str], seed: int) -> Iterator[dict[str, Any]]:
    """The rows of each unit, by mass.

    Args:
        local: a row for each occurrence: `text`, the keys, `score`.
    """
    sums = local["score"].abs().groupby(local["text"]).transform("sum")
    matters = sums > 0  # a text in which nothing matters says nothing of what does
    if not matters.any():
        raise InputError("Every score is zero: in these texts nothing matters to the target.")
    local = local[matters].assign(share=local["score"].abs() / sums)
    local["unit"] = local.groupby(keys, sort=False, dropna=False).ngroup()
    texts, units = np.unique(local["text"], return_inverse=True)[1], local["unit"].to_numpy()
    masses = np.zeros((texts.max() + 1, units.max() + 1))
    np.add.at(masses, (texts, units), local["share"].to_numpy())
    low, high = _interval(masses, np.arange(len(masses)), seed)
    mass = masses.mean(0)
    groups: dict[Hashable, pd.DataFrame] = dict(iter(local.groupby("unit")))
    for unit in np.argsort(-mass, kind="stable").tolist():
        mine = groups[unit]
        who = {key: mine[key].iloc[0] for key in keys}
        yield {
            **who, "metric": "mass", "value": mass[unit], "ci_low": low[unit],
            "ci_high": high[unit], "n": len(mine),
        }  # fmt: skip
        columns = mine[["share", "score"]].to_numpy(float)
        lows, highs = _interval(columns, mine["text"].to_numpy(), seed)
        for i, metric in enumerate(("share", "score")):
            yield {
                **who, "metric": metric, "value": columns[:, i].mean(), "ci_low": lows[i],
                "ci_high": highs[i], "n": len(mine),
            }  # fmt: skip


def _interval(values: Any, clusters: Any, seed: int) -> tuple[Any, Any]:
    """Over clusters; one alone says nothing about others."""
    if len(np.unique(clusters)) < 2:
        nothing = np.full(values.shape[1], np.nan)
        return nothing, nothing
    return cluster_bootstrap(values, clusters, seed=seed)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_text_options(parser)
    parser.add_argument("--by", choices=get_args(By), default="word")
    parser.add_argument(
        "--method",
        choices=sorted(METHODS),
        default="integrated_gradients",
        metavar="NAME",
        help=f"{', '.join(sorted(METHODS))} (integrated_gradients)",
    )
    parser.add_argument("--token", metavar="TOKEN", help="explain its logit above the mean of all")
    parser.add_argument("--characters", type=int, metavar="N", help="read so many of each text")


def _measure(model: Any, options: argparse.Namespace) -> pd.DataFrame:
    texts = [text_of(record)[: options.characters] for record in records_of(options)]
    target = None if options.token is None else Target.centred_logit(options.token)
    return importance(
        model, texts, by=options.by, method=options.method, target=target, seed=options.seed
    )


SCRIPT = Script(
    name="importance",
    summary="Which tokens, words, positions or heads matter to a model over a whole data set.",
    examples=(
        "  python -m probes.importance --run MY_CLASSIFIER --data DIR --set sentence_polarity\n"
        "  python -m probes.importance --run stories --data DIR --set sentence_polarity --by head"
    ),
    measure=_measure,
    chart=importance_chart,
    add_arguments=_add_arguments,
)

if __name__ == "__main__":
    raise SystemExit(SCRIPT.main())
