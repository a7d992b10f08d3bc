"""The explainers of the input by name: `f(point, **options)` -> `Finding`."""

from __future__ import annotations

from collections.abc import Callable

from interp.explain.finding import Finding
from interp.explain.integrated_gradients import integrated_gradients

Method = Callable[..., Finding]

METHODS: dict[str, Method] = {
    "integrated_gradients": integrated_gradients,
}
