"""The laws of edge attribution patching."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

import interp.explain.inside.edges
from interp import HookedTransformer, InputError, Target
from interp.explain import Baseline, attribute
from interp.explain.inside.attribution_patching import attribution_patching
from interp.explain.inside.edge_scores import agreement
from interp.explain.inside.edges import edge_attribution
from interp.explain.inside.exact_edges import exact_edges
from interp.explain.inside.graph import Graph
from interp.model.tap import Record
from tests.explain.inside.edge_models import GRAPHS, metric, model, texts


def by_hand(m: HookedTransformer, clean: Tensor, corrupted: Tensor) -> Tensor:
    """EAP with an input of its own for each head, and heads' outputs at full width."""
    g = Graph.of(m)
    outputs = {write.point.replace("hook_z", "hook_result") for write in g.writes}
    _, own = m.run_with_cache(clean, names_filter=list(outputs))
    _, other = m.run_with_cache(corrupted, names_filter=list(outputs))
    change = []
    for write in g.writes:
        name = write.point.replace("hook_z", "hook_result")
        difference = other[name] - own[name]
        change.append(difference if difference.ndim == 4 else difference[:, :, None])
    record = Record([read.point for read in g.reads], on_path=True)
    value = metric(m(clean, tap=record))
    slopes = torch.autograd.grad(value.sum(), [record.values[read.point] for read in g.reads])
    slopes = [slope if slope.ndim == 4 else slope[:, :, None] for slope in slopes]
    every = torch.einsum("bprd,bpwd->rw", torch.cat(slopes, 2), torch.cat(change, 2)) / len(clean)
    return torch.where(g.edges, every, 0.0).detach()


