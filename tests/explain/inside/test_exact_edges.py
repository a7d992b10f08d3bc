"""Exact edge and path patching against runs from the start, one edge at a time."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from interp import HookedTransformer, InputError, Target
from interp.explain.inside.exact_edges import exact_edges, path_patching
from interp.explain.inside.graph import Graph
from interp.explain.inside.pairs import Pairs
from interp.explain.inside.subgraph import Subgraphs
from tests.explain.inside.edge_models import GRAPHS, metric, model, texts


@torch.no_grad()
def naive(m: HookedTransformer, clean: Tensor, corrupted: Tensor) -> Tensor:
    """Every edge by a run of its own from the start, through the inputs of single heads: what one
    writer wrote is taken from the stream, and what it wrote in the other run put there."""
    g = Graph.of(m)
    value, found = metric(m(clean)), torch.zeros(len(clean), *g.edges.shape, dtype=torch.float64)
    for write in g.writes:
        name = write.point.replace("hook_z", "hook_result")
        (_, own), (_, other) = (m.run_with_cache(x, names_filter=name) for x in (clean, corrupted))
        for writer in write.nodes:
            at = (slice(None), slice(None), writer - write.nodes.start)
            if write.part == "head":
                change = other[name][at] - own[name][at]
            else:
                change = other[name] - own[name]
            for read in g.reads:
                for reader in read.readers if writer < read.n_writers else ():

                    def put(x: Tensor, hook: Any, i: int = reader - read.readers.start) -> Tensor:
                        if x.ndim == 3:
                            return x + change  # noqa: B023
                        x[:, :, i] += change  # noqa: B023
                        return x

                    out = m.run_with_hooks(clean, fwd_hooks=[(read.point, put)])
                    found[:, reader, writer] = metric(out) - value
    return found


@pytest.mark.parametrize("name", GRAPHS)
def test_resumed_equals_from_the_start(name: str) -> None:
    m, (clean, corrupted) = model(**GRAPHS[name]), texts()
    found, expected = exact_edges(m, clean, corrupted, metric), naive(m, clean, corrupted)
    assert expected.abs().max() > 1e-2
    torch.testing.assert_close(found.by_pair, expected, atol=1e-8, rtol=0)


@pytest.mark.parametrize("ablation", ["corrupted", "mean"])
def test_an_edge_alone_equals_the_graph_without_it(ablation: Any) -> None:
    """Two ways to run: the reader's input is set, or every reader reads a sum of its own."""
    m, (clean, corrupted) = model(**GRAPHS["grouped"]), texts(3)
    found = exact_edges(m, clean, corrupted, metric, ablation=ablation)
    g = found.graph
    pairs = Pairs.read(m, clean, corrupted, metric, g.points)
    without = g.edges.repeat(g.n_edges, 1, 1)
    readers, writers = g.edges.nonzero(as_tuple=True)
    without[torch.arange(g.n_edges), readers, writers] = False
    values = Subgraphs.read(pairs, g, ablation).values(without) - pairs.value
    torch.testing.assert_close(found.by_pair[:, readers, writers], values.T, atol=1e-8, rtol=0)


def test_some_edges_and_small_forwards_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    m, (clean, corrupted) = model(), texts()
    every = exact_edges(m, clean, corrupted, metric)
    monkeypatch.setattr(sys.modules[exact_edges.__module__], "TOKENS", 20)
    among = every.graph.edges & (torch.arange(len(every.graph.writers)) % 2 == 0)
    some = exact_edges(m, clean, corrupted, metric, among=among)
    torch.testing.assert_close(some.values[among], every.values[among], atol=1e-12, rtol=0)
    assert some.values[every.graph.edges & ~among].isnan().all()
    assert len(some.to_frame()) == int(among.sum())


def test_an_edge_from_what_is_the_same_in_both_runs_carries_nothing() -> None:
    m, (clean, corrupted) = model(), texts()
    found = exact_edges(m, clean, corrupted, metric)
    positions = found.values[:, found.graph.writer("pos_embed")]
    assert bool((positions == 0).all())


