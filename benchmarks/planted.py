"""Which explainers find a mechanism that is known?

`python -m benchmarks.planted` asks every explainer about models whose mechanism was planted and
prints how well it finds what matters; `--write` puts the tables into docs/planted-truth.md.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

import interp
from benchmarks.planted_tables import SHORTCUT, SHUFFLED, Report
from benchmarks.report import write_between_markers
from interp.explain import METHODS
from interp.explain.baseline import Baseline
from interp.explain.inside import (
    EdgeScores,
    attribution_patching,
    edge_attribution,
    exact_edges,
    patch,
)
from interp.explain.planted import Item, Planted, suite
from interp.explain.planted.ranking import (
    NOTHING,
    auprc,
    expected_auprc,
    measure,
    noise,
    oracle,
    shuffled,
)
from interp.explain.planted.shortcut import shortcut_items
from interp.explain.scorecard import ranks
from interp.model.transformer import HookedTransformer

PAGE = Path(__file__).resolve().parent.parent / "docs" / "planted-truth.md"

HeadScores = dict[str, Tensor]
"""Name of an attention layer -> [head], the size of each head's effect."""


def each_attention(
    planted: Planted, item: Item, score: Callable[..., Tensor], **options: Any
) -> HeadScores:
    """Scores of all heads; `score` gives those of one kind of attention, [layer, head], between
    the text and a blank one."""
    blank = item.ids.where(~item.movable, planted.blank)[None, : item.n_source or None]
    found: HeadScores = {}
    for stack in planted.model.stack_names():
        for kind, attention in (("z", "attn"), ("cross_z", "cross_attn")):
            if f"{stack}.0.{attention}" in planted.heads:
                values = score(
                    planted.model,
                    item.text,
                    blank,
                    kind,
                    item.target,
                    stack=stack,
                    inputs=item.inputs,
                    **options,
                )
                sites = (f"{stack}.{layer}.{attention}" for layer in range(len(values)))
                found |= dict(zip(sites, values.abs(), strict=True))
    return found


def noised(*given: Any, **options: Any) -> Tensor:
    """How the target changes when a head's output comes from the blank text."""
    grid = patch(*given, convention="noising", **options)
    return grid.values - grid.clean


def denoised(*given: Any, **options: Any) -> Tensor:
    """How the blank text's target changes when a head's output comes from the text."""
    grid = patch(*given, convention="denoising", **options)
    return grid.values - grid.corrupted


def estimated(*given: Any, **options: Any) -> Tensor:
    """`noised` to first order."""
    return attribution_patching(*given, **options).values


HEADS: dict[str, Callable[[Planted, Item], HeadScores]] = {
    "patching, noising": partial(each_attention, score=noised),
    "patching, denoising": partial(each_attention, score=denoised),
    "attribution patching": partial(each_attention, score=estimated),
    "attribution patching, GIM": partial(each_attention, score=estimated, rules="gim"),
}
"""What says how much a head matters, by name."""

EDGES: dict[str, dict[str, Any]] = {
    "EAP": {"method": "eap"},
    "EAP-IG": {"method": "eap_ig"},
    "EAP-IG, GIM": {"method": "eap_ig", "rules": "gim"},
}
"""Estimates of edges, by name."""

OPTIONS: dict[str, dict[str, Any]] = {"captum": {"algorithm": "ShapleyValueSampling"}}
"""Options of the methods that ask for some; the others run as they are."""


class Asked(Protocol):
    """What explainers are asked about: a `Planted`, or a model that was trained to a shortcut."""

    @property
    def name(self) -> str: ...
    @property
    def level(self) -> str: ...
    @property
    def model(self) -> HookedTransformer: ...
    @property
    def baseline(self) -> Baseline | None: ...


@dataclass(frozen=True)
class Shortcut:
    """A classifier that follows a planted word, against the mean embedding."""

    model: HookedTransformer
    name: str = "planted word"
    level: str = SHORTCUT
    baseline: Baseline | None = None


# -- measuring ---------------------------------------------------------------------------------


