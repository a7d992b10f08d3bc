"""The explainers of the input by name: `f(point, **options)` -> `Finding`."""

from __future__ import annotations

from collections.abc import Callable

from interp.explain.expected_gradients import expected_gradients
from interp.explain.finding import Finding
from interp.explain.gradients import gradient_x_input, saliency
from interp.explain.integrated_gradients import integrated_gradients
from interp.explain.relevance import attn_lrp, cp_lrp, gim
from interp.explain.smoothgrad import smoothgrad

Method = Callable[..., Finding]

METHODS: dict[str, Method] = {
    "integrated_gradients": integrated_gradients,
    "saliency": saliency,
    "gradient_x_input": gradient_x_input,
    "smoothgrad": smoothgrad,
    "expected_gradients": expected_gradients,
    "cp_lrp": cp_lrp,
    "attn_lrp": attn_lrp,
    "gim": gim,
}
