"""Taps: the identity, scopes, recordings, functions on names, and several at once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from interp.errors import HookError, InputError
from interp.model.hook_points import HookPoint
from interp.model.tap import NO_TAP, Chain, Finished, Hooks, Record, Tap, chain
from tests.model.taps import Journal, Noise, Put, Same

X = torch.arange(6.0).view(1, 2, 3)
POINTS = {name: HookPoint(name, "batch pos d_model", "") for name in ("a", "blocks.0.a", "b")}


@pytest.mark.parametrize("tap", [NO_TAP, Tap(), NO_TAP.scope("x"), Tap().scope("x").scope("y")])
def test_the_base_is_the_identity(tap: Tap) -> None:
    assert tap("a", X) is X
    assert not tap.wants("a")
    assert not tap.edits("a")


def test_the_absent_tap_has_a_name_and_no_scopes() -> None:
    assert repr(NO_TAP) == "NO_TAP"
    assert NO_TAP.scope("blocks.0") is NO_TAP
    assert Tap().visit("a", X) is X


def test_a_scope_completes_names() -> None:
    record = Record(["blocks.0.attn.hook_q"])
    scoped = record.scope("blocks.0").scope("attn")
    assert scoped.wants("hook_q")
    assert not scoped.wants("hook_k")
    assert scoped("hook_q", X) is X
    assert scoped("hook_k", X) is X
    assert set(record.values) == {"blocks.0.attn.hook_q"}
    editor = Put({"blocks.0.a": X + 1}).scope("blocks").scope("0")
    assert editor.edits("a")
    assert torch.equal(editor("a", X), X + 1)


def test_a_record_keeps_its_names_detached() -> None:
    x = X.clone().requires_grad_()
    record = Record(["a"])
    assert record("a", x) is x
    assert record("b", x) is x
    assert not record.edits("a")
    assert set(record.values) == {"a"}
    assert not record.values["a"].requires_grad


def test_a_record_on_the_path_keeps_what_the_model_goes_on_with() -> None:
    x = X.clone().requires_grad_()
    record = Record(["a", "b"], on_path=True)
    assert record.edits("a")
    assert not record.edits("c")
    seen = record("a", x)
    assert seen is record.values["a"]
    other = record("b", x)  # the same tensor under a second name, used elsewhere
    out = (seen * 2 + other * 5 + x).sum()
    gradients = torch.autograd.grad(out, [seen, other, x])
    assert [float(g[0, 0, 0]) for g in gradients] == [2, 5, 8]


def test_a_record_on_the_path_begins_the_graph_where_nothing_else_does() -> None:
    record = Record(["a"], on_path=True)
    out = (record("a", X) * 2).sum()
    assert torch.equal(torch.autograd.grad(out, record.values["a"])[0], torch.full_like(X, 2))
    with torch.no_grad():
        assert not Record(["a"], on_path=True)("a", X).requires_grad


def test_a_record_stops_after_the_last_name_of_several() -> None:
    record = Record(["a", "b"], stop=True)
    record("c", X)
    record("b", X)
    with pytest.raises(Finished, match="has no result") as raised:
        record("a", X)
    assert raised.value.tap is record
    assert set(record.values) == {"a", "b"}


def test_a_record_keeps_what_it_is_told_to_keep_of_a_tensor() -> None:
    record = Record(["a"], keep=lambda name, value: value[:, :1])
    assert record("a", X) is X
    assert record.values["a"].shape == (1, 1, 3)


def test_hooks_run_in_order_and_each_sees_the_one_before() -> None:
    tap = Hooks(POINTS, {"a": [lambda x, hook: x + 1, lambda x, hook: x * 2]})
    assert torch.equal(tap("a", X), (X + 1) * 2)
    assert tap("b", X) is X
    assert tap.edits("a")
    assert not tap.edits("b")


def test_a_hook_is_told_where_it_is() -> None:
    seen: list[tuple[str, int]] = []
    Hooks(POINTS, {"blocks.0.a": [lambda x, hook: seen.append((hook.name, hook.layer()))]})(
        "blocks.0.a", X
    )
    assert seen == [("blocks.0.a", 0)]


def test_a_hook_may_write_into_its_tensor_and_harms_no_other() -> None:
    def write(x: Tensor, hook: HookPoint) -> None:
        x[:] = 7

    before = X.clone()
    assert torch.equal(Hooks(POINTS, {"a": [write]})("a", X), torch.full_like(X, 7))
    assert torch.equal(X, before)


def test_writing_and_gradients_go_together() -> None:
    x = X.clone().requires_grad_()

    def silence(value: Tensor, hook: HookPoint) -> None:
        value[:, 0] = 0

    out = Hooks(POINTS, {"a": [silence]})("a", x)
    assert torch.autograd.grad((out * 3).sum(), x)[0].tolist() == [[[0, 0, 0], [3, 3, 3]]]


@pytest.mark.parametrize("value", [torch.tensor(5.0), torch.ones(3), torch.ones(2, 1)])
def test_what_a_hook_returns_is_broadcast(value: Tensor) -> None:
    out = Hooks(POINTS, {"a": [lambda x, hook: value]})("a", X)
    assert torch.equal(out, value.expand(1, 2, 3))


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        (3.0, HookError, "a returned float; it must return a tensor or None"),
        ([1], HookError, "a returned list"),
        (torch.ones(4), InputError, r"returned shape \[4\]; the model goes on with \[1, 2, 3\]"),
        (torch.ones(2, 2, 3), InputError, r"\[2, 2, 3\]"),
    ],
)
def test_what_a_hook_must_not_return(returned: object, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        Hooks(POINTS, {"a": [lambda x, hook: returned]})("a", X)


def test_a_gradient_hook_watches_its_own_name_only() -> None:
    """Two names may share one tensor; each sees what flows back through itself."""
    x = X.clone().requires_grad_()
    seen: dict[str, float] = {}

    def see(gradient: Tensor, hook: HookPoint) -> None:
        seen[hook.name] = float(gradient[0, 0, 0])

    tap = Hooks(POINTS, backward={"a": [see], "b": [see]})
    (tap("a", x) * 2 + tap("b", x) * 5).sum().backward()
    assert seen == {"a": 2, "b": 5}


def test_gradient_hooks_run_in_order() -> None:
    x = X.clone().requires_grad_()
    tap = Hooks(POINTS, backward={"a": [lambda g, hook: g + 1, lambda g, hook: g * 10]})
    tap("a", x).sum().backward()
    assert x.grad is not None
    assert float(x.grad[0, 0, 0]) == (1 + 1) * 10


def test_a_chain_lets_each_see_what_the_ones_before_left() -> None:
    record = Record(["a"])
    tap = chain(Put({"a": X + 1}), record, Put({"a": X + 2}))
    assert torch.equal(tap("a", X), X + 2)
    assert torch.equal(record.values["a"], X + 1)
    assert tap.wants("a")
    assert tap.edits("a")
    assert not tap.wants("b")
    assert not chain(Record(["a"]), Journal()).edits("a")


def test_a_chain_of_nothing_is_nothing() -> None:
    tap = Same(["a"])
    assert chain() is NO_TAP
    assert chain(NO_TAP, NO_TAP) is NO_TAP
    assert chain(NO_TAP, tap) is tap
    assert isinstance(chain(tap, Noise("a")), Chain)
