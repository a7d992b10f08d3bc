"""Who writes to the stream and who reads it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from interp import InputError, UnsupportedModelError
from interp.explain.inside.graph import Graph
from interp.model.tap import Record
from tests.explain.inside.edge_models import GRAPHS, model, texts


def formula(g: Graph, cfg: Any) -> int:
    """The number of edges, as `Graph.n_edges` says it."""
    e, n_layers, h, k = g.n_embeddings, cfg.n_layers, cfg.n_heads, cfg.n_key_value_heads
    m = int(not cfg.attn_only)
    n = (h + 2 * k + m) * (n_layers * e + (h + m) * n_layers * (n_layers - 1) // 2)
    n += e + (h + m) * n_layers
    return n if cfg.attn_only or cfg.parallel_attn_mlp else n + n_layers * h


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("n_layers", [1, 3])
def test_the_number_of_edges(name: str, n_layers: int) -> None:
    m = model(**{**GRAPHS[name], "n_layers": n_layers})
    g = Graph.of(m)
    assert g.n_edges == int(g.edges.sum()) == formula(g, m.cfg)


def test_a_model_counted_by_hand() -> None:
    """One block, one head: q, k, v read two embeddings, the MLP three writers, the logits four."""
    g = Graph.of(model(n_layers=1, n_heads=1))
    assert g.writers == ("embed", "pos_embed", "L0H0", "L0MLP")
    assert g.readers == ("L0H0.q", "L0H0.k", "L0H0.v", "L0MLP", "logits")
    assert g.n_edges == 3 * 2 + 3 + 4
    assert g.feeds == ((2,), (2,), (2,), (3,), ())


def test_groups_share_their_keys_and_values() -> None:
    g = Graph.of(model(**GRAPHS["grouped"]))
    assert "L1KV1.k" in g.readers and "L1H3.q" in g.readers and "L1H3.k" not in g.readers
    fed = g.feeds[g.reader("L1KV1.v")]
    assert [g.writers[i] for i in fed] == ["L1H2", "L1H3"]


def test_a_parallel_block_does_not_feed_its_own_mlp() -> None:
    serial, parallel = Graph.of(model()), Graph.of(model(**GRAPHS["parallel"]))
    for g, reads in ((serial, True), (parallel, False)):
        assert bool(g.edges[g.reader("L0MLP"), g.writer("L0H1")]) == reads
        assert g.edges[g.reader("L1MLP"), g.writer("L0MLP")]


@pytest.mark.parametrize("name", GRAPHS)
def test_what_writers_write_and_biases_are_the_stream(name: str) -> None:
    """The edges are all: what a reader reads is the sum over its writers, and a constant."""
    from interp.explain.inside.pairs import Pairs
    from interp.explain.inside.written import written

    m, (clean, corrupted) = model(**GRAPHS[name]), texts()
    g = Graph.of(m)
    streams = {read.stream for read in g.reads}
    record, other = Record(streams), Record(streams)
    with torch.no_grad():
        m(clean, tap=record)
        m(corrupted, tap=other)
    pairs = Pairs.read(m, clean, corrupted, None, g.points)
    reversed_pairs = Pairs.read(m, corrupted, clean, None, g.points)
    change = written(reversed_pairs, g).minus(written(pairs, g)).all()
    for read in g.reads:
        expected = other.values[read.stream] - record.values[read.stream]
        torch.testing.assert_close(change[: read.n_writers].sum(0), expected, atol=1e-10, rtol=0)


def paths(g: Graph, kept: Tensor) -> set[tuple[int, int]]:
    """Edges (reader, writer) on a path from an embedding to the logits, one path at a time."""
    found: set[tuple[int, int]] = set()

    def follow(reader: int, behind: list[tuple[int, int]]) -> None:
        for writer in kept[reader].nonzero().flatten().tolist():
            edges = [*behind, (reader, writer)]
            if writer < g.n_embeddings:
                found.update(edges)
            for before, feeds in enumerate(g.feeds):
                if writer in feeds:
                    follow(before, edges)

    follow(len(g.readers) - 1, [])
    return found


@given(seed=st.integers(0, 10**6), share=st.floats(0.05, 0.5))
@settings(max_examples=40)
def test_only_edges_on_paths_stay(seed: int, share: float) -> None:
    g = Graph.of(model(n_heads=2, d_model=4))
    drawn = torch.rand(g.edges.shape, generator=torch.Generator().manual_seed(seed)) < share
    kept = drawn & g.edges
    pruned = g.on_paths(kept)
    assert {(r, w) for r, w in pruned.nonzero().tolist()} == paths(g, kept)
    assert torch.equal(g.on_paths(pruned), pruned)


def test_the_whole_graph_is_on_paths() -> None:
    g = Graph.of(model(**GRAPHS["grouped"]))
    assert torch.equal(g.on_paths(g.edges), g.edges)


def test_models_without_edges_are_refused() -> None:
    for changes, why in (
        ({"shape": "encoder", "head": "mlm", "norm_position": "post"}, "post-norm"),
        ({"shape": "encoder_decoder"}, "two streams"),
    ):
        with pytest.raises(UnsupportedModelError, match=why):
            Graph.of(model(**changes))
    with pytest.raises(UnsupportedModelError, match="HookedTransformer"):
        Graph.of(torch.nn.Linear(2, 2))
    with pytest.raises(InputError, match="blocks"):
        Graph.of(model(n_layers=0))
    with pytest.raises(InputError, match="no reader"):
        Graph.of(model()).reader("L9H0.q")
