"""A model learns a task, better than the simple rule, and leaves all that is needed to go on."""

from __future__ import annotations

import copy
import os
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import interp
from interp.data.records import Example
from interp.errors import ConfigError, InputError
from interp.train import finetune as module
from interp.train.finetune import Plan, finetune
from interp.train.lora import LoRA, load_adapter, merged
from interp.train.objective import CrossEntropy
from interp.train.run import Run
from interp.train.settings import Settings
from interp.train.tasks import open_task
from interp.train.tasks.classification import Classification
from tests.train.tasks import small

PLAN = Plan(epochs=12, learning_rate=1e-2, patience=12)


@pytest.fixture(autouse=True)
def float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares the measurement of which number format is fastest."""
    monkeypatch.setattr("interp.train.loop.fastest_dtype", lambda device: torch.float32)


def value(frame: pd.DataFrame, metric: str, system: str = "model") -> float:
    (found,) = frame.loc[(frame["metric"] == metric) & (frame["system"] == system), "value"]
    return float(found)


@pytest.mark.parametrize("method", ["full", "lora"])
@pytest.mark.parametrize("shape", ["decoder", "encoder"])
def test_a_word_that_decides_is_found_and_the_given_model_stays(method: Any, shape: str) -> None:
    model = small.model(shape)
    before = copy.deepcopy(model.state_dict())
    new, frame = finetune(
        model,
        "classification",
        small.examples(200),
        small.examples(60, seed=1),
        PLAN,
        method=method,
        lora=LoRA(rank=8, targets=("*",)) if method == "lora" else None,
        tokens=128,
        progress=False,
    )
    assert value(frame, "accuracy") > 0.9
    assert value(frame, "accuracy", "most frequent class") == 0.5
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert set(dict(new.named_parameters())) >= {"output.classifier.weight", "embed.weight"}
    assert not new.training and all(p.requires_grad for p in new.parameters())


def test_adapters_change_no_more_than_they_should() -> None:
    model = small.model()
    new, _ = finetune(
        model,
        "classification",
        small.examples(20),
        small.examples(10),
        Plan(epochs=2, learning_rate=1e-2),
        method="lora",
        lora=LoRA(rank=1, targets=("blocks.0.attn.q",)),
        progress=False,
    )
    old = dict(Classification(("neg", "pos")).prepare(model).named_parameters())
    changed = {name for name, p in new.named_parameters() if not torch.equal(p, old[name])}
    assert changed == {
        "blocks.0.attn.qkv.weight",
        "output.classifier.weight",
    }


@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_folder_holds_model_task_run_and_table(method: Any, tmp_path: Path) -> None:
    model, folder = small.model(), tmp_path / "run"
    train, dev = small.examples(40), small.examples(20, seed=1)
    arguments: Any = (model, "classification", train, dev, Plan(epochs=2, learning_rate=1e-2))
    new, frame = finetune(*arguments, method=method, folder=folder, progress=False)
    again = interp.load(folder / "model")
    records = small.examples(5, seed=2)
    task = open_task(folder / "model")
    assert task == Classification(("neg", "pos"))
    assert (task.answer(again, records) == task.answer(new, records)).all()
    read = pd.read_csv(folder / "evaluation.csv", keep_default_na=False)
    assert list(read) == list(frame) and read["value"].tolist() == pytest.approx(frame["value"])
    run = Run.open(folder)
    assert list(run.checkpoints)[:3] == [0, 1, 2]
    assert interp.load(run.checkpoints[1]).cfg.n_classes == 2
    if method == "lora":
        base = Classification(("neg", "pos")).prepare(model)
        load_adapter(base, folder / "adapter")
        assert (task.answer(merged(base), records) == task.answer(new, records)).all()
    # A finished run is not trained again.
    same, _ = finetune(*arguments, method=method, folder=folder, progress=False)
    assert (task.answer(same, records) == task.answer(new, records)).all()


def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, dev = small.examples(40), small.examples(20, seed=1)
    arguments: Any = (small.model(), "classification", train, dev, Plan(epochs=3))
    whole, _ = finetune(*arguments, method="lora", tokens=128, progress=False)
    real, calls = module.loss_of, []

    def interrupted(*given: Any) -> float:
        calls.append(given)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return real(*given)

    monkeypatch.setattr(module, "loss_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        finetune(*arguments, method="lora", tokens=128, folder=tmp_path, progress=False)
    assert not (tmp_path / "evaluation.csv").exists()
    new, _ = finetune(*arguments, method="lora", tokens=128, folder=tmp_path, progress=False)
    for one, other in zip(new.parameters(), whole.parameters(), strict=True):
        assert torch.equal(one, other)


def test_preferences_are_learnt_against_length() -> None:
    train, dev = small.preferences(40), small.preferences(10, seed=1)
    model = small.model()
    new, frame = finetune(
        model, "preference", train, dev, Plan(6, 1e-2), tokens=256, progress=False
    )
    assert value(frame, "accuracy_per_token") == 1
    assert value(frame, "accuracy") > 0.9 > value(frame, "accuracy", "the shorter answer")
    assert new is not model


def test_the_plan_is_a_tenth_of_warm_up_and_stops_by_the_tasks_figure() -> None:
    task = Classification(("a", "b"))
    settings = Plan(epochs=2.5, seed=4).settings(task, 768, 40, "full")
    assert (settings.steps, settings.warmup_steps, settings.evaluate_every) == (100, 10, 40)
    assert settings.learning_rate == pytest.approx(2e-5) and settings.seed == 4
    assert (settings.stop_on, settings.stop_higher, settings.patience) == ("accuracy", True, 2)
    assert Plan().settings(task, 192, 40, "full").learning_rate == pytest.approx(3.2e-4)
    assert Plan().settings(task, 768, 40, "lora").learning_rate == pytest.approx(2e-4)
    assert Plan(learning_rate=1.0).settings(task, 9, 1, "lora").learning_rate == 1.0


def test_own_settings_and_objective_are_used() -> None:
    train, dev = small.examples(20), small.examples(10)
    task = Classification.of(train)
    settings = Settings(steps=3, learning_rate=1e-3, warmup_steps=1, seed=5)
    one, _ = finetune(small.model(), task, train, dev, settings, progress=False)
    objective = CrossEntropy(label_smoothing=0.5, class_weights=(0.0, 1.0))
    other, _ = finetune(
        small.model(), task, train, dev, settings, objective=objective, progress=False
    )
    assert not torch.equal(one.embed.weight, other.embed.weight)


def test_what_cannot_be_learnt_is_refused() -> None:
    model, train = small.model(), small.examples(6)
    with pytest.raises(InputError, match="has the label 'maybe'"):
        finetune(model, "classification", train, [Example("a", "maybe")], progress=False)
    with pytest.raises(InputError, match="no examples"):
        finetune(model, "classification", train, [], progress=False)
    with pytest.raises(ConfigError, match="measured by"):
        finetune(model, "lm", ["a"], ["a"], progress=False)
    with pytest.raises(ConfigError, match="'full' or 'lora'"):
        finetune(model, "classification", train, train, method="half", progress=False)
    with pytest.raises(ConfigError, match="'full' or 'lora'"):
        finetune(model, "classification", train, train, lora=LoRA(), progress=False)
    with pytest.raises(ConfigError, match="writes text"):
        finetune(small.model("encoder_decoder"), "classification", train, train, progress=False)
