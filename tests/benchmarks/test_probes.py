"""The race of probes runs, and both ends lie at the optimum."""

from __future__ import annotations

from pathlib import Path

from benchmarks.probes import CLASSES, RESAMPLES, STRENGTHS, Setting, race


def test_the_race_runs_to_the_same_end() -> None:
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


def test_words_of_a_treebank_are_read_in_the_layers_of_a_model(shared_data: Path) -> None:
    setting = Setting.harvested("stories-suite", shared_data / "ud_english_ewt", 1)
    words = setting.rows.shape[1]
    assert 15_000 < words < 30_000 and setting.labels.shape == (2, words)
    assert float(setting.rows.mean(1).abs().max()) < 1e-3
    assert int(setting.labels.max()) < CLASSES and (setting.weights.sum(1) == words).all()
