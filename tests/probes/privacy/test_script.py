"""The command asks each question of a model in a folder and draws the answer."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from interp.pretrained.folder import save_folder
from probes.privacy.canaries import make_canaries
from probes.privacy.canaries import save as save_canaries
from probes.privacy.script import SCRIPT
from tests.train.tasks.small import model, pairs, sentences


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_folder(model(), tmp_path / "small")
    for name, seed in (("in", 0), ("out", 1)):
        lines = [json.dumps({"text": text}) for text in sentences(20, seed)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    save_canaries(make_canaries((0, 1), 2, digits=2), tmp_path / "canaries.jsonl")
    return tmp_path


def ask(folder: Path, question: str, *more: str, name: str = "small") -> pd.DataFrame:
    out = folder / f"{question}.parquet"
    code = SCRIPT.main(["--ask", question, "--run", str(folder / name), "--out", str(out), *more])
    assert code == 0
    return pd.read_parquet(out)


def test_canaries(folder: Path) -> None:
    chart = folder / "canaries.svg"
    frame = ask(
        folder, "canaries", "--canaries", str(folder / "canaries.jsonl"), "--chart", str(chart)
    )
    assert frame["unit_id"].nunique() == 4
    assert set(frame["run"]) == {"small"}
    assert "exposure (bits)" in chart.read_text()


def test_membership(folder: Path) -> None:
    chart = folder / "roc.svg"
    files = ["--members", str(folder / "in.jsonl"), "--others", str(folder / "out.jsonl")]
    frame = ask(
        folder, "membership", *files, "--reference", str(folder / "small"), "--chart", str(chart)
    )
    assert {"loss", "reference", "blind"} <= set(frame["attack"])
    assert "AUROC" in chart.read_text()


def test_extraction_and_personal_data(folder: Path) -> None:
    members = ["--members", str(folder / "in.jsonl")]
    frame = ask(folder, "extraction", *members, "--prompts", "1", "2", "--next", "2")
    assert set(frame["k"]) == {1, 2}
    frame = ask(folder, "personal", *members, "--generate", "2")
    assert set(frame["where"]) == {"training", "generated"}


def test_pairs_of_an_encoder_decoder(folder: Path) -> None:
    save_folder(model("encoder_decoder"), folder / "pair")
    for name, seed in (("in", 0), ("out", 1)):
        rows = [
            json.dumps({"source": p.source, "target": p.references[0]}) for p in pairs(20, seed)
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(rows))
    files = ["--members", str(folder / "in.jsonl"), "--others", str(folder / "out.jsonl")]
    assert "min_k++" in set(ask(folder, "membership", *files, name="pair")["attack"])


def test_a_question_without_its_file_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = SCRIPT.main(["--ask", "membership", "--run", str(folder / "small")])
    assert code == 2
    assert "needs --members" in capsys.readouterr().err
