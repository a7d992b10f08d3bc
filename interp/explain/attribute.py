"""One call for every explainer of the input."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from interp.errors import InputError
from interp.explain.attribution import Attribution, Cost, Origin
from interp.explain.baseline import Baseline
from interp.explain.finding import completeness_error
from interp.explain.memory import PeakMemory
from interp.explain.methods import METHODS
from interp.explain.points import Point
from interp.explain.target import Target
from interp.explain.units import UnitSpec
from interp.model.fingerprint import tokens_hash, weights_hash


def attribute(
    model: Any,
    text: str | Tensor | list[int],
    method: str = "integrated_gradients",
    target: Target | Callable[[Tensor], Tensor] | None = None,
    baseline: Baseline | None = None,
    *,
    inputs: dict[str, Any] | None = None,
    units: UnitSpec = "tokens",
    batch_size: int | None = None,
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
        units: what gets a score: `tokens`, `words`, `sentences`, or spans (start, stop) of tokens.
        batch_size: copies of the text in one forward; by default as many as are efficient.
        **options: of the method, see its function.

    Raises:
        InputError: an unknown method or option, several texts, a target or baseline that does not
            fit.
        UnsupportedModelError: the method or target asks for what the model has not.
    """
    if method not in METHODS:
        raise InputError(f"There is no method {method!r}; there are: {', '.join(METHODS)}.")
    target = read_target(target)
    if not isinstance(baseline, Baseline | None):
        raise InputError(f"The baseline is {baseline!r}; make one, such as `Baseline.mean()`.")
    baseline = baseline or Baseline.mean()
    started = time.perf_counter()
    # Gradients are needed, whatever mode the caller is in.
    with torch.inference_mode(False), PeakMemory(model.W_E.device) as memory:
        point = Point.read(model, text, target, baseline, inputs or {}, units, batch_size)
        try:
            found = METHODS[method](point, **options)
        except TypeError as problem:
            if "unexpected keyword" not in str(problem):
                raise
            raise InputError(f"{method} does not take these options: {problem}.") from problem
    seconds = time.perf_counter() - started
    if not point.moves.any() and not found.scores.any():
        warnings.warn(
            "No token of the text differs from the baseline, in which special tokens keep their "
            "own embedding, so there is nothing to explain and every score is 0. Give a text of "
            "more than special tokens, or a baseline with keep_special=False.",
            stacklevel=2,
        )
    return Attribution(
        tokens=point.units.names,
        token_ids=tuple(point.token_ids),
        groups=point.units.groups,
        scores=_floats(found.scores),
        low=None if found.low is None else _floats(found.low),
        high=None if found.high is None else _floats(found.high),
        side=point.units.sides,
        method=method,
        target=point.target.description,
        position=point.target.position,
        predicted_at=_predicted_at(point),
        value=point.value,
        baseline=baseline.description,
        baseline_value=point.baseline_value,
        completeness_error=completeness_error(point, found.scores) if found.complete else None,
        converged=found.converged,
        cost=Cost(point.forwards, point.backwards, seconds, memory.peak),
        seed=found.seed if found.seed is not None else baseline.seed,
        model=str(getattr(model.cfg, "model_name", "model")),
        dtype=str(point.embedded.dtype).removeprefix("torch."),
        weights_hash=weights_hash(model),
        tokens_hash=tokens_hash(*point.parts.values()),
        parameters=_plain(options),
        details=found.details,
        origin=Origin(point, method, options),
    )


def read_target(given: object) -> Target:
    """A target, or what can be made into one."""
    if given is None:
        return Target.logit()
    if isinstance(given, Target):
        return given
    if callable(given):
        return Target.of(given)
    raise InputError(f"The target is {given!r}; make one, such as `Target.logit(token)`.")


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Options as they can be written down."""
    kept = (str, int, float, bool, type(None), list, tuple)
    return {
        name: value if isinstance(value, kept) else getattr(value, "__name__", str(value))
        for name, value in options.items()
    }


def _floats(values: Tensor) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _predicted_at(point: Point) -> str:
    """Where the target is read, in words."""
    from interp.figures.labels import quoted

    position = point.target.position
    if position is None:
        return "the whole text"
    side = point.side[-1]  # of an encoder-decoder, the one that is written
    token = point.token_texts()[point.side.index(side) + position]
    return f"token {position} {quoted(token)}" + (f" of the {side}" if side != "input" else "")