def explain(planted: Asked, item: Item, method: str) -> Sequence[float] | None:
    """The scores of a method; None if it does not go with the model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of methods that do not converge: the table will show it
        try:
            return interp.attribute(
                planted.model,
                item.text,
                method=method,
                target=item.target,
                baseline=planted.baseline,
                inputs=item.inputs,
                **OPTIONS.get(method, {}),
            ).scores
        except interp.InterpError:
            return None


def token_rows(name: str, planted: Asked, item: Item, draw: int) -> Iterator[dict[str, object]]:
    """A row for every explainer and figure."""
    row = {
        "mechanism": planted.name,
        "level": planted.level,
        "shape": planted.model.cfg.shape,
        "model": name,
    }
    unknown = shuffled(item, draw)
    given: dict[str, Sequence[float] | None] = {"random": noise(item, draw)}
    given |= {method: explain(planted, item, method) for method in METHODS}
    figures = {"oracle": oracle(item, draw)}
    for method, scores in given.items():
        if scores is not None:
            figures[method] = measure(item, scores, draw)
            if item.contribution is not None:
                figures[method][SHUFFLED] = measure(unknown, scores, draw)["auprc"]
    for method, found in figures.items():
        for metric, value in found.items():
            yield {**row, "method": method, "metric": metric, "value": value}


def head_rows(
    name: str, planted: Planted, items: Sequence[Item], seed: int
) -> Iterator[dict[str, object]]:
    """A row for every way to score heads: effects are averaged over items, then ranked."""
    sites = list(planted.heads)
    truth = np.concatenate([planted.heads[site].numpy() for site in sites])
    jitter = np.random.default_rng(seed)
    scores = {"oracle": truth.astype(float), "random": jitter.random(len(truth))}
    for method, function in HEADS.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                each = [function(planted, item) for item in items]
        except interp.InterpError:
            continue
        mean = np.mean([np.concatenate([e[s].numpy() for s in sites]) for e in each], 0)
        mean[mean < NOTHING * max(item.scale for item in items)] = 0
        scores[method] = mean
    row = {"mechanism": planted.name, "level": planted.level, "model": name}
    order = jitter.permutation(len(truth))  # of ties
    for method, values in scores.items():
        ranked = np.argsort(np.argsort(values[order], kind="stable")).astype(float)
        yield {**row, "method": method, "metric": "auprc", "value": auprc(ranked, truth[order])}
    chance = expected_auprc(len(truth), int(truth.sum()))
    yield {**row, "method": "chance", "metric": "auprc", "value": chance}


def estimate_rows(
    name: str, planted: Planted, items: Sequence[Item]
) -> Iterator[dict[str, object]]:
    """How alike first-order estimates and exact patching order heads and edges, by text."""
    row = {"mechanism": planted.name, "level": planted.level, "model": name}
    for item in items:
        exact = _flat(HEADS["patching, noising"](planted, item))
        for method in ("attribution patching", "attribution patching, GIM"):
            found = _flat(HEADS[method](planted, item))
            if len(set(exact.tolist())) > 1 and len(set(found.tolist())) > 1:
                rho = float(ranks.spearman(found[None], exact[None])[0])
                yield {**row, "method": f"heads: {method}", "metric": "spearman", "value": rho}
        if planted.model.cfg.shape == "encoder_decoder":
            continue  # edges are of models with one stack
        blank = item.ids.where(~item.movable, planted.blank)[None]
        given = planted.model, item.ids[None], blank, item.target
        edges = _sizes(exact_edges(*given))
        for method, options in EDGES.items():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = _sizes(edge_attribution(*given, **options))
            rho = float(ranks.spearman(found[None], edges[None])[0])
            yield {**row, "method": f"edges: {method}", "metric": "spearman", "value": rho}


def _sizes(scores: EdgeScores) -> NDArray[np.float64]:
    """Sizes of all edges, those of no more than rounding as 0. A circuit has few edges, and the
    many without a part must be found to have none."""
    flat = scores.values[scores.graph.edges].abs().double().numpy()
    flat[flat < 1e-3 * flat.max()] = 0
    return flat


def _flat(scores: HeadScores) -> NDArray[np.float64]:
    flat = np.concatenate([scores[site].double().numpy() for site in sorted(scores)])
    flat[flat < NOTHING * max(1e-12, flat.max())] = 0
    return flat


def shortcut_rows(data: Path, n_items: int) -> Iterator[dict[str, object]]:
    """The zoo's `planted`, asked why a sentence has the class of its planted word."""
    from interp.zoo.recipes.planted import WORDS, planted
    from interp.zoo.recipes.reviews import TASK

    asked = Shortcut(interp.load("planted"))
    sentences = [one for one in planted(data, "test") if one.label != one.original]
    items = shortcut_items(asked.model, sentences, WORDS, TASK.labels)
    for i, item in enumerate(items[:n_items]):
        yield from token_rows("planted word", asked, item, i)


def run(
    n_items: int,
    n_seeds: int,
    trained: bool,
    data: Path | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> Report:
    """Asks every explainer about every model of every seed.

    Args:
        trained: also about models trained under interchange.
        data: folder of the data sets, to ask about the zoo's `planted` too.
    """
    tokens, heads, estimates = [], [], []
    if data is not None:
        log("planted word")
        tokens += list(shortcut_rows(data, n_items * n_seeds))
    for seed in range(n_seeds):
        for number, (name, planted) in enumerate(suite(seed, trained=trained)):
            log(f"[{seed + 1}/{n_seeds}] {name}")
            start = 1000 * seed + number  # so that models of several shapes get texts of their own
            items = planted.items(n_items, start)
            for i, item in enumerate(items):
                tokens += list(token_rows(name, planted, item, start * n_items + i))
            heads += list(head_rows(name, planted, items, seed))
            if planted.level == "compiled":
                estimates += list(estimate_rows(name, planted, items))
    frames = (pd.DataFrame(rows) for rows in (tokens, heads, estimates))
    return Report(*frames, tuple(METHODS), n_items, n_seeds)


def main(arguments: Sequence[str] | None = None) -> Report:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planted", description=__doc__)
    parser.add_argument("--items", type=int, default=5, help="texts of each model (5)")
    parser.add_argument("--seeds", type=int, default=2, help="models of each kind (2)")
    parser.add_argument(
        "--trained", action="store_true", help="also models trained under interchange; minutes each"
    )
    parser.add_argument(
        "--data", type=Path, help="of the data sets: also the zoo's classifier with a shortcut"
    )
    parser.add_argument("--write", action="store_true", help=f"put the tables into {PAGE.name}")
    chosen = parser.parse_args(arguments)
    if chosen.items < 1 or chosen.seeds < 1:
        parser.error("--items and --seeds must be 1 at least")

    def log(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    done = run(chosen.items, chosen.seeds, chosen.trained, chosen.data, log)
    print(done.to_text())
    if chosen.write:
        write_between_markers(PAGE, done.to_markdown())
    return done


if __name__ == "__main__":
    main()
