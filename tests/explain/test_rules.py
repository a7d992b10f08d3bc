"""Backward rules: the forward untouched, relevance kept at every cut, and explicit LRP equalled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from interp import HookedTransformer, InputError, TransformerConfig
from interp.errors import UnsupportedModelError
from interp.explain import Baseline, Target
from interp.explain.methods.relevance import attn_lrp, cp_lrp
from interp.explain.points import Point
from interp.explain.rules import RULES, TEMPERATURE, BackwardRules, Rules, backward_rules, slope
from interp.model.hook_points import HookPoint
from interp.model.mlp import ACTIVATIONS
from interp.model.tap import Record, chain
from tests.model.configurations import CONFIGURATIONS, EVERY, build, example, shared_model

EACH_RULE = pytest.mark.parametrize("rule", RULES)
PLAIN = Rules("exact", "half", slopes=False)


@EVERY
@EACH_RULE
def test_the_forward_keeps_every_bit(name: str, rule: str) -> None:
    """Compared with a forward whose kernels are opened at the same points."""
    model = shared_model(name)
    inputs, tap = example(model.cfg), backward_rules(model, rule)
    points = [point for point in model.hook_points if tap.wants(point)]
    same = [(points, lambda value, hook: None)]
    opened, ruled = Record(list(model.hook_points)), Record(list(model.hook_points))
    expected = model.run_with_hooks(**inputs, fwd_hooks=same, tap=opened)
    assert torch.equal(model(**inputs, tap=chain(tap, ruled)), expected)
    for point, value in ruled.values.items():
        assert torch.equal(value, opened.values[point]), point


class Unruled(BackwardRules):
    """Every rule off: products whole, norms open."""

    def visit(self, name: str, value: Tensor) -> Tensor:
        kept = super().visit(name, value)
        leaf = name.rpartition(".")[2]
        if leaf in ("hook_scale", "hook_attn_scores", "hook_z"):
            return value
        return kept if leaf != "hook_post" or not self.model.cfg.gated_mlp else value


def embedding_gradient(model: HookedTransformer, tap: Any, inputs: dict[str, Tensor]) -> Tensor:
    record = Record(["hook_embed"], on_path=True)
    with torch.enable_grad():
        out = model(**inputs, tap=chain(record, tap))
        (gradient,) = torch.autograd.grad(out.square().sum(), record.values["hook_embed"])
    return gradient


@EVERY
def test_without_rules_the_gradient_is_plain(name: str) -> None:
    model = shared_model(name, torch.float64)
    inputs = example(model.cfg)
    found = embedding_gradient(model, Unruled(model, PLAIN), inputs)
    plain = embedding_gradient(model, Record([]), inputs)
    torch.testing.assert_close(found, plain, atol=1e-10, rtol=1e-8)
    for rule in RULES:
        changed = embedding_gradient(model, backward_rules(model, rule), inputs)
        assert not torch.allclose(changed, plain, atol=1e-4)


def relevance_by_cut(name: str, rule: str) -> tuple[dict[str, float], float]:
    """The relevance at the embeddings (of both sides, with positions and segments) and at every
    later cut through a model of one stack, with what biases and softmaxes take behind the cut; and
    the target, which is linear in the logits."""
    model = build(name, dtype=torch.float64)
    inputs, stack = example(model.cfg, batch=1), model.stack(model.last_stack)
    n_layers = len(stack.blocks)
    points = [p for p in model.hook_points if p.endswith(("embed", "scores", "pattern"))]
    points = [p for p in points if not p.endswith("full_embed")]
    cuts = (
        [] if stack.name == "decoder" else [f"blocks.{i}.hook_resid_pre" for i in range(n_layers)]
    )
    record = Record([*points, *cuts], on_path=True)
    out = model(**inputs, tap=chain(backward_rules(model, rule), record))
    weights = torch.randn(
        out.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3)
    )
    target = (out * weights).sum()
    biases = {n: p for n, p in model.named_parameters() if p.ndim == 1 and n.endswith("bias")}
    tables = {n: p for n, p in model.named_parameters() if n.startswith("relative_bias")}
    values = record.values | biases | tables
    gradients = torch.autograd.grad(target, list(values.values()), allow_unused=True)
    shares = {
        n: 0.0 if slope is None else (value * slope).nan_to_num(0, 0, 0).sum().item()
        for (n, value), slope in zip(values.items(), gradients, strict=True)
    }
    taken = {n: shares[n] for n in biases}
    if RULES[rule].softmax == "exact":
        # A bias of the scores is no product, so the half that products lose is its own.
        taken |= {n: 2 * shares[n] for n in tables}
        for point in points:
            if point.endswith("pattern"):
                scores = point.replace("hook_pattern", "hook_attn_scores")
                taken[point] = shares[point] - shares[scores]

    def behind(layer: int) -> float:
        def of(name: str) -> int:
            parts = name.split(".")
            if parts[0] in ("input", "relative_bias"):
                return -1
            return int(parts[1]) if parts[0] == "blocks" else n_layers

        return sum(share for n, share in taken.items() if of(n) >= layer)

    found = {c: shares[c] + behind(i) for i, c in enumerate(cuts) if not tables}
    embeddings = sum(shares[point] for point in points if point.endswith("embed"))
    return found | {"embeddings": embeddings + sum(taken.values())}, target.item()


# ALiBi's biases are no parameters, of which the sum could be taken here.
@pytest.mark.parametrize("name", [name for name in CONFIGURATIONS if "alibi" not in name])
@pytest.mark.parametrize("rule", ["cp_lrp", "attn_lrp", "frozen"])
def test_relevance_is_the_same_at_every_cut(name: str, rule: str) -> None:
    found, target = relevance_by_cut(name, rule)
    assert list(found.values()) == pytest.approx([target] * len(found), rel=1e-8, abs=1e-8)


def test_the_laws_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Relevance is not kept by gradients without rules, nor by halves of what is no product."""
    for wrong in (PLAIN, replace(RULES["attn_lrp"], slopes=False)):
        monkeypatch.setitem(RULES, "attn_lrp", wrong)
        found, target = relevance_by_cut("decoder", "attn_lrp")
        assert abs(found["embeddings"] - target) > 1e-2


