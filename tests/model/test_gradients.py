"""Gradients with respect to activations: those of calculus, at every point."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from interp.errors import HookError, InputError
from interp.model.hook_points import HookPoint
from interp.model.tap import Record
from interp.model.transformer import HookedTransformer
from tests.model.configurations import EACH_KIND, EVERY, build, example, one_of_each, shared_model
from tests.model.taps import Put

_SPLIT = ("hook_attn_in", "hook_q_input", "hook_k_input", "hook_v_input")


def number(out: Tensor) -> Tensor:
    """One smooth number of the output, to which every logit contributes differently."""
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(3))
    return (weights.to(out.dtype) * out).sum()


def on_path(model: HookedTransformer, names: list[str]) -> dict[str, Tensor]:
    """Gradients of `number` with respect to the recorded tensors, by autograd."""
    record = Record(names, on_path=True)
    out = number(model(**example(model.cfg), tap=record))
    return dict(
        zip(names, torch.autograd.grad(out, [record.values[n] for n in names]), strict=True)
    )


@EACH_KIND
@pytest.mark.parametrize("frozen", [True, False])
def test_a_recorded_tensor_has_the_gradient_of_finite_differences(name: str, frozen: bool) -> None:
    model = shared_model(name, torch.float64) if frozen else build(name, dtype=torch.float64)
    inputs = example(model.cfg)
    record = Record(model.hook_points)
    with torch.no_grad():
        model(**inputs, tap=record)
    together = on_path(model, [p for p in model.hook_points if not p.endswith(_SPLIT)])
    points = one_of_each(model) if frozen else ["hook_embed", *list(model.hook_points)[-4:]]
    for point in points:
        value, gradient = record.values[point], on_path(model, [point])[point]
        assert gradient.isfinite().all(), point
        if point in together:
            assert torch.allclose(gradient, together[point], atol=1e-12), point
        generator = torch.Generator().manual_seed(7)
        direction = torch.randn(value.shape, generator=generator, dtype=value.dtype)
        step = 1e-5
        with torch.no_grad():
            ahead, behind = (
                number(model(**inputs, tap=Put({point: value + sign * step * direction})))
                for sign in (1, -1)
            )
        numeric = (ahead - behind) / (2 * step)
        analytic = (gradient * direction).sum()
        assert torch.allclose(analytic, numeric, rtol=1e-5, atol=1e-6), point


@EVERY
def test_a_gradient_hook_sees_the_gradient_of_autograd(name: str) -> None:
    model = build(name)
    names = [p for p in model.hook_points if not p.endswith(_SPLIT)]
    seen: dict[str, Tensor] = {}

    def see(gradient: Tensor, hook: HookPoint) -> None:
        assert hook.name not in seen
        seen[hook.name] = gradient.clone()

    out = model.run_with_hooks(**example(model.cfg), bwd_hooks=[(lambda n: n in names, see)])
    number(out).backward()
    expected = on_path(model, names)
    assert set(seen) == set(names)
    for point in names:
        assert torch.allclose(seen[point], expected[point], atol=1e-5), point


@EACH_KIND
def test_a_watched_forward_is_the_forward(name: str) -> None:
    model = build(name)
    inputs = example(model.cfg)
    streams = [(lambda n: n.endswith(("resid_pre", "_out", "hook_z")), lambda g, hook: None)]
    watched = model.run_with_hooks(**inputs, bwd_hooks=streams)
    assert torch.equal(watched, model(**inputs))


@pytest.mark.parametrize("form", [lambda g: 3 * g, lambda g: (3 * g,)])
def test_a_returned_gradient_replaces_what_flows_on(form: object) -> None:
    model = build("decoder", dtype=torch.float64)
    tokens = example(model.cfg)["tokens"]

    def gradients(hooked: bool) -> dict[str, Tensor]:
        model.zero_grad()
        hooks = [("blocks.1.hook_resid_pre", lambda g, hook: form(g))] if hooked else []
        number(model.run_with_hooks(tokens, bwd_hooks=hooks)).backward()
        return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}

    plain, hooked = gradients(False), gradients(True)
    for parameter, gradient in plain.items():
        before = parameter.startswith(("embed", "input", "blocks.0"))
        factor = 3 if before else 1
        assert torch.allclose(hooked[parameter], factor * gradient, atol=1e-10), parameter


def test_gradients_of_a_forward_hook_are_those_of_the_edited_run() -> None:
    """Both hooks on one point: the gradient is with respect to the value that the edit leaves."""
    model = build("decoder", dtype=torch.float64)
    tokens = example(model.cfg)["tokens"]
    point = "blocks.1.hook_resid_pre"
    seen: list[Tensor] = []
    out = model.run_with_hooks(
        tokens,
        fwd_hooks=[(point, lambda value, hook: value * 2)],
        bwd_hooks=[(point, lambda gradient, hook: seen.append(gradient.clone()))],
    )
    number(out).backward()
    value = model.run_with_cache(tokens, names_filter=point)[1][point] * 2
    value.requires_grad_()
    number(model(tokens, tap=Put({point: value}))).backward()
    assert torch.allclose(seen[0], value.grad, atol=1e-12)


@pytest.mark.parametrize("name", ["decoder", "decoder-parallel", "decoder-post-norm", "pair-t5"])
@pytest.mark.parametrize("frozen", [True, False])
def test_a_cache_with_gradients_equals_autograd(name: str, frozen: bool) -> None:
    model = shared_model(name) if frozen else build(name)
    inputs = example(model.cfg)
    loss, cache = model.run_with_cache(**inputs, return_type="loss", incl_bwd=True)
    assert torch.allclose(loss, model(**inputs, return_type="loss"), atol=2e-5)
    names = [p for p, point in model.hook_points.items() if point.fires == "always"]
    assert set(cache) == {*names, *(f"{p}_grad" for p in names)}
    record = Record(names, on_path=True)
    loss = model(**inputs, return_type="loss", tap=record)
    gradients = torch.autograd.grad(loss, [record.values[p] for p in names])
    for point, gradient in zip(names, gradients, strict=True):
        assert cache[f"{point}_grad"].isfinite().all(), point
        assert torch.equal(cache[f"{point}_grad"], gradient), point
        assert cache[point].shape == gradient.shape
        assert not cache[point].requires_grad
    stream = [p for p in names if p.endswith("hook_resid_pre") and p.startswith(model.last_stack)]
    for before, after in pairwise(stream):  # what flows back accumulates
        assert not torch.equal(cache[f"{before}_grad"], cache[f"{after}_grad"])


def test_the_layer_and_the_stream_it_reads_have_different_gradients() -> None:
    """`hook_mlp_in` carries what flows back through the layer, `hook_resid_mid` also the rest."""
    model = build("decoder", dtype=torch.float64)
    inputs = example(model.cfg)
    _, cache = model.run_with_cache(**inputs, return_type="loss", incl_bwd=True)
    for block in ("blocks.0.", "blocks.1."):
        layer, mid, post = (
            cache[f"{block}{point}_grad"]
            for point in ("hook_mlp_in", "hook_resid_mid", "hook_resid_post")
        )
        assert torch.allclose(mid, layer + post, atol=1e-12)


def test_a_filtered_cache_with_gradients() -> None:
    model = build("decoder")
    tokens = example(model.cfg)["tokens"]
    loss, cache = model.run_with_cache(
        tokens,
        names_filter="blocks.1.attn.hook_pattern",
        return_type="loss",
        incl_bwd=True,
        pos_slice=slice(2, 4),
    )
    assert loss.ndim == 0
    assert list(cache) == ["blocks.1.attn.hook_pattern", "blocks.1.attn.hook_pattern_grad"]
    assert cache["blocks.1.attn.hook_pattern_grad"].shape == (2, 4, 2, 7)
    full = on_path_of_loss(model, tokens, "blocks.1.attn.hook_pattern")
    assert torch.equal(cache["blocks.1.attn.hook_pattern_grad"], full[:, :, 2:4])


def on_path_of_loss(model: HookedTransformer, tokens: Tensor, point: str) -> Tensor:
    record = Record([point], on_path=True)
    loss = model(tokens, return_type="loss", tap=record)
    return torch.autograd.grad(loss, record.values[point])[0]


def test_what_comes_after_the_loss_has_no_gradient() -> None:
    """The last position predicts nothing: no gradient reaches what only it is made of."""
    model = build("decoder")
    tokens = example(model.cfg)["tokens"]
    _, cache = model.run_with_cache(tokens, return_type="loss", incl_bwd=True)
    gradient = cache["blocks.2.hook_resid_post_grad"]
    assert gradient[:, :-1].abs().min() > 0
    assert not gradient[:, -1].any()


def test_gradients_need_one_number() -> None:
    model = build("decoder")
    with pytest.raises(InputError, match='return_type="loss"'):
        model.run_with_cache(example(model.cfg)["tokens"], incl_bwd=True)


def test_gradient_hooks_refuse_a_forward_without_gradients() -> None:
    model = build("decoder")
    hooks = [("blocks.0.hook_resid_pre", lambda gradient, hook: None)]
    with torch.no_grad(), pytest.raises(HookError, match="no_grad"):
        model.run_with_hooks(example(model.cfg)["tokens"], bwd_hooks=hooks)


def test_a_gradient_of_another_kind_is_refused() -> None:
    model = build("decoder")
    tokens = example(model.cfg)["tokens"]
    for wrong, error in (
        (lambda g, hook: 3, HookError),
        (lambda g, hook: g[:1, :1, :5], InputError),
    ):
        out = model.run_with_hooks(tokens, bwd_hooks=[("blocks.0.hook_resid_pre", wrong)])
        with pytest.raises(error, match=r"blocks\.0\.hook_resid_pre \(gradient\)"):
            out.sum().backward()
