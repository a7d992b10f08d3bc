"""How good a model is: numbers with intervals, as rows of one tidy table."""

from interp.train.metrics.calibration import calibration, reliability
from interp.train.metrics.classes import classes
from interp.train.metrics.interval import Measure, bootstrap, mean, of_sums, proportion, to_frame
from interp.train.metrics.likelihood import likelihood
from interp.train.metrics.rouge import rouge
from interp.train.metrics.scores import Scores
from interp.train.metrics.squad import squad
from interp.train.metrics.translation import sentence_chrf, translation

__all__ = [
    "Measure",
    "Scores",
    "bootstrap",
    "calibration",
    "classes",
    "likelihood",
    "mean",
    "of_sums",
    "proportion",
    "reliability",
    "rouge",
    "sentence_chrf",
    "squad",
    "to_frame",
    "translation",
]
