"""The benchmark of harvesting runs, and compares like with like."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import harvesting
from tests.model.configurations import build


def test_it_runs_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harvesting.tempfile, "tempdir", str(tmp_path))
    model = build("decoder").requires_grad_(False)
    texts = harvesting.some_texts(12, 29, 20)
    found = harvesting.measure("tiny", model, texts, rounds=2)
    assert set(found.slower) == {harvesting.MOMENTS, *harvesting.ROWS}
    assert found.tokens == sum(map(len, texts.source.tokens))
    shown = str(found)
    assert all(task in shown for task in found.seconds) and "at most 1.25" in shown
    assert not list(tmp_path.iterdir())
