"""The explainers of the input by name: `f(point, **options)` -> `Finding`."""

from __future__ import annotations

from collections.abc import Callable

from interp.explain.finding import Finding
from interp.explain.methods.attention_attribution import attention_attribution
from interp.explain.methods.attention_relevance import attention_relevance
from interp.explain.methods.attention_rollout import attention_rollout
from interp.explain.methods.captum_adapter import captum
from interp.explain.methods.expected_gradients import expected_gradients
from interp.explain.methods.frozen import frozen_decomposition
from interp.explain.methods.gradients import gradient_x_input, saliency
from interp.explain.methods.integrated_gradients import integrated_gradients
from interp.explain.methods.kernel_shap import kernel_shap
from interp.explain.methods.lime import lime
from interp.explain.methods.occlusion import leave_one_out, occlusion
from interp.explain.methods.owen import owen
from interp.explain.methods.permutation import permutation_shapley
from interp.explain.methods.relevance import attn_lrp, cp_lrp, gim
from interp.explain.methods.shapley import exact_shapley
from interp.explain.methods.smoothgrad import smoothgrad
from interp.explain.methods.value_weighted_attention import value_weighted_attention
from interp.explain.methods.value_zeroing import value_zeroing

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
    "frozen_decomposition": frozen_decomposition,
    "attention_rollout": attention_rollout,
    "attention_relevance": attention_relevance,
    "attention_attribution": attention_attribution,
    "value_zeroing": value_zeroing,
    "value_weighted_attention": value_weighted_attention,
    "leave_one_out": leave_one_out,
    "occlusion": occlusion,
    "exact_shapley": exact_shapley,
    "permutation_shapley": permutation_shapley,
    "kernel_shap": kernel_shap,
    "owen": owen,
    "lime": lime,
    "captum": captum,
}
