"""Local explainers: why this model said this about that input."""

from interp.explain.answer import AnswerAttribution, attribute_answer
from interp.explain.attribute import attribute
from interp.explain.attribution import Attribution, Cost
from interp.explain.baseline import Baseline
from interp.explain.fingerprint import tokens_hash, weights_hash
from interp.explain.lens import logit_lens
from interp.explain.methods import METHODS
from interp.explain.report import AttributionReport, attribution_report
from interp.explain.scorecard import Scorecard, scorecard
from interp.explain.target import Target

__all__ = [
    "METHODS",
    "AnswerAttribution",
    "Attribution",
    "AttributionReport",
    "Baseline",
    "Cost",
    "Scorecard",
    "Target",
    "attribute",
    "attribute_answer",
    "attribution_report",
    "logit_lens",
    "scorecard",
    "tokens_hash",
    "weights_hash",
]
