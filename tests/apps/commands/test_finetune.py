"""Fine-tuning and evaluating as a user of the command line does it."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from apps import cli
from interp.pretrained.folder import save_folder
from tests.train.tasks import small


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny model and examples for it."""
    monkeypatch.setattr("interp.train.loop.fastest_dtype", lambda device: torch.float32)
    save_folder(small.model(), tmp_path / "base")
    for name, n, seed in (("train", 60, 0), ("dev", 20, 1)):
        rows = [(record.text, record.label) for record in small.examples(n, seed)]
        pd.DataFrame(rows, columns=["text", "label"]).to_csv(tmp_path / f"{name}.csv", index=False)
    return tmp_path


def finetune(files: Path, *more: str, out: str = "run", task: str = "classification") -> int:
    data = ("--train", str(files / "train.csv"), "--dev", str(files / "dev.csv"))
    where = ("--out", str(files / out))
    return cli.main(("finetune", str(files / "base"), "--task", task, *data, *where, *more))


@pytest.mark.parametrize(
    "more", [("--method", "lora", "--rank", "2", "--targets", "*mlp.*"), ("--balanced",)]
)
def test_a_model_is_fine_tuned_and_then_knows_its_task(
    files: Path, more: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--epochs", "2", "--learning-rate", "0.01", "--label-smoothing", "0.1", *more)
    assert finetune(files, *words) == 0
    out = capsys.readouterr().out
    assert "most frequent class" in out and "accuracy" in out and "ci_low" in out
    data = ("--data", str(files / "dev.csv"), "--json", "--out", str(files / "found.csv"))
    assert cli.main(("evaluate", str(files / "run/model"), *data)) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["task"] for row in rows} == {"classification"}
    table = pd.read_csv(files / "found.csv")
    assert table["value"].tolist() == pytest.approx([row["value"] for row in rows])
    ours = pd.read_csv(files / "run/evaluation.csv").query("system == 'model'")
    assert ours["value"].tolist() == pytest.approx(table["value"].tolist())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--task", "dance"), "no task 'dance'"),
        ((), "does not say which task it is for"),
        (("--task", "classification"), "Fine-tune it on the task first"),
        (("--task", "chat"), "has no field 'prompt'"),
    ],
)
def test_what_cannot_be_evaluated_is_one_line(
    files: Path, words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = cli.main(("evaluate", str(files / "base"), *words, "--data", str(files / "dev.csv")))
    error = capsys.readouterr().err
    assert code == 2 and message in error and error.count("\n") == 1


def test_what_cannot_be_learnt_is_one_line_and_leaves_no_folder(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "dev.csv").write_text("text,label\na,maybe\n")
    assert finetune(files) == 2
    assert "'maybe'" in capsys.readouterr().err and not (files / "run").exists()
    assert finetune(files, "--balanced", task="chat") == 2
    assert not (files / "run").exists()
