"""Codes cost what theory says: nothing is saved where there is nothing to learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from interp.errors import InputError
from probes.solvers.mdl import online_code

N, D, CLASSES = 800, 6, 4
FRACTIONS = (0.05, 0.1, 0.25, 0.5, 1.0)


def test_random_labels_do_not_compress_and_planted_ones_do() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(2, N, D, generator=generator)
    random = torch.randint(CLASSES, (N,), generator=generator)
    planted = rows[1, :, :CLASSES].argmax(1)
    nothing = online_code(rows, random, n_classes=CLASSES, fractions=FRACTIONS)
    assert (nothing.compression <= 1.0).all()
    assert (nothing.compression > 0.9).all()  # the strongest penalty knows better than to guess
    found = online_code(rows, planted, n_classes=CLASSES, fractions=FRACTIONS)
    assert found.compression[0] <= 1.0
    assert found.compression[1] > 1.5


def test_a_probe_that_knows_nothing_costs_the_uniform_code() -> None:
    labels = torch.arange(N) % CLASSES  # every block has all classes equally often
    code = online_code(torch.zeros(1, N, D), labels, n_classes=CLASSES, fractions=FRACTIONS)
    assert code.length[0] == pytest.approx(N * math.log2(CLASSES), rel=1e-6)
    assert code.compression[0] == pytest.approx(1.0, rel=1e-6)


def test_the_first_block_is_sent_at_the_uniform_price() -> None:
    rows = torch.randn(1, N, D, generator=torch.Generator().manual_seed(1))
    code = online_code(rows, rows[0, :, :CLASSES].argmax(1), n_classes=CLASSES, fractions=FRACTIONS)
    np.testing.assert_array_equal(code.ends, [40, 80, 200, 400, 800])
    assert code.bits[0, 0] == 40 * math.log2(CLASSES)
    assert code.length[0] == pytest.approx(code.bits[0].sum())
    # Each label is cheaper than those before it, since the probe has seen more.
    each = code.bits[0] / np.diff(code.ends, prepend=0)
    assert (np.diff(each) < 0).all()


def test_nothing_of_a_block_is_used_to_code_it() -> None:
    rows = torch.randn(1, N, D, generator=torch.Generator().manual_seed(2))
    labels = rows[0, :, :CLASSES].argmax(1)
    whole = online_code(rows, labels, n_classes=CLASSES, fractions=FRACTIONS)
    half = online_code(
        rows[:, :400], labels[:400], n_classes=CLASSES, fractions=(0.1, 0.2, 0.5, 1.0)
    )
    np.testing.assert_allclose(whole.bits[:, :4], half.bits, rtol=1e-6)


def test_fractions_rise_to_one() -> None:
    with pytest.raises(InputError, match="do not rise"):
        online_code(
            torch.zeros(1, 4, 2), torch.zeros(4).long(), n_classes=2, fractions=(0.5, 0.4, 1)
        )
