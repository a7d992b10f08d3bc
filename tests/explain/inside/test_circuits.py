"""Parts of a graph run alone, and the circuits found among them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import interp
import interp.explain.inside.subgraph
from interp import HookedTransformer, InputError, Target
from interp.explain.inside.circuits import discover, prune
from interp.explain.inside.graph import Graph
from interp.explain.inside.pairs import Pairs
from interp.explain.inside.subgraph import Subgraphs
from tests.explain.inside.edge_models import GRAPHS, metric, model, texts


def subgraphs(m: HookedTransformer, ablation: Any = "corrupted", n: int = 2) -> Subgraphs:
    clean, corrupted = texts(n)
    graph = Graph.of(m)
    pairs = Pairs.read(m, clean, corrupted, metric, graph.points)
    return Subgraphs.read(pairs, graph, ablation)


@pytest.mark.parametrize("name", GRAPHS)
def test_all_edges_are_the_clean_run_and_none_the_corrupted(name: str) -> None:
    m, (clean, corrupted) = model(**GRAPHS[name]), texts()
    found = subgraphs(m)
    values = found.values(torch.stack([found.graph.edges, torch.zeros_like(found.graph.edges)]))
    with torch.no_grad():
        ends = torch.stack([metric(m(clean)), metric(m(corrupted))])
    torch.testing.assert_close(values, ends, atol=1e-8, rtol=0)
    torch.testing.assert_close(found.empty, ends[1], atol=1e-8, rtol=0)
    assert found.faithfulness(values).tolist() == pytest.approx([1, 0], abs=1e-8)


def drawn(graph: Graph, seed: int, share: float = 0.6) -> Tensor:
    lots = torch.rand(graph.edges.shape, generator=torch.Generator().manual_seed(seed))
    return (lots < share) & graph.edges


@torch.no_grad()
def by_sums(m: HookedTransformer, clean: Tensor, corrupted: Tensor, kept: Tensor) -> Tensor:
    """The graph run by hand: each reader reads a sum of full-width terms, the kept ones of this
    run and the others of the corrupted one, and the biases."""
    g = Graph.of(m)
    names = [write.point.replace("hook_z", "hook_result") for write in g.writes]
    _, cache = m.run_with_cache(corrupted, names_filter=names)
    other = [
        cache[name][:, :, i] if cache[name].ndim == 4 else cache[name]
        for name, write in zip(names, g.writes, strict=True)
        for i in range(len(write.nodes))
    ]
    now: list[Tensor] = []

    def note(x: Tensor, hook: Any) -> None:
        now.extend(x[:, :, i].clone() for i in range(x.shape[2])) if x.ndim == 4 else now.append(x)

    def read(x: Tensor, hook: Any) -> Tensor:
        for group in g.reads:
            if group.point == hook.name:
                for i, reader in enumerate(group.readers):
                    at = x[:, :, i] if x.ndim == 4 else x
                    for writer in range(group.n_writers):
                        if not kept[reader, writer]:
                            at += other[writer] - now[writer]
        return x

    hooks = [(names, note), ([group.point for group in g.reads], read)]
    return metric(m.run_with_hooks(clean, fwd_hooks=hooks))


@pytest.mark.parametrize("name", GRAPHS)
def test_a_part_of_the_graph_equals_sums_by_hand(name: str) -> None:
    m, (clean, corrupted) = model(**GRAPHS[name]), texts()
    found = subgraphs(m)
    kept = torch.stack([drawn(found.graph, seed) for seed in range(3)])
    expected = torch.stack([by_sums(m, clean, corrupted, each) for each in kept])
    assert (expected - found.empty).abs().max() > 1e-2
    torch.testing.assert_close(found.values(kept), expected, atol=1e-8, rtol=0)


@given(seed=st.integers(0, 10**6), share=st.floats(0.1, 0.7))
@settings(max_examples=10)
def test_edges_on_no_path_carry_nothing(seed: int, share: float) -> None:
    """A writer that reads corrupted inputs alone writes what it does in the corrupted run."""
    found = subgraphs(model(**GRAPHS["grouped"]))
    kept = drawn(found.graph, seed, share)
    values = found.values(torch.stack([kept, found.graph.on_paths(kept)]))
    torch.testing.assert_close(values[0], values[1], atol=1e-8, rtol=0)


def test_forwards_in_several_parts_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    found = subgraphs(model())
    kept = torch.stack([drawn(found.graph, seed) for seed in range(5)])
    whole = found.values(kept)
    monkeypatch.setattr(interp.explain.inside.subgraph, "TOKENS", 20)
    torch.testing.assert_close(found.values(kept), whole, atol=1e-12, rtol=0)


def test_the_mean_over_pairs_takes_the_place_of_each() -> None:
    """With every edge cut, all pairs say the same: they differ in nothing any more."""
    found = subgraphs(model(), "mean", n=4)
    assert float(found.empty.std()) < 1e-10
    assert float(subgraphs(model(), n=4).empty.std()) > 1e-2


# -- circuits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["decoder", "grouped", "parallel", "classifier"])
def test_a_circuit_keeps_what_it_says(name: str) -> None:
    m, (clean, corrupted) = model(**GRAPHS[name]), texts()
    found = discover(m, clean, corrupted, metric, faithfulness=0.8)
    assert found.faithfulness >= 0.8 and 0 < found.share <= 1
    assert torch.equal(found.graph.on_paths(found.kept), found.kept)
    by_hand = by_sums(m, clean, corrupted, found.kept).mean()
    share = (by_hand - found.empty) / (found.whole - found.empty)
    assert found.faithfulness == pytest.approx(float(share), abs=1e-8)
    curve = found.curve
    assert curve["n_edges"].is_monotonic_increasing
    assert curve["n_edges"].iloc[-1] == found.graph.n_edges
    assert curve["value"].iloc[-1] == pytest.approx(1, abs=1e-8)
    smaller = curve[curve["n_edges"] < int(found.kept.sum())]
    assert (smaller["value"] < 0.8).all()
    assert len(found.edges) == int(found.kept.sum()) == round(found.share * found.graph.n_edges)


def test_pruning_removes_what_moves_little() -> None:
    m, (clean, corrupted) = model(), texts()
    none = prune(m, clean, corrupted, metric, tolerance=1e-9)
    little = prune(m, clean, corrupted, metric, tolerance=0.1)
    much = prune(m, clean, corrupted, metric, tolerance=0.5)
    assert none.share > little.share > much.share
    # What is removed at no cost is what writes the same in both runs: the positions.
    assert "pos_embed" not in none.nodes and none.faithfulness == pytest.approx(1, abs=1e-6)
    removed = little.graph.n_edges - int(little.kept.sum())
    assert abs(little.faithfulness - 1) <= 0.1 * removed
    greedy = discover(m, clean, corrupted, metric, faithfulness=0.95)
    smaller = prune(m, clean, corrupted, metric, start=greedy, tolerance=0.01)
    assert not bool((smaller.kept & ~greedy.kept).any())


def test_each_step_of_pruning_moves_little() -> None:
    """From reader to reader, by no more than the tolerance for each edge removed."""
    m, (clean, corrupted) = model(), texts()
    curve = prune(m, clean, corrupted, metric, tolerance=0.05).curve
    moved = curve["value"].diff().abs().iloc[1:]
    removed = -curve["n_edges"].diff().iloc[1:]
    assert (removed > 0).all() and (moved <= 0.05 * removed + 1e-9).all()


def test_bad_questions_are_refused() -> None:
    m, (clean, corrupted) = model(), texts()
    with pytest.raises(InputError, match="above 0"):
        discover(m, clean, corrupted, metric, faithfulness=0.0)
    with pytest.raises(InputError, match="tolerance"):
        prune(m, clean, corrupted, metric, tolerance=1.0)
    with pytest.raises(InputError, match="nothing to keep"):
        discover(m, clean, corrupted, lambda logits: 0 * logits[:, -1, 0] + 1)
    last = clean.clone()
    last[:, -1] = (last[:, -1] + 1) % 30
    with pytest.raises(InputError, match="nothing to keep"):  # the change is behind the question
        prune(m, clean, last, Target.logit(3, position=0))
    other = discover(model(attn_only=True), clean, corrupted, metric)
    with pytest.raises(InputError, match="another"):
        prune(m, clean, corrupted, metric, start=other)


# -- a known circuit -----------------------------------------------------------------------------

PASSAGE, PAIRS = 14, 16


def induction_task(seed: int) -> tuple[Tensor, Tensor, Any]:
    """A passage of random tokens, twice; the same with another passage first; and the mean
    log-probability of the right tokens in the second passage, from its second on."""
    generator = torch.Generator().manual_seed(seed)
    lots = torch.rand(PAIRS, 63, generator=generator).argsort(1) + 1
    passage, other = lots[:, :PASSAGE], lots[:, PASSAGE : 2 * PASSAGE]
    start = torch.zeros(PAIRS, 1, dtype=torch.long)
    text = torch.cat([start, passage, passage], 1)

    def log_prob(logits: Tensor) -> Tensor:
        right = logits.log_softmax(-1).gather(-1, text[:, 1:, None])[..., 0]
        return right[:, PASSAGE + 1 :].mean(-1)

    return text[:, :-1], torch.cat([start, other, passage], 1)[:, :-1], log_prob


def known_heads(m: HookedTransformer, tokens: Tensor) -> tuple[str, str]:
    """The heads that attend most to the token before, and to what came after the present token
    the last time, by their patterns alone."""
    _, cache = m.run_with_cache(tokens, names_filter=lambda name: name.endswith("hook_pattern"))

    def best(layer: int, distance: int, first: int) -> str:
        pattern = cache["pattern", layer].diagonal(-distance, 2, 3)[..., first:]
        return f"L{layer}H{int(pattern.mean((0, 2)).argmax())}"

    return best(0, 1, 0), best(1, PASSAGE - 1, 1)


@pytest.mark.parametrize("seed", range(2))
def test_the_circuit_of_induction_is_found(seed: int) -> None:
    """Of 106 edges, the greedy one has 15 or so, of which two are not needed."""
    m, (clean, corrupted, log_prob) = interp.load("induction"), induction_task(seed)
    previous, induction = known_heads(m, clean)
    greedy = discover(m, clean, corrupted, log_prob)
    pruned = prune(m, clean, corrupted, log_prob, start=greedy, tolerance=0.02)
    for found, most in ((greedy, 0.16), (pruned, 0.15)):
        assert found.faithfulness >= 0.9 and found.share <= most
        assert {previous, induction} <= set(found.nodes)
        assert {
            ("embed", f"{previous}.v"),  # what the token before was
            (previous, f"{induction}.k"),  # is what is looked for
            ("embed", f"{induction}.v"),  # and what stands there
            (induction, "logits"),  # is said
        } <= set(found.edges)


def test_induction_is_lost_without_the_edges_to_its_keys() -> None:
    m, (clean, corrupted, log_prob) = interp.load("induction"), induction_task(0)
    previous, _ = known_heads(m, clean)
    graph = Graph.of(m)
    kept = graph.edges.clone()
    keys = [i for i, name in enumerate(graph.readers) if name.endswith(".k")]
    kept[keys, graph.writer(previous)] = False
    found = Subgraphs.read(
        Pairs.read(m, clean, corrupted, log_prob, graph.points), graph, "corrupted"
    )
    assert float(found.faithfulness(found.values(kept[None]))[0]) < 0.5
