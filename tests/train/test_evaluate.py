"""One table for every task."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from interp.errors import ConfigError, InputError
from interp.train.evaluate import evaluate
from interp.train.tasks import TASKS, from_dict, kind_of, open_task, save_task
from interp.train.tasks.classification import Classification
from interp.train.tasks.preferring import Preferring
from tests.train.tasks import small


@pytest.mark.parametrize("name", TASKS)
def test_every_task_gives_the_same_columns(name: str) -> None:
    encoder = name in ("mlm", "classification", "extractive_qa")
    records = {
        "lm": small.sentences(4),
        "mlm": small.sentences(4),
        "classification": small.examples(4),
        "token_classification": small.tagged(4),
        "extractive_qa": small.questions(4),
        "chat": small.dialogues(2),
        "preference": small.preferences(4),
    }.get(name, small.pairs(2))
    task = kind_of(name).of(records)
    model = small.model("encoder" if encoder else "decoder")
    if hasattr(task, "prepare"):
        model = task.prepare(model)
    frame = evaluate(model, name, records)
    assert list(frame) == ["task", "metric", "value", "ci_low", "ci_high", "n", "signature"]
    assert (frame["task"] == name).all() and frame["metric"].is_unique
    assert (frame["n"] >= 2).all() and frame["value"].notna().all()
    known = frame["ci_low"].notna()
    assert (frame["ci_low"][known] <= frame["ci_high"][known]).all()
    assert frame.equals(evaluate(model, task, records))  # nothing is left to chance


def test_data_may_be_a_file_or_a_public_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = small.examples(6)
    lines = [json.dumps({"text": r.text, "label": r.label}) for r in records]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    model = Classification.of(records).prepare(small.model())
    assert evaluate(model, "classification", tmp_path / "a.jsonl").equals(
        evaluate(model, "classification", records)
    )
    monkeypatch.delenv("INTERP_DATA", raising=False)
    with pytest.raises(InputError, match="say in INTERP_DATA"):
        evaluate(model, "classification", "set:sentence_polarity:test")
    monkeypatch.setenv("INTERP_DATA", str(tmp_path))
    with pytest.raises(InputError, match="set:NAME:train"):
        evaluate(model, "classification", "set:sentence_polarity")
    with pytest.raises(ConfigError, match="no reader for 'nothing'"):
        evaluate(model, "classification", "set:nothing:test")


def test_what_is_empty_or_unknown_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no task 'dance'; there are lm, mlm"):
        evaluate(small.model(), "dance", [])
    with pytest.raises(InputError, match="no examples"):
        evaluate(small.model(), "chat", [])
    (tmp_path / "a.csv").write_text("prompt,answer\n")
    with pytest.raises(InputError, match="holds no example"):
        evaluate(small.model(), "chat", tmp_path / "a.csv")


@pytest.mark.parametrize("task", [Classification(("a", "b")), Preferring(0.2)])
def test_a_task_is_kept_beside_its_model(task: Classification | Preferring, tmp_path: Path) -> None:
    assert from_dict(json.loads(json.dumps(task.to_dict()))) == task
    assert open_task(tmp_path) is None
    save_task(task, tmp_path)
    assert open_task(tmp_path) == task
    (tmp_path / "task.json").write_text('{"task": "classification", "colour": 1}')
    with pytest.raises(OSError, match="names no task"):
        open_task(tmp_path)
    (tmp_path / "task.json").write_text("[]")
    with pytest.raises(OSError, match="names no task"):
        open_task(tmp_path)
