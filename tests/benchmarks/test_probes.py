"""The race of probes runs, and both ends lie at the optimum."""

from __future__ import annotations

import pytest

from benchmarks.probes import CLASSES, RESAMPLES, STRENGTHS, Setting, race


def test_the_race_runs_to_the_same_end() -> None:
    pytest.importorskip("sklearn")
    setting = Setting.make(1, 8, 300)
    assert setting.rows.shape == (1, 300, 8) and int(setting.labels.max()) < CLASSES
    assert (setting.weights.sum(1) == 300).all()
    problems, sample = setting.problems(), setting.sample()
    assert len(problems) == 2 * RESAMPLES * len(STRENGTHS)
    assert [float(problems.strength[i]) for i in sample] == list(STRENGTHS)
    assert len({int(problems.weights[i]) for i in sample}) > 1
    row = race(setting, 1)
    assert row[1] == "50" and "(5 timed)" in row[3]
    assert float(row[5]) < 5e-4 and float(row[6]) < 1e-3