# -- explicit LRP ------------------------------------------------------------------------------

TOY = TransformerConfig(
    d_model=6,
    n_layers=1,
    n_heads=2,
    d_vocab=9,
    n_ctx=5,
    d_mlp=7,
    act_fn="relu",
    normalization_type="RMS",
    positional_embedding_type="none",
    initializer_range=0.7,
    qkv_bias=False,
    attn_out_bias=False,
    mlp_bias=False,
    dtype=torch.float64,
)
EPSILON = 1e-13


def through(weights: Tensor, inputs: Tensor, relevance: Tensor) -> Tensor:
    """Epsilon-LRP of outputs = inputs @ weights: [..., out] -> [..., in]."""
    parts = inputs[..., :, None] * weights
    total = parts.sum(-2, keepdim=True)
    return (parts / (total + EPSILON * total.sign()) * relevance[..., None, :]).sum(-1)


@pytest.mark.parametrize("rule", ["cp_lrp", "attn_lrp"])
def test_it_is_explicit_epsilon_lrp(rule: str) -> None:
    """Relevance passed down part by part, each by the formula of its paper."""
    model = build(TOY)
    ids = torch.tensor([[3, 1, 4, 1]])
    _, cache = model.run_with_cache(ids)
    block = model.blocks[0]

    def at(name: str) -> Tensor:
        return cache[f"blocks.0.{name}"][0]

    # the logit of token 5 at the last position
    relevance = torch.zeros(4, 9, dtype=torch.float64)
    relevance[-1, 5] = model(ids)[0, -1, 5].item()
    final = cache["ln_final.hook_normalized"][0] * model.ln_final.w
    resid_post = through(model.W_U, final, relevance)  # a norm hands on what it gets

    def split(a: Tensor, b: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        total = a + b
        r = r / (total + EPSILON * total.sign())
        return a * r, b * r

    mid, mlp_out = split(at("hook_resid_mid"), at("hook_mlp_out"), resid_post)
    post = through(block.mlp.W_out, at("mlp.hook_post"), mlp_out)  # as does an activation
    normed = at("ln2.hook_normalized") * block.ln2.w
    mid = mid + through(block.mlp.W_in, normed, post)
    pre, attn_out = split(at("hook_resid_pre"), at("hook_attn_out"), mid)
    normed = at("ln1.hook_normalized") * block.ln1.w
    result = at("attn.hook_z").flatten(-2)
    z = through(block.attn.W_O.flatten(0, 1), result, attn_out).view(4, 2, 3)
    pattern, v = at("attn.hook_pattern"), at("attn.hook_v")
    parts = torch.einsum("hqk,khd->hqkd", pattern, v)
    sums = at("attn.hook_z").transpose(0, 1)[:, :, None]
    shares = parts / (sums + EPSILON * sums.sign()) * z.transpose(0, 1)[:, :, None]
    to_v = shares.sum(1).transpose(0, 1)
    if rule == "attn_lrp":
        to_v = to_v / 2
        to_pattern = shares.sum(-1) / 2
        scores = at("attn.hook_attn_scores").masked_fill(pattern == 0, 0)
        # Proposition 3.1 of AttnLRP: x_i (R_i - s_i sum of R)
        to_scores = scores * (to_pattern - pattern * to_pattern.sum(-1, keepdim=True))
        q, k = at("attn.hook_q"), at("attn.hook_k")
        products = torch.einsum("qhd,khd->hqkd", q, k)
        total = products.sum(-1, keepdim=True)
        halves = products / (total + EPSILON * total.sign()) * to_scores[..., None] / 2
        to_q, to_k = halves.sum(2).transpose(0, 1), halves.sum(1).transpose(0, 1)
        for head in range(2):
            pre = pre + through(block.attn.W_Q[head], normed, to_q[:, head])
            pre = pre + through(block.attn.W_K[head], normed, to_k[:, head])
    for head in range(2):
        pre = pre + through(block.attn.W_V[head], normed, to_v[:, head])

    method = {"cp_lrp": cp_lrp, "attn_lrp": attn_lrp}[rule]
    point = Point.read(model, ids, Target.logit(5), Baseline.mean(), {})
    torch.testing.assert_close(method(point).scores, pre.sum(-1), atol=1e-8, rtol=1e-8)


def test_the_softmax_of_gim_has_the_gradient_of_a_softer_one() -> None:
    """Written out for one row of scores, apart from the halves of products."""
    model = shared_model("decoder-attn-only", torch.float64)
    before = Record(["blocks.0.attn.hook_attn_scores"], on_path=True)
    after = Record(["blocks.0.attn.hook_pattern"], on_path=True)
    out = model(**example(model.cfg), tap=chain(before, backward_rules(model, "gim"), after))
    (scores,), (pattern,) = before.values.values(), after.values.values()
    to_scores, to_pattern = torch.autograd.grad(out.square().sum(), [scores, pattern])
    soft = torch.softmax(scores.detach() / TEMPERATURE, -1)
    expected = soft * (to_pattern - (soft * to_pattern).sum(-1, keepdim=True))
    torch.testing.assert_close(2 * to_scores, expected, atol=1e-10, rtol=1e-10)


def test_gim_divides_by_four_four_and_two() -> None:
    """At queries, keys and values, beside the other rules alone."""

    class Whole(BackwardRules):
        def visit(self, name: str, value: Tensor) -> Tensor:
            leaf = name.rpartition(".")[2]
            if leaf == "hook_attn_scores":
                return self._hold(name, value)
            return value if leaf == "hook_z" else super().visit(name, value)

    model = build("decoder-attn-only", dtype=torch.float64, n_layers=1)
    inputs, names = example(model.cfg), [f"blocks.0.attn.hook_{x}" for x in "qkv"]

    def slopes(tap: Any) -> tuple[Tensor, ...]:
        record = Record(names, on_path=True)
        out = model(**inputs, tap=chain(record, tap))
        return torch.autograd.grad(out.square().sum(), list(record.values.values()))

    for halved, whole, factor in zip(
        slopes(backward_rules(model, "gim")),
        slopes(Whole(model, RULES["gim"])),
        (4, 4, 2),
        strict=True,
    ):
        torch.testing.assert_close(halved * factor, whole, atol=1e-10, rtol=1e-10)


def test_the_slope_at_nothing_is_its_limit() -> None:
    x = torch.tensor([-1e-7, 0.0, 1e-7], dtype=torch.float64)
    for act, limit in (("gelu", 0.5), ("gelu_new", 0.5), ("silu", 0.5), ("tanh", 1.0)):
        found = slope(ACTIVATIONS[act], x)
        assert found.tolist() == pytest.approx([limit] * 3, abs=1e-6)
    assert slope(ACTIVATIONS["relu"], x).tolist() == [0, 0, 1]


# -- refusals ------------------------------------------------------------------------------------


def test_a_part_without_a_rule_is_refused() -> None:
    model = build("decoder")
    point = HookPoint("blocks.0.mlp.hook_router", "batch pos expert", "who computes")
    model.hook_points[point.name] = point
    with pytest.raises(UnsupportedModelError, match="hook_router"):
        backward_rules(model, "gim")


def test_other_rules_and_models_are_refused() -> None:
    with pytest.raises(InputError, match="cp_lrp"):
        backward_rules(shared_model("decoder"), "deep_lift")
    with pytest.raises(UnsupportedModelError, match="HookedTransformer"):
        backward_rules(torch.nn.Linear(2, 2), "cp_lrp")
