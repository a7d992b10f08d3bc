"""Local explainers: why this model said this about that input."""

from interp.explain.answer import AnswerAttribution, attribute_answer
from interp.explain.attribute import attribute
from interp.explain.attribution import Attribution, Cost
from interp.explain.baseline import Baseline
from interp.explain.lens import logit_lens
from interp.explain.methods import METHODS
from interp.explain.methods.attention_attribution import (
    AttentionAttribution,
    attention_attribution_maps,
)
from interp.explain.methods.attention_maps import attention_patterns
from interp.explain.methods.attention_relevance import relevance_matrix
from interp.explain.methods.attention_rollout import rollout_matrix
from interp.explain.methods.frozen import TokenParts, token_parts
from interp.explain.methods.value_weighted_attention import value_weighted_maps
from interp.explain.methods.value_zeroing import value_zeroing_maps
from interp.explain.points import Point
from interp.explain.report import AttributionReport, attribution_report
from interp.explain.rules import backward_rules
from interp.explain.scorecard import Scorecard, scorecard
from interp.explain.target import Target
from interp.model.fingerprint import tokens_hash, weights_hash

__all__ = [
    "METHODS",
    "AnswerAttribution",
    "AttentionAttribution",
    "Attribution",
    "AttributionReport",
    "Baseline",
    "Cost",
    "Point",
    "Scorecard",
    "Target",
    "TokenParts",
    "attention_attribution_maps",
    "attention_patterns",
    "attribute",
    "attribute_answer",
    "attribution_report",
    "backward_rules",
    "logit_lens",
    "relevance_matrix",
    "rollout_matrix",
    "scorecard",
    "token_parts",
    "tokens_hash",
    "value_weighted_maps",
    "value_zeroing_maps",
    "weights_hash",
]
