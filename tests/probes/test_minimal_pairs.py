"""Minimal pairs: a scorer that knows nothing is right in half of them, one that knows in all."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.data.records import MinimalPair
from interp.errors import InputError
from interp.figures.minimal_pairs import minimal_pairs_chart
from interp.model.transformer import HookedTransformer
from probes.frames import read, tidy
from probes.minimal_pairs import SCRIPT, minimal_pairs, preferred, sample
from probes.scoring import score
from tests.figures.spec import drawn
from tests.train.tasks.small import model, sentences


def pairs(n: int = 24) -> list[MinimalPair]:
    texts = sentences(2 * n)
    return [
        MinimalPair(texts[i], texts[n + i], f"kind {i % 4}", f"field {i % 2}") for i in range(n)
    ]


def without_weights() -> HookedTransformer:
    speaker = model().double()
    with torch.no_grad():
        for parameter in speaker.parameters():
            parameter.zero_()
    return speaker


def values(frame: pd.DataFrame, metric: str, level: str = "all") -> list[float]:
    rows = frame[(frame["metric"] == metric) & (frame["level"] == level)]
    return rows["value"].tolist()


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=20), st.floats(-1e3, 1e3))
def test_a_constant_scorer_is_right_in_half(scores: list[float], constant: float) -> None:
    same = np.full(len(scores), constant)
    assert preferred(same, same).tolist() == [0.5] * len(scores)
    one = np.array(scores)
    assert preferred(one, one[::-1]).sum() == pytest.approx(len(scores) / 2)


def test_a_model_without_knowledge_ties_and_prefers_the_shorter() -> None:
    speaker = without_weights()
    same = [MinimalPair(p.good, p.good, p.kind, p.field) for p in pairs()]
    frame = minimal_pairs(speaker, same)
    assert values(frame, "accuracy") == [0.5] and values(frame, "ties") == [1.0]
    frame = minimal_pairs(speaker, pairs())
    lengths = np.array([[len(one.ids) for one in score(speaker, [p.good, p.bad])] for p in pairs()])
    shorter = np.where(lengths[:, 0] == lengths[:, 1], 0.5, lengths[:, 0] < lengths[:, 1])
    assert values(frame, "accuracy") == [pytest.approx(shorter.mean())]
    assert values(frame, "accuracy_per_token") == [0.5]
    assert values(frame, "accuracy_equal_lengths") == [0.5]
    assert values(frame, "unequal_lengths") == [np.mean(lengths[:, 0] != lengths[:, 1])] != [0.0]


def test_one_that_is_asked_about_its_own_preferences_is_always_right() -> None:
    speaker = model().double()
    told = [
        MinimalPair(*((p.good, p.bad) if a.total > b.total else (p.bad, p.good)), p.kind, p.field)
        for p in pairs()
        for a, b in [score(speaker, [p.good, p.bad])]
    ]
    frame = minimal_pairs(speaker, told)
    assert values(frame, "accuracy") == [1.0] and values(frame, "accuracy", "kind") == [1.0] * 4
    assert min(values(frame, "margin", "kind")) > 0
    turned = [MinimalPair(p.bad, p.good, p.kind, p.field) for p in told]
    assert values(minimal_pairs(speaker, turned), "accuracy") == [0.0]


@pytest.mark.parametrize("shape", ["decoder", "encoder", "encoder_decoder"])
def test_the_order_of_pairs_does_not_matter(shape: str) -> None:
    speaker = model(shape).double()
    source = "the cat" if shape == "encoder_decoder" else None
    given, keys = pairs(16), ["level", "field", "task", "metric"]
    one = minimal_pairs(speaker, given, sources=source).sort_values(keys)
    other = minimal_pairs(speaker, given[::-1], sources=source).sort_values(keys)
    np.testing.assert_allclose(one["value"], other["value"], atol=1e-10)


def test_levels_are_means_and_intervals_hold_them() -> None:
    frame = minimal_pairs(model(), pairs())
    accuracy = frame[frame["metric"] == "accuracy"]
    assert accuracy["level"].tolist() == ["kind"] * 4 + ["field"] * 2 + ["all"]
    kinds = accuracy[accuracy["level"] == "kind"]["value"]
    assert values(frame, "accuracy") == [pytest.approx(kinds.mean())]
    assert (accuracy["ci_low"] <= accuracy["value"]).all()
    assert (accuracy["value"] <= accuracy["ci_high"]).all()
    assert accuracy["n"].tolist() == [6] * 4 + [12] * 2 + [24]


def test_a_sample_depends_on_the_seed_alone() -> None:
    given = pairs()
    drawn = sample(given, 3, seed=1)
    assert drawn == sample(given, 3, seed=1) != sample(given, 3, seed=2)
    assert len(drawn) == 12 and sample(given, 99) == given
    with pytest.raises(InputError, match="leave nothing"):
        sample(given, 0)


def test_what_is_no_pair_or_score_is_refused() -> None:
    with pytest.raises(InputError, match="no pairs"):
        minimal_pairs(model(), [])
    with pytest.raises(InputError, match="not finite"):
        preferred(np.array([np.nan]), np.array([0.0]))


def frame_of(*steps: int | None) -> pd.DataFrame:
    one = minimal_pairs(model(), pairs())
    return tidy(pd.concat([tidy(one, run="tiny", step=step) for step in steps]))


@pytest.mark.parametrize("steps", [(None,), (0, 8, 64)])
def test_the_chart_says_what_was_found(steps: tuple[int | None, ...]) -> None:
    for scheme in ("light", "dark"):
        figure = minimal_pairs_chart(frame_of(*steps), scheme)
        assert "tiny prefers the right sentence in" in figure.alt
        assert ("at step 64, and in" in figure.alt) == (len(steps) > 1)
        assert "field 1" in drawn(figure.chart)


def test_several_models_stand_in_one_row() -> None:
    frame = tidy(pd.concat([frame_of(None), frame_of(None).assign(run="other")]))
    svg = drawn(minimal_pairs_chart(frame).chart)
    assert "tiny" in svg and "other" in svg and "kind 0" not in svg


def test_the_script_reads_blimp(shared_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.parquet"
    command = ["--run", "stories-suite", "--steps", "0", "--data", str(shared_data)]
    assert SCRIPT.main([*command, "--pairs", "1", "--out", str(out)]) == 0
    frame, about = read(out)
    assert (frame.query("level == 'kind' and metric == 'accuracy'")["n"] == 1).all()
    assert frame.query("level == 'all'")["n"].unique().tolist()[0] == 67
    assert about["options"]["pairs"] == 1


def test_the_options_are_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    SCRIPT.fill(parser)
    assert json.dumps(vars(parser.parse_args(["--run", "x", "--data", "d"])), default=str)
    assert SCRIPT.main(["--run", "stories", "--data", "/nowhere"]) == 2
    assert "is missing" in capsys.readouterr().err