# -- paths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["decoder", "grouped", "parallel", "classifier"])
def test_a_path_of_one_edge_is_that_edge(name: str) -> None:
    m, (clean, corrupted) = model(**GRAPHS[name]), texts()
    exact = exact_edges(m, clean, corrupted, metric)
    g = exact.graph
    for reader in (g.readers[-1], "L1MLP", "L1H1.q", g.readers[g.reads[4].readers[0]]):
        found = path_patching(m, clean, corrupted, metric, senders=["L0H1"], receivers=[reader])
        expected = exact.by_pair[:, g.reader(reader), g.writer("L0H1")]
        torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)


@torch.no_grad()
def test_paths_equal_the_published_three_runs() -> None:
    """Wang et al. 2022, section 3.1: clean and corrupted runs; a run with the senders corrupted and
    all other heads and layers frozen, in which what the receivers get is kept; a run with that."""
    m, (clean, corrupted) = model(n_layers=3), texts()
    senders = {0: [0, 1], 1: [1]}
    receivers = {1: ("k", 0), 2: ("v", 1)}
    zs = [f"blocks.{i}.attn.hook_z" for i in range(3)]
    mlps = [f"blocks.{i}.hook_mlp_out" for i in range(3)]
    _, own = m.run_with_cache(clean, names_filter=[*zs, *mlps])
    _, other = m.run_with_cache(corrupted, names_filter=zs)
    kept: dict[str, Tensor] = {}

    def freeze(x: Tensor, hook: Any) -> Tensor:
        x[:] = own[hook.name]
        if hook.name in zs:
            for head in senders.get(hook.layer(), []):
                x[:, :, head] = other[hook.name][:, :, head]
        return x

    def keep(x: Tensor, hook: Any) -> None:
        kept[hook.name] = x.clone()

    inputs = {i: f"blocks.{i}.attn.hook_{channel}" for i, (channel, _) in receivers.items()}
    watch = [(name, keep) for name in inputs.values()]
    m.run_with_hooks(clean, fwd_hooks=[*watch, ([*zs, *mlps], freeze)])

    def put(x: Tensor, hook: Any) -> Tensor:
        head = receivers[hook.layer()][1]
        x[:, :, head] = kept[hook.name][:, :, head]
        return x

    out = m.run_with_hooks(clean, fwd_hooks=[(name, put) for name in inputs.values()])
    expected = metric(out) - metric(m(clean))
    found = path_patching(
        m,
        clean,
        corrupted,
        metric,
        senders=["L0H0", "L0H1", "L1H1"],
        receivers=["L1H0.k", "L2H1.v"],
    )
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(found, expected, atol=1e-8, rtol=0)


def test_everything_to_the_logits_is_the_corrupted_run() -> None:
    m, (clean, corrupted) = model(), texts()
    g = Graph.of(m)
    found = path_patching(m, clean, corrupted, metric, senders=g.writers, receivers=["logits"])
    with torch.no_grad():
        expected = metric(m(corrupted)) - metric(m(clean))
    torch.testing.assert_close(found, expected, atol=1e-8, rtol=0)


def test_bad_paths_and_edges_are_refused() -> None:
    m, (clean, corrupted) = model(), texts()

    def path(senders: list[str], receivers: list[str]) -> Tensor:
        return path_patching(m, clean, corrupted, senders=senders, receivers=receivers)

    for senders, receivers, why in (
        (["L1H0"], ["L0H0.q"], "reads none of the senders"),
        (["L0H0"], [], "no path"),
        ([], ["logits"], "no path"),
        (["L7H0"], ["logits"], "no writer 'L7H0'"),
        (["L0H0"], ["L1H0"], "no reader 'L1H0'"),
    ):
        with pytest.raises(InputError, match=why):
            path(senders, receivers)
    edges = Graph.of(m).edges
    with pytest.raises(InputError, match="reader, writer"):
        exact_edges(m, clean, corrupted, Target.logit(1), among=edges[:2])
    with pytest.raises(InputError, match="has not"):
        exact_edges(m, clean, corrupted, Target.logit(1), among=torch.ones_like(edges))