@pytest.mark.parametrize("name", GRAPHS)
def test_scores_are_change_times_gradient(name: str) -> None:
    m, (clean, corrupted) = model(**GRAPHS[name]), texts()
    found = edge_attribution(m, clean, corrupted, metric, method="eap")
    expected = by_hand(m, clean, corrupted)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(found.values, expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("ablation", ["corrupted", "mean"])
def test_what_the_embeddings_edges_carry_adds_up(name: str, ablation: Any) -> None:
    m, (clean, corrupted) = model(**GRAPHS[name]), texts(3)
    options: dict[str, Any] = {"ablation": ablation, "tolerance": 1e-6, "max_steps": 256}
    found = edge_attribution(m, clean, corrupted, metric, **options)
    error = found.completeness_error
    assert error is not None and error <= 1e-6
    if ablation == "corrupted":
        with torch.no_grad():
            change = metric(m(corrupted)) - metric(m(clean))
            end = float(metric(m(corrupted)).mean())
        carried = found.by_pair[:, :, : found.graph.n_embeddings].sum((1, 2))
        torch.testing.assert_close(carried, change, atol=1e-5 * float(change.abs().max()), rtol=0)
        assert found.reference_value == pytest.approx(end, abs=1e-10)


def test_the_embeddings_carry_what_integrated_gradients_gives_their_tokens() -> None:
    m, (clean, corrupted) = model(), texts(1)
    target = Target.logit(3)
    found = edge_attribution(m, clean, corrupted, target, tolerance=1e-7)
    tokens = attribute(m, clean, target=target, baseline=Baseline.text(corrupted), tolerance=1e-7)
    carried = float(found.values[:, found.graph.writer("embed")].sum())
    assert carried == pytest.approx(-sum(tokens.scores), rel=1e-5)


def test_an_error_that_stays_large_is_told() -> None:
    m, (clean, corrupted) = model(), texts()
    with pytest.warns(UserWarning, match="max_steps"):
        found = edge_attribution(m, clean, corrupted, metric, tolerance=1e-9, max_steps=1)
    assert found.completeness_error is not None and found.completeness_error > 1e-9
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        better = edge_attribution(m, clean, corrupted, metric)
    assert better.completeness_error is not None
    assert better.completeness_error < found.completeness_error


@pytest.mark.parametrize("method", ["eap", "eap_ig"])
def test_edges_to_linear_logits_are_exact(method: Any) -> None:
    m, (clean, corrupted) = model(final_norm=False), texts()
    estimate = edge_attribution(m, clean, corrupted, Target.logit(3), method=method)
    exact = exact_edges(m, clean, corrupted, Target.logit(3))
    torch.testing.assert_close(estimate.values[-1], exact.values[-1], atol=1e-10, rtol=0)
    assert (estimate.values[:-1] - exact.values[:-1]).abs().max() > 1e-3


def nearly_alike(eps: float) -> tuple[HookedTransformer, Tensor, Tensor]:
    """Texts whose tokens have embeddings that lie `eps` apart."""
    m, (clean, _) = model(), texts()
    clean = clean % 15
    with torch.no_grad():
        m.embed.weight[15:] = m.embed.weight[:15] + eps * m.embed.weight[15:]
    return m, clean, clean + 15


@pytest.mark.parametrize("name", ["edges", "nodes"])
def test_the_estimate_is_the_slope(name: str) -> None:
    """Of a difference of size eps, its error is of the order of eps squared."""
    errors = []
    for eps in (1e-2, 1e-3):
        m, clean, corrupted = nearly_alike(eps)
        estimate = edge_attribution(m, clean, corrupted, metric, method="eap").values
        exact = exact_edges(m, clean, corrupted, metric).values
        if name == "nodes":  # all edges of a node at once
            estimate, exact = estimate.sum(0), node_by_node(m, clean, corrupted)
        errors.append(float((estimate - exact).norm() / exact.norm()))
    assert errors[0] < 0.2
    assert 5 < errors[0] / errors[1] < 20


def node_by_node(m: HookedTransformer, clean: Tensor, corrupted: Tensor) -> Tensor:
    """Exact noising patch of each writer, [writer]."""
    g, effects = Graph.of(m), []
    with torch.no_grad():
        value = metric(m(clean)).mean()
        for write in g.writes:
            _, cache = m.run_with_cache(corrupted, names_filter=write.point)
            for i in range(len(write.nodes)):

                def put(
                    x: Tensor, hook: Any, i: int = i, other: Tensor = cache[write.point]
                ) -> Tensor:
                    if x.ndim == 3:
                        return other
                    x[:, :, i] = other[:, :, i]
                    return x

                out = m.run_with_hooks(clean, fwd_hooks=[(write.point, put)])
                effects.append(metric(out).mean() - value)
    return torch.stack(effects)


@pytest.mark.parametrize("rules", [None, "gim", "cp_lrp", "attn_lrp"])
@pytest.mark.parametrize("name", ["decoder", "grouped", "parallel", "classifier"])
def test_the_edges_of_a_node_add_up_to_the_node(name: str, rules: str | None) -> None:
    """Of heads and feed-forward layers; with true gradients and under rules."""
    m, (clean, corrupted) = model(**GRAPHS[name]), texts()
    found = edge_attribution(m, clean, corrupted, metric, method="eap", rules=rules)
    by_node = found.values.sum(0)
    for kind, part in (("z", "head"), ("mlp_out", "mlp")):
        by = "head" if kind == "z" else ()
        nodes = attribution_patching(m, clean, corrupted, kind, metric, by=by, rules=rules).values
        expected = torch.cat([by_node[w.nodes] for w in found.graph.writes if w.part == part])
        assert expected.abs().max() > 1e-4
        torch.testing.assert_close(nodes.flatten(), expected, atol=1e-10, rtol=0)


def test_rules_change_what_edges_carry() -> None:
    m, (clean, corrupted) = model(), texts()
    plain = edge_attribution(m, clean, corrupted, metric, method="eap")
    gim = edge_attribution(m, clean, corrupted, metric, method="eap", rules="gim")
    stopped = edge_attribution(m, clean, corrupted, metric, method="eap", rules="cp_lrp")
    assert (plain.values - gim.values).abs().max() > 1e-3
    assert gim.method == "eap under gim" and gim.completeness_error is None
    for read in plain.graph.reads:  # a stopped softmax lets nothing through to queries and keys
        zero = read.channel in ("q", "k")
        assert bool((stopped.values[read.readers] == 0).all()) == zero


def test_pairs_are_scored_one_by_one_too() -> None:
    m, (clean, corrupted) = model(), texts(3)
    for method in ("eap", "eap_ig"):
        options: dict[str, Any] = {"method": method, "tolerance": 0.99}
        together = edge_attribution(m, clean, corrupted, Target.logit(3), **options)
        alone = [
            edge_attribution(m, clean[i], corrupted[i], Target.logit(3), **options).values
            for i in range(3)
        ]
        torch.testing.assert_close(together.by_pair, torch.stack(alone), atol=1e-10, rtol=0)
    frame = together.to_frame()
    assert len(frame) == together.graph.n_edges
    top = frame.iloc[0]
    assert together.of(top["writer"], top["reader"]) == pytest.approx(top["value"])
    assert frame["value"].abs().is_monotonic_decreasing and (frame["n"] == 3).all()
    assert ((frame["ci_low"] <= frame["value"]) & (frame["value"] <= frame["ci_high"])).all()


def test_forwards_in_several_parts_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    m, (clean, corrupted) = model(), texts()
    whole = edge_attribution(m, clean, corrupted, metric)
    monkeypatch.setattr(interp.explain.inside.edges, "TOKENS", 20)
    parts = edge_attribution(m, clean, corrupted, metric)
    torch.testing.assert_close(whole.values, parts.values, atol=1e-12, rtol=0)


def test_a_target_is_that_of_each_clean_run() -> None:
    """Without a token, each pair is asked about the model's own prediction for it."""
    m, (clean, corrupted) = model(initializer_range=0.6), texts(6)
    with torch.no_grad():
        predicted = m(clean)[:, -1].argmax(-1)
    assert len(set(predicted.tolist())) > 1
    found = edge_attribution(m, clean, corrupted, method="eap")
    rows = torch.arange(6)
    same = edge_attribution(
        m, clean, corrupted, lambda logits: logits[rows, -1, predicted], method="eap"
    )
    torch.testing.assert_close(found.by_pair, same.by_pair, atol=1e-12, rtol=0)


def test_agreement_is_the_rank_correlation() -> None:
    m, (clean, corrupted) = model(), texts(4)
    eap = edge_attribution(m, clean, corrupted, metric, method="eap")
    ig = edge_attribution(m, clean, corrupted, metric)
    exact = exact_edges(m, clean, corrupted, metric)
    assert agreement(exact, exact).value == pytest.approx(1.0)
    for line in (agreement(eap, exact), agreement(ig, exact)):
        assert 0.3 < line.value < 1 and line.ci_low < line.value < line.ci_high
    from scipy.stats import spearmanr

    moved = exact.graph.edges & (torch.arange(len(exact.graph.writers)) != 1)  # not positions
    expected = spearmanr(eap.values[moved], exact.values[moved]).statistic
    assert agreement(eap, exact).value == pytest.approx(expected, abs=1e-12)
    assert agreement(eap, exact).n == int(moved.sum())


def test_no_weight_gets_a_gradient_and_nothing_stays() -> None:
    m, (clean, corrupted) = model(), texts()
    before = m(clean)
    with torch.inference_mode():
        edge_attribution(m, clean, corrupted, metric, rules="gim")
    assert all(p.grad is None for p in m.parameters())
    assert torch.equal(m(clean), before)


def test_bad_input_is_refused() -> None:
    m, (clean, corrupted) = model(), texts()
    for call, why in (
        (lambda: edge_attribution(m, clean, corrupted[:, 1:], metric), "as many tokens"),
        (lambda: edge_attribution(m, clean, clean, metric), "the same"),
        (lambda: edge_attribution(m, clean[None], corrupted, metric), r"\[pair, pos\]"),
        (lambda: edge_attribution(m, clean, corrupted, method="ig"), "no method 'ig'"),  # type: ignore[arg-type]
        (lambda: edge_attribution(m, clean, corrupted, rules="lrp"), "no rules"),
        (lambda: edge_attribution(m, clean, corrupted, ablation="zero"), "ablation"),  # type: ignore[arg-type]
        (lambda: edge_attribution(m, clean, corrupted, max_steps=0), "max_steps"),
        (lambda: edge_attribution(m, clean, corrupted, tolerance=0.0), "tolerance"),
        (lambda: edge_attribution(m, clean, corrupted, lambda x: x.detach()[:, 0, 0]), "gradient"),
        (lambda: edge_attribution(m, clean, corrupted, lambda x: x[0, 0]), "one number"),
    ):
        with pytest.raises(InputError, match=why):
            call()
    with (
        m.hooks([("hook_embed", lambda value, hook: None)]),
        pytest.raises(InputError, match="Hooks"),
    ):
        edge_attribution(m, clean, corrupted)
    dropping = model(dropout=0.1).train()
    with pytest.raises(InputError, match="training mode"):
        edge_attribution(dropping, clean, corrupted)
    with pytest.raises(InputError, match="written after"):
        edge_attribution(m, clean, corrupted, method="eap").of("L1H0", "L0H0.q")
