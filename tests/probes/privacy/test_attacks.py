"""Attacks are their definitions, and find what was planted."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest

from interp.errors import InputError
from probes.privacy.attacks import attack_scores
from probes.privacy.likelihood import Reading


def reading(seed: int = 0) -> Reading:
    """Of units of 1, 4, 5, 9, 10 and 23 tokens."""
    random = np.random.default_rng(seed)
    unit = np.repeat(np.arange(6), [1, 4, 5, 9, 10, 23])
    mean = -random.gamma(2, size=len(unit))
    std = random.gamma(2, size=len(unit))
    return Reading(unit, -random.gamma(2, size=len(unit)), mean, std)


def test_the_definitions_loop_by_loop() -> None:
    one, other = reading(), reading(1)
    units = ["cat " * n for n in range(1, 7)]
    found = attack_scores(one, units, reference=other)
    for i, text in enumerate(units):
        log_p = one.log_prob[one.unit == i]
        z = (log_p - one.mean[one.unit == i]) / one.std[one.unit == i]
        k = max(1, math.floor(0.2 * len(log_p)))  # one token of a text of four, not none
        wanted = {
            "loss": log_p.mean(),
            "zlib": log_p.sum() / len(zlib.compress(text.encode())),
            "min_k": np.sort(log_p)[:k].mean(),
            "min_k++": np.sort(z)[:k].mean(),
            "reference": log_p.mean() - other.log_prob[other.unit == i].mean(),
        }
        assert {name: scores[i] for name, scores in found.items()} == pytest.approx(wanted)


def test_a_prediction_without_spread_has_a_score_all_the_same() -> None:
    flat = reading()
    certain = Reading(flat.unit, flat.log_prob, flat.mean, np.zeros_like(flat.std))
    scores = attack_scores(certain, ["a"] * 6)
    assert np.isfinite(scores["min_k++"]).all()


def test_a_reading_of_other_units_is_refused() -> None:
    with pytest.raises(InputError, match="The reading is of 6 units; there are 2"):
        attack_scores(reading(), ["a", "b"])
