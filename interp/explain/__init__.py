"""Local explainers: why this model said this about that input."""

from interp.explain.attribute import attribute
from interp.explain.attribution import Attribution, Cost
from interp.explain.baseline import Baseline
from interp.explain.fingerprint import tokens_hash, weights_hash
from interp.explain.lens import logit_lens
from interp.explain.methods import METHODS
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
