"""Local explainers: why this model said this about that input."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.attribution import Attribution, Cost
from interp.explain.baseline import Baseline
from interp.explain.fingerprint import tokens_hash, weights_hash
from interp.explain.integrated_gradients import integrated_gradients
from interp.explain.lens import logit_lens
from interp.explain.points import Point
from interp.explain.target import Target

__all__ = [
    "METHODS",
    "Attribution",
    "Baseline",
    "Cost",
    "Target",
    "attribute",
    "logit_lens",
    "tokens_hash",
    "weights_hash",
]

Method = Callable[..., tuple[Any, float | None, bool]]
"""`f(point, **options)` -> scores [pos], completeness error (None if not claimed), converged."""

METHODS: dict[str, Method] = {"integrated_gradients": integrated_gradients}


def attribute(
    model: Any,
    text: str | Tensor | list[int],
    method: str = "integrated_gradients",
    target: Target | Callable[[Tensor], Tensor] | None = None,
    baseline: Baseline | None = None,
    *,
    inputs: dict[str, Any] | None = None,
    **options: Any,
) -> Attribution:
    """Why a model gives a target its value on a text, as one signed score per token.

    Args:
        model: from `interp.load`, or any model with TransformerLens's calls.
        text: one text, or its ids [pos] or [1, pos].
        method: one of `METHODS`.
        target: what to explain, or a function as for `Target.of`; by default the logit of the
            model's own prediction at the end.
        baseline: what to compare with; by default the mean embedding.
        inputs: further inputs of the forward pass (`attention_mask`, `decoder_tokens`, ...).
        **options: of the method, see its function.

    Raises:
        InputError: an unknown method or option, several texts, a target or baseline that does not
            fit.
    """
    if method not in METHODS:
        raise InputError(f"There is no method {method!r}; there are: {', '.join(METHODS)}.")
    target = _target(target)
    if not isinstance(baseline, Baseline | None):
        raise InputError(f"The baseline is {baseline!r}; make one, such as `Baseline.mean()`.")
    baseline = baseline or Baseline.mean()
    started = time.perf_counter()
    # Gradients are needed, whatever mode the caller is in.
    with torch.inference_mode(False):
        point = Point.read(model, text, target, baseline, inputs or {})
        try:
            scores, error, converged = METHODS[method](point, **options)
        except TypeError as problem:
            if "unexpected keyword" not in str(problem):
                raise
            raise InputError(f"{method} does not take these options: {problem}.") from problem
    seconds = time.perf_counter() - started
    return Attribution(
        tokens=tuple(point.token_texts()),
        token_ids=tuple(point.token_ids),
        scores=tuple(float(s) for s in scores),
        side=tuple(point.side),
        method=method,
        target=point.target.description,
        position=point.target.position,
        value=point.value,
        baseline=baseline.description,
        baseline_value=point.baseline_value,
        completeness_error=error,
        converged=converged,
        cost=Cost(point.forwards, point.backwards, seconds),
        seed=None,
        model=str(getattr(model.cfg, "model_name", "model")),
        dtype=str(point.embedded.dtype).removeprefix("torch."),
        weights_hash=weights_hash(model),
        tokens_hash=tokens_hash(*point.parts.values()),
        parameters=dict(options),
    )


def _target(given: object) -> Target:
    if given is None:
        return Target.logit()
    if isinstance(given, Target):
        return given
    if callable(given):
        return Target.of(given)
    raise InputError(f"The target is {given!r}; make one, such as `Target.logit(token)`.")
