"""Subjects, frames and scripts: what all analyses share."""

from __future__ import annotations

import argparse
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest

import interp
from apps.cli import main as interp_main
from interp.errors import InputError, LoadError
from interp.figures.figure import Figure, themed
from interp.figures.theme import Scheme
from interp.model.config import TransformerConfig
from interp.model.transformer import HookedTransformer
from interp.pretrained import save_folder
from probes import ANALYSES
from probes.frames import KEYS, VALUES, read, tidy, write
from probes.multiplicity import corrected
from probes.script import Script
from probes.subjects import over, subjects


def tiny(seed: int = 0) -> HookedTransformer:
    cfg = TransformerConfig(d_model=8, n_layers=1, n_heads=2, d_vocab=7, n_ctx=8, model_name="tiny")
    return HookedTransformer(cfg, seed=seed)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for step in (0, 10, 100):
        save_folder(tiny(step), tmp_path / "made" / f"step-{step:08d}")
    return tmp_path / "made"


class Counting:
    """A measure that says how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, model: Any, options: argparse.Namespace) -> pd.DataFrame:
        self.calls += 1
        size = float(model.embed.weight.detach().norm())
        return pd.DataFrame({"site": ["embed"], "metric": ["norm"], "value": [size], "n": [7]})


def drawn(frame: pd.DataFrame, scheme: Scheme) -> Figure:
    bars = alt.Chart(frame[["metric", "value"]]).mark_bar().encode(x="value:Q", y="metric:N")
    return Figure(themed(alt.layer(bars), scheme), "A norm.", frame[["metric", "value"]])


def script(measure: Any, **more: Any) -> Script:
    return Script("norms", "how large", "  ...", measure=measure, chart=drawn, **more)


def test_a_result_has_the_columns_of_all_results() -> None:
    frame = tidy([{"metric": "x", "value": 1, "rank": 2, "layer": 3}], run="a", step=pd.NA)
    assert list(frame.columns) == ["run", "step", "layer", "rank", *VALUES]
    assert [name for name in KEYS if name in frame] == ["run", "step", "layer"]
    assert frame["layer"].dtype == "Int64" and frame["ci_low"].isna().all()


def test_a_result_says_nothing_twice() -> None:
    rows = [{"metric": "x", "value": 1.0, "layer": 0}, {"metric": "x", "value": 2.0, "layer": 0}]
    with pytest.raises(InputError, match="twice"):
        tidy(rows)
    with pytest.raises(InputError, match="value"):
        tidy([{"metric": "x"}])


def test_a_result_comes_back_from_its_file(tmp_path: Path) -> None:
    frame = tidy([{"metric": "x", "value": 1.5, "n": 3, "layer": 0}], run="a", step=pd.NA)
    write(frame, tmp_path / "x.parquet", {"analysis": "x"})
    again, about = read(tmp_path / "x.parquet")
    pd.testing.assert_frame_equal(frame, again)
    assert about["analysis"] == "x" and about["version"] == interp.__version__


@pytest.mark.parametrize("content", [b"", b"PAR1 no"])
def test_what_is_no_result_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(LoadError):
        read(tmp_path / "x.parquet")


def test_runs_models_and_lists_of_them_are_subjects(run: Path) -> None:
    assert [subject.step for subject in subjects(run)] == [0, 10, 100]
    assert [subject.step for subject in subjects(str(run), steps=[-1, 0])] == [0, 100]
    assert [str(s) for s in subjects([tiny(), run], steps=[10])] == ["tiny", "made at step 10"]
    assert [s.step for s in subjects(run / "step-00000010")] == [None]
    assert [s.step for s in subjects("stories")] == [None]
    assert len(subjects("stories-suite")) == 12


def test_what_tables_could_not_tell_apart_is_refused(run: Path) -> None:
    with pytest.raises(InputError, match="made"):
        subjects([run, run])
    with pytest.raises(LoadError):
        subjects(run / "nowhere")[0].open()


def test_a_run_of_unequal_models_is_refused(run: Path) -> None:
    other = TransformerConfig(d_model=8, n_layers=2, n_heads=2, d_vocab=7, n_ctx=8)
    save_folder(HookedTransformer(other), run / "step-00001000")
    with pytest.raises(InputError, match="n_layers 1 and made at step 1000 has 2"):
        over(subjects(run), lambda model: pd.DataFrame([{"metric": "m", "value": 0.0}]))


def test_equal_weights_have_equal_hashes(run: Path) -> None:
    frame = over(
        subjects([run, tiny(10)]),
        lambda model: pd.DataFrame({"metric": ["one"], "value": [1.0]}),
    )
    hashes = dict(zip(frame["step"].fillna(-1), frame["model_hash"], strict=True))
    assert hashes[10] == hashes[-1] and len(set(frame["model_hash"])) == 3


def test_a_second_run_measures_only_what_is_missing(run: Path, tmp_path: Path) -> None:
    out, measure = tmp_path / "norms.parquet", Counting()
    command = ["--run", str(run), "--out", str(out)]
    assert script(measure).main([*command, "--steps", "0"]) == 0
    assert measure.calls == 1
    assert script(measure).main(command) == 0
    assert measure.calls == 3
    whole = read(out)[0]
    assert list(whole["step"]) == [0, 10, 100]
    save_folder(tiny(99), run / "step-00000010")  # other weights
    assert script(measure).main(command) == 0
    assert measure.calls == 4


def test_a_result_of_other_options_is_not_completed(run: Path, tmp_path: Path, capsys: Any) -> None:
    def add(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--task", default="a")

    command = ["--run", str(run), "--out", str(tmp_path / "norms.parquet")]
    assert script(Counting(), add_arguments=add).main(command) == 0
    assert script(Counting(), add_arguments=add).main([*command, "--task", "b"]) == 2
    assert "other options" in capsys.readouterr().err


def test_what_is_said_of_all_models_is_said_anew_with_each(run: Path, tmp_path: Path) -> None:
    def measure(model: Any, options: argparse.Namespace) -> pd.DataFrame:
        return pd.DataFrame({"metric": ["m", "none"], "value": [1.0, 2.0], "p": [0.02, np.nan]})

    out = tmp_path / "p.parquet"
    command = ["--run", str(run), "--out", str(out)]
    for steps in (["0"], ["0", "10", "100"]):
        assert script(measure, together=corrected).main([*command, "--steps", *steps]) == 0
        tested = read(out)[0].dropna(subset="p")
        assert tested["p_holm"].tolist() == [0.02 * len(steps)] * len(steps)
        assert tested["p_bh"].tolist() == [0.02] * len(steps)


@pytest.mark.parametrize("ending", [".html", ".svg", ".png"])
def test_the_chart_is_written(run: Path, tmp_path: Path, ending: str, capsys: Any) -> None:
    pytest.importorskip("vl_convert")
    chart = tmp_path / f"norms{ending}"
    assert script(Counting()).main(["--run", str(run), "--chart", str(chart), "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["step"] for row in rows] == [0, 10, 100]
    starts = {".html": b"<!doctype html>", ".svg": b"<svg", ".png": b"\x89PNG"}
    assert chart.read_bytes().startswith(starts[ending])


@pytest.mark.parametrize("wrong", [["--out", "x.csv"], ["--chart", "x.gif"]])
def test_files_of_other_kinds_are_refused(run: Path, wrong: list[str], capsys: Any) -> None:
    measure = Counting()
    assert script(measure).main(["--run", str(run), *wrong]) == 2
    assert measure.calls == 0 and wrong[0] in capsys.readouterr().err


def test_every_analysis_is_listed_and_has_a_script(repository: Path) -> None:
    folder = repository / "probes"
    files = {
        path.parent.name if path.stem == "script" else path.stem
        for path in folder.rglob("*.py")
        if "\nSCRIPT = " in path.read_text("utf-8")
    }
    assert list(ANALYSES) == sorted(files)
    for name in ANALYSES:
        assert import_module(f"probes.{name}").SCRIPT.name == name


def test_the_command_lists_the_analyses_and_refuses_others(capsys: Any) -> None:
    assert interp_main(["probe"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in ANALYSES)
    with pytest.raises(SystemExit) as end:
        interp_main(["probe", "nonsense"])
    assert end.value.code == 2
    assert "nonsense" in capsys.readouterr().err
