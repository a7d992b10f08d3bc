"""Exact patching of edges and of paths: what the metric becomes, and not what it would to first
order.

One edge: the reader reads the clean stream, in which what one writer wrote is exchanged; all else
is computed. Several senders and receivers: path patching (Wang et al. 2022, arXiv 2211.00593;
Goldowsky-Dill et al. 2023, arXiv 2304.05969). Only the reader's own queries, keys or values change
in its block, and nothing before it, so many edges share a forward that begins there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.inside.edge_scores import EdgeScores
from interp.explain.inside.graph import Graph, Read
from interp.explain.inside.pairs import Metric, Pairs, Texts
from interp.explain.inside.run import TOKENS
from interp.explain.inside.written import (
    Ablation,
    reference,
    value_if_all_patched,
    written,
)
from interp.explain.reading import finite
from interp.model.tap import Tap, chain


def exact_edges(
    model: Any,
    clean: Texts,
    corrupted: Texts,
    metric: Metric | None = None,
    *,
    ablation: Ablation = "corrupted",
    among: Tensor | None = None,
) -> EdgeScores:
    """The change of the metric when one edge carries what it would in the other run, for each.

    Args:
        model: a pre-norm decoder or encoder.
        clean, corrupted: texts of as many tokens each, or ids [pair, pos]; run together.
        metric: what is read of the clean run; by default the logit of its own prediction.
        ablation: what a patched edge carries.
        among: only these edges, [reader, writer] of bool (as `Graph.edges`); by default all.

    Raises:
        InputError: texts that do not fit.
        UnsupportedModelError: the model has no edges, see `Graph.of`.
    """
    graph = Graph.of(model)
    chosen = graph.edges if among is None else _checked(graph, among)
    with torch.inference_mode(False), torch.no_grad():
        pairs = Pairs.read(model, clean, corrupted, metric, graph.points)
        exchange = _Exchange.read(pairs, graph, ablation)
        by_pair = torch.zeros(len(pairs), *graph.edges.shape, dtype=torch.float64)
        by_pair[:, graph.edges & ~chosen] = torch.nan
        # A writer that writes the same in both runs changes nothing, not even by rounding.
        chosen = chosen & (exchange.change != 0).flatten(1).any(1).cpu()
        at_once = max(1, TOKENS // pairs.n_tokens)
        for read in graph.reads:
            first = read.readers.start
            for some in chosen[first : read.readers.stop].nonzero().split(at_once):
                reader, writer = some.T
                change = exchange.change[writer.to(exchange.change.device)]
                effect = finite(exchange.values(read, reader, change), "metric") - pairs.value
                by_pair[:, first + reader, writer] = effect.T.double().cpu()
        end = value_if_all_patched(pairs, graph, exchange.change.sum(0))
        return EdgeScores(
            graph=graph,
            by_pair=by_pair,
            method="exact",
            metric=pairs.description,
            value=float(pairs.value.mean()),
            reference_value=float(end.mean()),
        )


def path_patching(
    model: Any,
    clean: Texts,
    corrupted: Texts,
    metric: Metric | None = None,
    *,
    senders: Sequence[str],
    receivers: Sequence[str],
    ablation: Ablation = "corrupted",
) -> Tensor:
    """The change of the metric, [pair], through the direct paths from senders to receivers.

    Each receiver reads what it would if the senders alone wrote what they do in the other run and
    all between them and it stood still. With these inputs set, everything behind is computed.

    Args:
        senders: writers, by name (`Graph.writers`).
        receivers: readers, by name (`Graph.readers`).

    The others, and errors, as for `exact_edges`; an InputError too where no sender writes before
    some receiver.
    """
    graph = Graph.of(model)
    writers = sorted({graph.writer(name) for name in senders})
    readers = sorted({graph.reader(name) for name in receivers})
    deaf = [graph.readers[i] for i in readers if not graph.edges[i, writers].any()]
    if deaf or not readers or not writers:
        what = (
            f"{deaf[0]} reads none of the senders" if deaf else "Senders or receivers are missing"
        )
        raise InputError(f"{what}; there is no path to patch.")
    with torch.inference_mode(False), torch.no_grad():
        pairs = Pairs.read(model, clean, corrupted, metric, graph.points)
        exchange = _Exchange.read(pairs, graph, ablation)
        taps = []
        for read in graph.reads:
            reader = torch.tensor([i - read.readers.start for i in readers if i in read.readers])
            if len(reader):
                sent = exchange.change[[i for i in writers if i < read.n_writers]].sum(0)
                if read.channel == "logits":  # whatever else is changed, they read only this
                    return (exchange.values(read, reader, sent[None])[0] - pairs.value).double()
                taps.append((read.layer, exchange.put(read, reader, sent)))
        start = min(layer for layer, _ in taps)
        changed = exchange.from_layer(start, 1, chain(*(tap for _, tap in taps)))
        return (finite(changed, "metric")[0] - pairs.value).double()


@dataclass(frozen=True)
class _Exchange:
    """The clean run, and what changes if writers write as in the other run.

    Attributes:
        change: [writer, pair, pos, d_model].
    """

    pairs: Pairs
    change: Tensor

    @classmethod
    def read(cls, pairs: Pairs, graph: Graph, ablation: Ablation) -> _Exchange:
        change = reference(pairs, graph, ablation).minus(written(pairs, graph))
        return cls(pairs, change.all())

    def values(self, read: Read, readers: Tensor, change: Tensor) -> Tensor:
        """The metric, [n, pair], of n copies of the pairs in which one reader each reads a changed
        stream.

        Args:
            readers: [n], counted in `read`.
            change: of the stream, [n, pair, pos, d_model].
        """
        made = self._made(read, readers, change)
        if read.channel == "logits":
            return self.pairs.of_stream(made.flatten(0, 1))
        n = len(readers)

        def put(value: Tensor, hook: Any) -> Tensor:
            if read.channel == "mlp":
                return made.flatten(0, 1)
            value.unflatten(0, (n, -1))[torch.arange(n), :, :, readers] = made
            return value

        return self.from_layer(read.layer, n, self.pairs.model.hooks_tap([(read.product, put)]))

    def put(self, read: Read, readers: Tensor, change: Tensor) -> Tap:
        """Sets what several readers make of the stream with one change, [pair, pos, d_model]."""
        made = self._made(read, readers, change[None])

        def put(value: Tensor, hook: Any) -> Tensor:
            if read.channel == "mlp":
                return made[0]
            value[:, :, readers] = made.movedim(0, 2)
            return value

        tap: Tap = self.pairs.model.hooks_tap([(read.product, put)])
        return tap

    def from_layer(self, layer: int, n: int, tap: Tap) -> Tensor:
        """The metric, [n, pair], of n copies that go on from the clean stream into a block."""
        stream = self.pairs.kept[f"blocks.{layer}.hook_resid_pre"]
        return self.pairs.values(stream.repeat(n, 1, 1), tap, layer)

    def _made(self, read: Read, readers: Tensor, change: Tensor) -> Tensor:
        """What readers make of the clean stream and a change [n or 1, pair, pos, d_model]:
        queries, keys or values [reader, pair, pos, d_head], or the stream itself."""
        stream = self.pairs.kept[read.stream] + change
        if read.channel in ("mlp", "logits"):
            return stream
        block = self.pairs.model.blocks[read.layer]
        weight, bias = {
            "q": (block.attn.W_Q, block.attn.b_Q),
            "k": (block.attn.W_K, block.attn.b_K),
            "v": (block.attn.W_V, block.attn.b_V),
        }[read.channel]
        normed = block.normed_before("ln1", stream).expand(len(readers), -1, -1, -1)
        made: Tensor = torch.einsum("nbpd,nde->nbpe", normed, weight[readers])
        made += bias[readers][:, None, None]
        return made


def _checked(graph: Graph, among: Tensor) -> Tensor:
    if among.shape != graph.edges.shape or among.dtype != torch.bool:
        raise InputError(
            f"among is {among.dtype} {list(among.shape)}; it must be of bool, "
            f"{list(graph.edges.shape)} (reader, writer), as `Graph.edges`."
        )
    if bool((among.cpu() & ~graph.edges).any()):
        raise InputError("among holds edges that the graph has not; see `Graph.edges`.")
    return among.cpu()
