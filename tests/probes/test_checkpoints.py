"""The audit finds a planted duplicate, measures the way of the weights, and passes a sound run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from interp.errors import InputError, LoadError
from interp.figures.checkpoints import trajectory_chart
from interp.model.transformer import HookedTransformer
from probes.checkpoints import SCRIPT, checkpoints
from probes.subjects import Subject
from tests.figures.spec import drawn
from tests.model.configurations import build


def at(seed: int) -> HookedTransformer:
    return build("decoder", seed=seed)


def moved(by: float) -> HookedTransformer:
    """The model of seed 0, every weight times 1 + by."""
    model = at(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1 + by)
    return model


def suite(*models: Any) -> list[Subject]:
    return [Subject("run", 100 * i, lambda m=m: m) for i, m in enumerate(models)]


def column(frame: pd.DataFrame, metric: str) -> list[float]:
    return frame[frame["metric"] == metric].sort_values("step")["value"].tolist()


def test_a_planted_duplicate_is_found_and_lies_at_no_distance() -> None:
    frame = checkpoints(suite(moved(0), moved(0.1), moved(0.2), moved(0.2), moved(0.3)))
    rows = frame[frame["metric"] == "rel_l2_prev"].set_index("step")
    assert rows["duplicate_of"].dropna().to_dict() == {300: 200}
    assert rows.loc[300, "value"] == 0
    assert rows.loc[300, "model_hash"] == rows.loc[200, "model_hash"]
    assert rows.loc[300, "finding"] == "same weights: as at step 200"
    assert (rows.drop(300)["finding"] == "").all()


def test_distances_and_norms_are_those_of_the_weights() -> None:
    frame = checkpoints(suite(moved(0), moved(0.5), moved(1.0)))
    norm = float(torch.cat([p.detach().flatten() for p in at(0).parameters()]).norm())
    assert column(frame, "norm") == pytest.approx([norm, 1.5 * norm, 2 * norm], rel=1e-5)
    assert column(frame, "rel_l2_prev")[1:] == pytest.approx([0.5, 1 / 3], rel=1e-5)
    assert pd.isna(column(frame, "rel_l2_prev")[0])


def test_what_cannot_be_opened_has_a_row_and_stops_nothing() -> None:
    def broken() -> Any:
        raise LoadError("It was cut short.")

    these = suite(moved(0), moved(0.1), moved(0.2))
    these[1] = Subject("run", 100, broken)
    frame = checkpoints(these)
    rows = frame[frame["metric"] == "rel_l2_prev"].set_index("step")
    assert rows.loc[100, "finding"] == "unreadable: It was cut short."
    assert rows.loc[200, "value"] == pytest.approx(0.2, rel=1e-5)  # from the last that opened
    figure = trajectory_chart(frame)
    assert "1 with a finding (step 100 unreadable)" in figure.alt
    for scheme in ("light", "dark"):
        assert "unreadable" in drawn(trajectory_chart(frame, scheme).chart)


def test_a_single_model_is_no_run() -> None:
    with pytest.raises(InputError, match="single model"):
        checkpoints([Subject("alone", None, lambda: at(0))])


def test_the_script_passes_a_sound_suite(tmp_path: Path, capsys: Any) -> None:
    out, chart = tmp_path / "a.parquet", tmp_path / "a.svg"
    steps = ["--steps", "0", "1", "64", "500"]
    assert (
        SCRIPT.main(["--run", "induction", *steps, "--out", str(out), "--chart", str(chart)]) == 0
    )
    frame = pd.read_parquet(out)
    assert frame["duplicate_of"].isna().all()
    assert sorted(frame["step"].unique()) == [0, 1, 64, 500]
    assert chart.read_text(encoding="utf-8").startswith("<svg")
