"""A number for each edge of a model's graph, and how well two lists of them agree."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.inside.graph import Graph
from interp.explain.scorecard.agreement import correlation_line
from interp.explain.scorecard.line import Line

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class EdgeScores:
    """By how much a metric changes if an edge carries what it would in the other run.

    Attributes:
        by_pair: [pair, reader, writer], float64; NaN for edges that were not asked for, 0 where
            there is none.
        method: that found them.
        metric: in words.
        value, reference_value: the metric of the clean run, and with every edge patched; mean over
            pairs.
        completeness_error: by how much the scores of the edges from the embeddings miss the
            change of the metric between the ends of the path, added up over pairs without signs
            and relative to it; None of a method that does not claim that they add up.
    """

    graph: Graph
    by_pair: Tensor
    method: str
    metric: str
    value: float
    reference_value: float
    completeness_error: float | None = None

    @property
    def values(self) -> Tensor:
        """The mean over pairs, [reader, writer]."""
        return self.by_pair.mean(0)

    def of(self, writer: str, reader: str) -> float:
        """The score of one edge.

        Raises:
            InputError: there is none.
        """
        at = self.graph.reader(reader), self.graph.writer(writer)
        if not self.graph.edges[at]:
            raise InputError(f"{reader} does not read {writer}, which is written after it.")
        return float(self.values[at])

    def to_frame(self) -> pd.DataFrame:
        """A row per edge, the largest first: writer, reader, method, metric, value, ci_low,
        ci_high (95 %, of the mean over pairs, by its standard error; NaN of one pair), n."""
        import pandas as pd

        readers, writers = (self.graph.edges & self.values.isfinite()).nonzero(as_tuple=True)
        scores, n = self.by_pair[:, readers, writers], len(self.by_pair)
        mean = scores.mean(0)
        half = 1.96 * scores.std(0) / math.sqrt(n) if n > 1 else torch.full_like(mean, math.nan)
        frame = pd.DataFrame(
            {
                "writer": [self.graph.writers[i] for i in writers.tolist()],
                "reader": [self.graph.readers[i] for i in readers.tolist()],
                "method": self.method,
                "metric": self.metric,
                "value": mean.tolist(),
                "ci_low": (mean - half).tolist(),
                "ci_high": (mean + half).tolist(),
                "n": n,
            }
        )
        return frame.sort_values("value", key=abs, ascending=False, ignore_index=True)

    def __repr__(self) -> str:
        error = self.completeness_error
        adds_up = "" if error is None else f", adds up within {error:.1%}"
        return f"EdgeScores({self.method}, {self.graph.n_edges} edges, {self.metric}{adds_up})"


def agreement(approximate: EdgeScores, exact: EdgeScores) -> Line:
    """Spearman's rank correlation over edges, with its 95 % bootstrap interval over them.

    Edges that both find to be exactly 0, such as those from a writer that wrote the same in both
    runs, are left out: they would agree in any case.

    Raises:
        InputError: scores of different graphs, or fewer than three edges to compare.
    """
    if approximate.graph != exact.graph:
        raise InputError("The two lists of scores are of edges of different graphs.")
    one, other = approximate.values, exact.values
    both = one.isfinite() & other.isfinite() & ((one != 0) | (other != 0))
    if int(both.sum()) < 3:
        raise InputError(f"Only {int(both.sum())} edges have scores in both lists; 3 are needed.")
    metric = f"Spearman of {approximate.method} and {exact.method}"
    return correlation_line(metric, one[both], other[both], kendall=False)
