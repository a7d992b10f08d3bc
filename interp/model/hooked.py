"""Observing and editing a model: caches, hooks and resumed forwards."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch import Tensor

from interp.errors import InputError
from interp.model.ambient import UNCOMPILED, ambient_tap, within
from interp.model.cache import ActivationCache, Deliver, PosSlice, delivery
from interp.model.core import Transformer
from interp.model.hook_points import HookPoint, NamesFilter, by_name, select
from interp.model.inputs import read_inputs
from interp.model.partial import computed_points
from interp.model.replay import Replay
from interp.model.resume import resume
from interp.model.stack import Trace
from interp.model.tap import NO_TAP, Finished, HookFunction, Hooks, Record, Tap, chain

HookList = Iterable[tuple[NamesFilter, HookFunction]]


class Hooked(Transformer):
    """The part of a model that opens it. See `interp.model.tap` for how a forward is observed."""

    def run_with_cache(
        self,
        *args: Any,
        names_filter: NamesFilter = None,
        return_type: str | None = "default",
        incl_bwd: bool = False,
        pos_slice: PosSlice = None,
        device: torch.device | str | None = None,
        remove_batch_dim: bool = False,
        return_cache_object: bool = True,
        tap: Tap = NO_TAP,
        **inputs: Any,
    ) -> tuple[Any, Any]:
        """A forward pass, and the activations in it by name.

        Without a filter the cache costs no more than the forward: it keeps the stream between
        blocks and recomputes a block when one of its activations is read. With a filter, the
        forward keeps those activations and ends after the last of them; then there are no logits,
        and the first result is None unless `return_type` asks for one.

        Args:
            *args, **inputs: as for `forward`.
            names_filter: a hook point's name or short name, several, or a predicate over names.
            return_type: as for `forward`; by default `logits`, or None with a filter.
            incl_bwd: also keep gradients, as `NAME_grad`, of the scalar that the forward returns
                (`return_type="loss"`).
            pos_slice: keep these positions only.
            device: where to hand activations out.
            remove_batch_dim: drop the batch dimension of a batch of one.
            return_cache_object: False for a plain dict.
            tap: edits in this forward; the cache then shows the edited run.

        Returns:
            What `forward` returns, and the `ActivationCache`.

        Raises:
            HookError: an unknown name, or one of a layer that `start_at_layer` or `stop_at_layer`
                leaves out. InputError: see `forward`.
        """
        if return_type == "default":
            return_type = "logits" if names_filter is None else None
        call = {"return_type": return_type, **inputs}
        deliver = delivery(self.hook_points, pos_slice, device)
        edited = ambient_tap(self, tap) is not NO_TAP
        random = self.training and self.cfg.dropout > 0
        if incl_bwd:
            out, cache = _record_with_gradients(self, names_filter, tap, args, call, deliver)
        elif names_filter is None and not (edited or random or _PARTIAL & inputs.keys()):
            out, cache = _record_for_replay(self, *args, deliver=deliver, **call)
        else:
            out, cache = _record(self, names_filter, tap, args, call, deliver)
        if remove_batch_dim:
            cache.remove_batch_dim()
        return out, cache if return_cache_object else dict(cache)

    def run_with_hooks(
        self,
        *args: Any,
        fwd_hooks: HookList = (),
        bwd_hooks: HookList = (),
        tap: Tap = NO_TAP,
        reset_hooks_end: bool = True,
        clear_contexts: bool = False,
        **inputs: Any,
    ) -> Any:
        """A forward pass with functions on named activations.

        Args:
            fwd_hooks: pairs of a name (or short name, or predicate) and a function
                `f(tensor, hook=HookPoint)` that returns the new value, or None.
            bwd_hooks: the same for gradients; they run when the result is back-propagated.
            reset_hooks_end, clear_contexts: accepted for TransformerLens's callers; hooks here
                never outlive the call.
        """
        hooks = self.hooks_tap(fwd_hooks, bwd_hooks)
        return self(*args, tap=chain(hooks, tap), **inputs)

    @contextmanager
    def hooks(
        self,
        fwd_hooks: HookList = (),
        bwd_hooks: HookList = (),
        reset_hooks_end: bool = True,
        clear_contexts: bool = False,
    ) -> Generator[Self, None, None]:
        """All forwards of this model inside the context, in this thread, run with these hooks.

        A compiled model runs uncompiled meanwhile, so that no hook is lost.
        """
        tap = self.hooks_tap(fwd_hooks, bwd_hooks)
        with within(self, tap), UNCOMPILED:
            yield self

    def hooks_tap(self, fwd_hooks: HookList = (), bwd_hooks: HookList = ()) -> Tap:
        """The hooks as a tap, for `forward(tap=)`; names are checked here."""
        points = self.hook_points
        named: set[str] = set()
        forward = _functions(points, fwd_hooks, named)
        backward = _functions(points, bwd_hooks, named)
        if not forward and not backward:
            return NO_TAP
        return Hooks(points, forward, backward, (forward.keys() | backward.keys()) - named)

    def resume(
        self,
        cache: ActivationCache,
        layer: int,
        position: int = 0,
        *,
        resid: Tensor | None = None,
        tap: Tap = NO_TAP,
        stack: str | None = None,
        stop_at_layer: int | None = None,
    ) -> Tensor:
        """Continues the forward of a cache; see `interp.model.resume.resume`."""
        return resume(
            self,
            cache,
            layer,
            position,
            resid=resid,
            tap=ambient_tap(self, tap),
            stack=stack,
            stop_at_layer=stop_at_layer,
        )


def _functions(
    points: Mapping[str, HookPoint], hooks: HookList, named: set[str]
) -> dict[str, list[HookFunction]]:
    """Full name -> functions; `named` receives those that were asked for by name."""
    functions: dict[str, list[HookFunction]] = {}
    for names, function in hooks:
        if not callable(function):
            raise InputError(f"The hook on {names!r} is {function!r}; it must be a function.")
        chosen = select(points, names)
        if by_name(names):
            named.update(chosen)
        for name in chosen:
            functions.setdefault(name, []).append(function)
    return functions


# Forwards that do not run from the tokens to the logits cannot be replayed from their streams.
_PARTIAL = {"past_kv_cache", "start_at_layer", "stop_at_layer"}


def _record(
    model: Transformer,
    names_filter: NamesFilter,
    tap: Tap,
    args: tuple[Any, ...],
    call: dict[str, Any],
    deliver: Deliver | None,
) -> tuple[Any, ActivationCache]:
    """Keeps what was asked for as it goes by, and stops after it if nothing else is wanted."""
    names = _names(model, names_filter, call)
    record = Record(names, stop=call["return_type"] is None, keep=deliver)
    out = None
    try:
        out = model.forward(*args, tap=chain(tap, record), **call)
    except Finished as finished:
        if finished.tap is not record:
            raise
    return out, ActivationCache(model, record.values)


def _names(model: Transformer, names_filter: NamesFilter, call: Mapping[str, Any]) -> list[str]:
    """What a forward is to keep. Points asked for by name are all needed, whether it comes by
    there or not."""
    if by_name(names_filter):
        return select(model.hook_points, names_filter)
    start, stop = call.get("start_at_layer"), call.get("stop_at_layer")
    return select(computed_points(model, start, stop), names_filter)


def _record_for_replay(
    model: Transformer,
    tokens: Any = None,
    *,
    return_type: str | None,
    loss_per_token: bool = False,
    deliver: Deliver | None,
    **inputs: Any,
) -> tuple[Any, ActivationCache]:
    batch = read_inputs(model, tokens, **inputs)
    traces: dict[str, Trace] = {}
    out = model.run(batch, keep=traces)
    result = model.result(out, batch, return_type, loss_per_token=loss_per_token)
    return result, ActivationCache(model, {}, Replay(model, batch, traces, out), deliver)


def _record_with_gradients(
    model: Transformer,
    names_filter: NamesFilter,
    tap: Tap,
    args: tuple[Any, ...],
    call: dict[str, Any],
    deliver: Deliver | None,
) -> tuple[Any, ActivationCache]:
    record = Record(_names(model, names_filter, call), on_path=True)
    with torch.enable_grad():
        out = model.forward(*args, tap=chain(tap, record), **call)
        if not isinstance(out, Tensor) or out.numel() != 1:
            raise InputError(
                "incl_bwd back-propagates what the forward returns, which must be one number: "
                'pass return_type="loss".'
            )
        recorded = record.values
        gradients = torch.autograd.grad(out, list(recorded.values()), allow_unused=True)
    values = {name: value.detach() for name, value in recorded.items()}
    for name, gradient in zip(recorded, gradients, strict=True):
        unused = gradient is None  # after what the loss depends on
        values[f"{name}_grad"] = torch.zeros_like(values[name]) if unused else gradient
    if deliver is not None:
        values = {name: deliver(name, value) for name, value in values.items()}
    return out.detach(), ActivationCache(model, values)
