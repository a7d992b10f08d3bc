"""Perplexity and bits per byte by their formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

from interp.train.metrics import likelihood


def test_a_uniform_model_over_bytes_has_eight_bits_a_byte() -> None:
    n = np.array([10, 7, 300])
    found = {m.metric: m for m in likelihood(n * math.log(256), n, n)}
    assert found["perplexity"].value == pytest.approx(256)
    assert found["bits_per_byte"].value == pytest.approx(8)
    assert found["bits_per_byte"].ci_low == pytest.approx(found["bits_per_byte"].ci_high)


def test_sums_come_before_ratios() -> None:
    """Long documents weigh more; documents, not tokens, are what is drawn."""
    found = {
        m.metric: m for m in likelihood(np.array([1.0, 30.0]), np.array([1, 10]), np.array([4, 50]))
    }
    assert found["nats_per_token"].value == pytest.approx(31 / 11)
    assert found["bits_per_byte"].value == pytest.approx(31 / 54 / math.log(2))
    assert found["nats_per_token"].n == 2
    assert (found["nats_per_token"].ci_low, found["nats_per_token"].ci_high) == (1, 3)
