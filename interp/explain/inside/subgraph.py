"""Running a part of a model's graph: some edges carry what is written, the others what was written
in another run."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.inside.graph import Graph
from interp.explain.inside.pairs import Pairs
from interp.explain.inside.run import TOKENS
from interp.explain.inside.written import Ablation, Written, reference, to_stream
from interp.explain.reading import finite
from interp.model.tap import Tap

_NUMBERS = 2**27  # of what writers change, held in one forward: 512 MiB in float32


class _Edges(Tap):
    """Gives each reader its own stream: what was written, and where an edge is cut the difference
    to what its writer wrote in the other run.

    Args:
        kept: [copy, reader, writer] of bool.
        other: of all pairs, or one that stands for them.
    """

    def __init__(self, kept: Tensor, other: Written, n_pairs: int):
        graph = other.graph
        self.other = other
        self.n_pairs = n_pairs
        self.writes = {write.point: write for write in graph.writes}
        self.reads = {read.point: read for read in graph.reads}
        self.cut = (~kept & graph.edges.to(kept.device)).repeat_interleave(n_pairs, 0)
        self.changes = torch.empty(0)  # [copy * pair, writer, pos, d_model], filled as they write

    def wants(self, name: str) -> bool:
        return name in self.writes or name in self.reads

    def edits(self, name: str) -> bool:
        return name in self.reads

    def visit(self, name: str, value: Tensor) -> Tensor:
        if name in self.writes:
            self._note(name, value)
            return value
        read = self.reads[name]
        cut = self.cut[:, read.readers.start : read.readers.stop, : read.n_writers].to(value)
        changes = self.changes[:, : read.n_writers]
        change: Tensor = (cut @ changes.flatten(2)).unflatten(2, changes.shape[2:]).transpose(1, 2)
        return value + (change if value.ndim == 4 else change[:, :, 0])

    def _note(self, name: str, value: Tensor) -> None:
        write = self.writes[name]
        here = to_stream(self.other.model, write, value).unflatten(0, (-1, self.n_pairs))
        change = (self.other.of(write) - here).flatten(0, 1).transpose(1, 2)
        if not len(self.changes):
            shape = (len(change), len(self.other.graph.writers), *change.shape[2:])
            self.changes = change.new_empty(shape)
        self.changes[:, write.nodes.start : write.nodes.stop] = change


@dataclass(frozen=True)
class Subgraphs:
    """Runs parts of the graph of one model on pairs of texts.

    Attributes:
        empty: the metric with every edge cut, [pair].
    """

    pairs: Pairs
    graph: Graph
    other: Written
    empty: Tensor

    @classmethod
    def read(cls, pairs: Pairs, graph: Graph, ablation: Ablation) -> Subgraphs:
        """
        Raises:
            InputError: the metric is the same with every edge cut.
        """
        other = reference(pairs, graph, ablation)
        nothing = torch.zeros_like(graph.edges)[None]
        subgraphs = cls(pairs, graph, other, torch.empty(0))
        empty = subgraphs.values(nothing)[0]
        if float((pairs.value.mean() - empty.mean()).abs()) <= 1e-6 * float(empty.abs().mean()):
            raise InputError(
                f"The metric ({pairs.description}) is {float(empty.mean()):.6g} with every edge "
                "cut and with none, so that there is nothing to keep. Choose a metric that the "
                "corrupted texts change."
            )
        return cls(pairs, graph, other, empty)

    @torch.no_grad()
    def values(self, kept: Tensor) -> Tensor:
        """The metric with the edges that are not kept cut.

        Args:
            kept: [n, reader, writer] of bool.

        Returns:
            [n, pair]
        """
        pairs = self.pairs
        d_model, n_writers = pairs.model.cfg.d_model, len(self.graph.writers)
        tokens = min(TOKENS, _NUMBERS // (d_model * n_writers))
        found: list[Tensor] = []
        for some in kept.split(max(1, tokens // pairs.n_tokens)):
            tap = _Edges(some.to(pairs.clean.device), self.other, len(pairs))
            found.append(pairs.values(pairs.clean.repeat(len(some), 1), tap))
        return finite(torch.cat(found), "metric").double().cpu()

    def faithfulness(self, values: Tensor) -> Tensor:
        """The share of the metric that is kept, (m - m_empty) / (m_whole - m_empty), of means over
        pairs: 1 for the whole graph, 0 for none of it.

        Args:
            values: [..., pair]
        """
        whole = self.pairs.value.double().cpu()
        share: Tensor = (values.mean(-1) - self.empty.mean()) / (whole.mean() - self.empty.mean())
        return share

    def interval(self, values: Tensor, draws: int = 1000) -> tuple[Tensor, Tensor]:
        """95 % bootstrap intervals of the faithfulness over pairs; NaN of a single pair.

        Args:
            values: [n, pair]
        """
        n_pairs = values.shape[1]
        if n_pairs < 2:
            return (torch.full((len(values),), torch.nan, dtype=torch.float64),) * 2
        picks = torch.randint(
            0, n_pairs, (draws, n_pairs), generator=torch.Generator().manual_seed(0)
        )
        empty, whole = (x[picks].mean(1) for x in (self.empty, self.pairs.value.double().cpu()))
        share = (values[:, picks].mean(-1) - empty) / (whole - empty)
        low, high = share.quantile(torch.tensor([0.025, 0.975], dtype=share.dtype), dim=1)
        return low, high
