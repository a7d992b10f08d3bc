"""Size for a budget: which model to train with the time, the operations and the text at hand."""

from __future__ import annotations

from interp.train.size.fitting import fit
from interp.train.size.laws import LAWS, PUBLISHED, ScalingLaw, known_law
from interp.train.size.parameters import (
    COUNTINGS,
    Counting,
    count_parameters,
    inference_flops,
    training_flops,
)
from interp.train.size.recommendation import Plan, Recommendation, recommend
from interp.train.size.repeated import effective_tokens
from interp.train.size.runs import fit_file
from interp.train.size.throughput import Speed, measure_speed

__all__ = [
    "COUNTINGS",
    "LAWS",
    "PUBLISHED",
    "Counting",
    "Plan",
    "Recommendation",
    "ScalingLaw",
    "Speed",
    "count_parameters",
    "effective_tokens",
    "fit",
    "fit_file",
    "inference_flops",
    "known_law",
    "measure_speed",
    "recommend",
    "training_flops",
]
