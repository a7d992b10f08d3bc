"""Circuit discovery: the few edges that do what the whole model does on a task.

`discover` keeps the edges with the largest scores (Syed et al. 2023, arXiv 2310.10348; Hanna et
al. 2024, arXiv 2403.17806) and measures what each number of them keeps of the metric. `prune`
removes edges one by one, each by an exact patch, as ACDC does (Conmy et al. 2023, arXiv
2304.14997); it is for small models, or for what `discover` has left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.inside.edges import Method, score_edges
from interp.explain.inside.graph import Graph
from interp.explain.inside.pairs import Metric, Pairs, Texts
from interp.explain.inside.subgraph import Subgraphs
from interp.explain.inside.written import Ablation

if TYPE_CHECKING:
    import pandas as pd

_SIZES = 40  # circuits of a curve, and of its part before the one that is chosen


@dataclass(frozen=True)
class Circuit:
    """Edges of a model's graph, and what they keep of a metric when all others are cut.

    Attributes:
        kept: [reader, writer] of bool; every edge lies on a path from an embedding to the logits.
        curve: a row per circuit that was measured on the way: n_edges, share (of all edges),
            metric (`faithfulness`), value, ci_low, ci_high (bootstrap over pairs), n (pairs).
        faithfulness: (m - m_empty) / (m_whole - m_empty), of means over pairs.
        whole, empty: the metric with no edge cut, and with all.
        method, metric, ablation: how it was found.
    """

    graph: Graph
    kept: Tensor
    curve: pd.DataFrame
    faithfulness: float
    whole: float
    empty: float
    method: str
    metric: str
    ablation: Ablation

    @property
    def edges(self) -> tuple[tuple[str, str], ...]:
        """(writer, reader) of each edge, in the order of the readers."""
        graph = self.graph
        return tuple((graph.writers[w], graph.readers[r]) for r, w in self.kept.nonzero().tolist())

    @property
    def nodes(self) -> tuple[str, ...]:
        """The writers that it holds."""
        used = self.kept.any(0)
        return tuple(name for name, there in zip(self.graph.writers, used, strict=True) if there)

    @property
    def share(self) -> float:
        """Of all edges."""
        return int(self.kept.sum()) / self.graph.n_edges

    def __repr__(self) -> str:
        return (
            f"Circuit({int(self.kept.sum())} of {self.graph.n_edges} edges keep "
            f"{self.faithfulness:.1%} of the {self.metric}; {', '.join(self.nodes)})"
        )


def discover(
    model: Any,
    clean: Texts,
    corrupted: Texts,
    metric: Metric | None = None,
    *,
    faithfulness: float = 0.9,
    method: Method = "eap_ig",
    rules: str | None = None,
    ablation: Ablation = "corrupted",
) -> Circuit:
    """The smallest circuit on the curve of greedy ones that keeps enough of the metric.

    Edges are taken by the size of their score, those that are on no path from an embedding to the
    logits are dropped, and the rest is run with all other edges cut. `prune(..., start=...)` may
    find edges in it that are not needed.

    Args:
        model: a pre-norm decoder or encoder.
        clean, corrupted: texts of as many tokens each, or ids [pair, pos]; run together.
        metric: what is read of the clean run; by default the logit of its own prediction.
        faithfulness: the share of the metric to keep, above 0 and at most 1.
        method, rules: of `edge_attribution`, which ranks the edges.
        ablation: what a cut edge carries.

    Raises:
        InputError: texts that do not fit, or a metric that the corrupted texts do not change.
        UnsupportedModelError: the model has no edges, see `Graph.of`.
    """
    if not 0 < faithfulness <= 1:
        raise InputError(f"faithfulness is {faithfulness}; it must be above 0 and at most 1.")
    graph = Graph.of(model)
    with torch.inference_mode(False):
        pairs = Pairs.read(model, clean, corrupted, metric, graph.points)
        subgraphs = Subgraphs.read(pairs, graph, ablation)
        scores = score_edges(pairs, graph, method, rules, ablation)
    size = torch.where(graph.edges, scores.values.abs(), -1.0).flatten()
    order = size.argsort(descending=True, stable=True)

    def greedy(n: int) -> Tensor:
        taken = torch.zeros_like(graph.edges)
        taken.view(-1)[order[:n]] = True
        return graph.on_paths(taken)

    values: dict[int, Tensor] = {}  # by the number of edges taken, [pair]
    below, best = 0, graph.n_edges
    for _ in range(2):  # a coarse curve, and then what lies before the first that is good enough
        new = [n for n in _spread(below + 1, best) if n not in values]
        if new:
            found = subgraphs.values(torch.stack([greedy(n) for n in new]))
            values.update(zip(new, found, strict=True))
        good = [n for n in values if subgraphs.faithfulness(values[n]) >= faithfulness]
        best = min(good, default=graph.n_edges)  # the whole graph keeps all, but for rounding
        below = max((n for n in values if n < best), default=0)
    sizes = sorted(values)
    return _circuit(
        subgraphs,
        [greedy(n) for n in sizes],
        torch.stack([values[n] for n in sizes]),
        sizes.index(best),
        f"greedy by {scores.method}",
        ablation,
    )


def prune(
    model: Any,
    clean: Texts,
    corrupted: Texts,
    metric: Metric | None = None,
    *,
    start: Circuit | None = None,
    tolerance: float = 0.01,
    ablation: Ablation = "corrupted",
) -> Circuit:
    """What is left when every edge whose removal moves the metric little is removed.

    Readers are visited from the logits to the first block. The edges into one are removed in the
    order of what the removal of each alone does, for as long as each moves the faithfulness by
    `tolerance` at most. This is ACDC with all edges of a reader, and all steps of their removal,
    in one batch each.

    Args:
        start: the circuit to begin with; by default the whole graph.
        tolerance: of one edge, as a share of the metric.

    The others, and errors, as for `discover`.
    """
    if not 0 <= tolerance < 1:
        raise InputError(f"tolerance is {tolerance}; it must be at least 0 and below 1.")
    graph = Graph.of(model)
    if start is not None and start.graph != graph:
        raise InputError("The circuit to start from is one of another model's graph.")
    with torch.inference_mode(False):
        pairs = Pairs.read(model, clean, corrupted, metric, graph.points)
        subgraphs = Subgraphs.read(pairs, graph, ablation)
    kept = (graph.edges if start is None else start.kept).clone()
    tried, values = [kept], [subgraphs.values(kept[None])]
    for reader in reversed(range(len(graph.readers))):
        writers = kept[reader].nonzero().flatten()
        if not len(writers):
            continue
        now = subgraphs.faithfulness(values[-1])
        alone = kept.repeat(len(writers), 1, 1)
        alone[torch.arange(len(writers)), reader, writers] = False
        effect = (subgraphs.faithfulness(subgraphs.values(alone)) - now).abs()
        steps = kept.repeat(len(writers), 1, 1)
        for i, writer in enumerate(writers[effect.argsort()].tolist()):
            steps[i:, reader, writer] = False
        after = subgraphs.values(steps)
        share = torch.cat([now, subgraphs.faithfulness(after)])
        fits = ((share[1:] - share[:-1]).abs() <= tolerance).int().cumprod(0)
        if n := int(fits.sum()):
            kept = graph.on_paths(steps[n - 1])
            tried.append(kept)
            # Edges on no path carry nothing if cut edges carry the corrupted run; else it is run.
            values.append(subgraphs.values(kept[None]))
    last = len(tried) - 1
    return _circuit(subgraphs, tried, torch.cat(values), last, "pruned exactly", ablation)


def _spread(first: int, last: int) -> list[int]:
    """Numbers of edges from the first to the last, at most `_SIZES`, in geometric progression."""
    return sorted({int(n) for n in np.geomspace(first, last, _SIZES).round()})


def _circuit(
    subgraphs: Subgraphs,
    tried: list[Tensor],
    values: Tensor,
    best: int,
    method: str,
    ablation: Ablation,
) -> Circuit:
    import pandas as pd

    shares, (low, high) = subgraphs.faithfulness(values), subgraphs.interval(values)
    n_edges = [int(kept.sum()) for kept in tried]
    frame = pd.DataFrame(
        {
            "n_edges": n_edges,
            "share": [n / subgraphs.graph.n_edges for n in n_edges],
            "metric": "faithfulness",
            "value": shares.tolist(),
            "ci_low": low.tolist(),
            "ci_high": high.tolist(),
            "n": len(subgraphs.pairs),
        }
    )
    curve = frame.drop_duplicates("n_edges", ignore_index=True)  # circuits grow or shrink
    return Circuit(
        graph=subgraphs.graph,
        kept=tried[best],
        curve=curve,
        faithfulness=float(shares[best]),
        whole=float(subgraphs.pairs.value.mean()),
        empty=float(subgraphs.empty.mean()),
        method=method,
        metric=subgraphs.pairs.description,
        ablation=ablation,
    )
