"""Calibration: who draws from what it says is calibrated, and the temperature is stationary."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from interp.errors import InputError
from interp.figures.calibration import calibration_chart
from interp.train.metrics import calibration as of_probabilities
from probes.calibration import (
    Predictions,
    class_calibration,
    measured,
    next_token_calibration,
    slopes,
    temperature,
)
from probes.frames import tidy
from tests.figures.spec import drawn
from tests.train.tasks.small import examples, model, sentences


def honest(n: int = 4000, classes: int = 6, factor: float = 1.0, seed: int = 0) -> Predictions:
    """Labels drawn from softmax(logits), of which the model says `factor` times the logits."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (n, classes))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    true = (p.cumsum(1) > random.random((n, 1))).argmax(1)
    return Predictions(torch.tensor(factor * logits), true, np.arange(n) // 10)


def value(frame: pd.DataFrame, metric: str, scaled: bool = False) -> float:
    rows = frame[(frame["metric"] == metric) & (frame["scaled"] == scaled) & frame["bin"].isna()]
    return float(rows["value"].iloc[0])


def test_an_oracle_has_no_calibration_error() -> None:
    errors = [value(measured(honest(n)), "ece") for n in (400, 4_000, 40_000)]
    assert errors[0] > errors[1] > errors[2] and errors[2] < 0.01


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_the_temperature_is_stationary_and_finds_the_factor(factor: float) -> None:
    given = honest(20_000, factor=factor)
    t = temperature(given)
    slope, curvature = slopes(given, 1 / t)
    assert abs(slope) < 1e-10 and curvature > 0
    assert t == pytest.approx(factor, rel=0.05)
    frame = measured(given)
    assert value(frame, "nll", True) <= value(frame, "nll") + 1e-4
    assert value(frame, "ece", True) < 0.02
    assert factor == 1 or value(frame, "ece") > 0.05


def test_slopes_are_those_of_the_loss() -> None:
    given = honest(50)
    true = torch.tensor(given.true)

    def loss(b: float) -> float:
        return torch.nn.functional.cross_entropy(b * given.logits, true).item()

    for b in (0.5, 1.0, 2.0):
        slope, curvature = slopes(given, b)
        assert slope == pytest.approx((loss(b + 1e-5) - loss(b - 1e-5)) / 2e-5, abs=1e-8)
        second = (loss(b + 1e-3) - 2 * loss(b) + loss(b - 1e-3)) / 1e-6
        assert curvature == pytest.approx(second, rel=1e-4)


def test_where_no_temperature_is_best_the_limit_is_given() -> None:
    sure = Predictions(torch.eye(3).double(), np.arange(3), np.arange(3))
    assert temperature(sure) < 0.01
    assert temperature(Predictions(torch.zeros(3, 3), np.arange(3), np.arange(3))) == 1.0


def test_of_the_judged_half_the_numbers_are_those_of_the_metrics() -> None:
    given = honest(300)
    halves = Predictions(given.logits.repeat(2, 1), np.tile(given.true, 2), np.repeat([0, 1], 300))
    frame = measured(halves)  # either half is the same
    p = given.logits.softmax(-1).numpy()
    expected = {one.metric: one.value for one in of_probabilities(p, given.true)}
    assert value(frame, "ece") == pytest.approx(expected["ece"], abs=1e-10)
    assert value(frame, "brier") == pytest.approx(expected["brier"], abs=1e-10)


@pytest.mark.parametrize("shape", ["decoder", "encoder", "encoder_decoder"])
def test_next_tokens_are_those_that_are_scored(shape: str) -> None:
    from probes.scoring import score

    speaker, texts = model(shape).double(), sentences(8)
    source: Any = "the cat" if shape == "encoder_decoder" else None
    frame = next_token_calibration(speaker, texts, sources=source)
    fitted = frame.query("metric == 'temperature'")["n"].iloc[0]
    judged = frame.query("metric == 'nll'")["n"].iloc[0]
    scored = score(speaker, texts, sources=source)
    assert fitted + judged == sum(one.n for one in scored)
    few = next_token_calibration(speaker, texts, sources=source, tokens=20)
    assert few.query("metric in ('temperature', 'nll') and not scaled")["n"].iloc[0] < 20
    nll = [-one.total for one in scored]
    assert min(nll) / 20 < value(frame, "nll") < max(nll)


def test_a_classifier_is_calibrated_on_its_classes() -> None:
    classifier = model("encoder", head="classification", n_classes=2, initializer_range=0.5)
    frame = class_calibration(classifier, examples(40))
    assert value(frame, "accuracy") == pytest.approx(0.5, abs=0.3)
    assert 0 < value(frame, "ece") < 1
    figure = calibration_chart(tidy(frame, run="tiny", step=None))
    assert "with a temperature of" in figure.alt and "Reliability of 20" in figure.alt
    drawn(figure.chart)
    over = tidy(pd.concat([tidy(frame, run="tiny", step=step) for step in (0, 8)]))
    assert "with a fitted temperature" in drawn(calibration_chart(over, "dark").chart)


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(InputError, match="two texts"):
        next_token_calibration(model(), ["the cat"])
    with pytest.raises(InputError, match="not finite"):
        measured(Predictions(torch.full((2, 2), torch.nan), np.zeros(2, int), np.arange(2)))
