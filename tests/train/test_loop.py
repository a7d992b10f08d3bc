"""Training: the step is what a plain loop would do, and a break leaves no trace."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import interp
from interp.data.batch import IGNORED, Batch
from interp.errors import ConfigError, TrainingError
from interp.model.transformer import HookedTransformer
from interp.train.loop import fit
from interp.train.objective import CrossEntropy
from tests.train.runs import Counting, settings, tiny, weights


def equal(a: HookedTransformer, b: HookedTransformer) -> bool:
    return all(torch.equal(x, y) for x, y in zip(weights(a), weights(b), strict=True))


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]


def test_a_training_is_the_plain_loop(tmp_path: Path) -> None:
    """AdamW, clipping and the mean over labels, against torch's own pieces put together here."""
    model, plain = tiny(), tiny()
    asked = settings(schedule="constant", warmup_steps=0, clip=0.5, weight_decay=0.0)
    fit(model, Counting(), asked, folder=tmp_path, progress=False)
    optimizer = torch.optim.AdamW(
        plain.parameters(), lr=asked.learning_rate, betas=asked.betas, weight_decay=0.0
    )
    expected = []
    for step in range(12):
        batch = Counting().batch(step)
        logits = plain(batch.inputs["tokens"])
        loss = F.cross_entropy(logits.flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORED)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad()
        expected.append(loss.item())
    assert losses(tmp_path) == pytest.approx(expected, rel=1e-5)
    for mine, theirs in zip(weights(model), weights(plain), strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_it_learns(optimizer: str) -> None:
    model = tiny()
    done = fit(model, Counting(), settings(steps=300, optimizer=optimizer), progress=False)
    assert done.loss < 0.2 and done.steps == 300
    assert not model.training


@pytest.mark.parametrize("micro_batches", [2, 3, 6, 100])
def test_parts_add_up_to_the_whole(micro_batches: int, tmp_path: Path) -> None:
    """Rows with unequally many labels: only a mean over all labels of the step gives this."""
    whole, parts = tiny(), tiny()
    fit(whole, Counting(), settings(), folder=tmp_path / "a", progress=False)
    asked = settings(micro_batches=micro_batches)
    fit(parts, Counting(), asked, folder=tmp_path / "b", progress=False)
    assert losses(tmp_path / "b") == pytest.approx(losses(tmp_path / "a"), rel=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "bfloat16"},
        {"recompute": True},
        {"recompute": True, "precision": "bfloat16", "micro_batches": 3},
    ],
)
def test_how_it_is_computed_changes_little(change: dict[str, Any]) -> None:
    exact, other = tiny(), tiny()
    fit(exact, Counting(), settings(), progress=False)
    fit(other, Counting(), settings(**change), progress=False)
    limit = 0.05 if "precision" in change else 1e-5
    for mine, theirs in zip(weights(other), weights(exact), strict=True):
        torch.testing.assert_close(mine, theirs, atol=limit, rtol=0)
    assert all(p.dtype == torch.float32 for p in other.parameters())
    assert all("forward" not in vars(block) for block in other.blocks)


# -- breaks ----------------------------------------------------------------------------------------


class Broken(RuntimeError):
    pass


class Breaking(Counting):
    """Breaks down when it is asked for the batch of `at`."""

    at = 7

    def batch(self, step: int) -> Batch:
        if step == self.at:
            raise Broken
        return super().batch(step)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"optimizer": "muon", "ema": 0.9},
        {"precision": "bfloat16"},
        {"stop_on": "loss", "evaluate_every": 2, "patience": 50},
    ],
    ids=str,
)
def test_a_break_leaves_no_trace(change: dict[str, Any], tmp_path: Path) -> None:
    asked = settings(save_every=0.0, **change)
    whole, broken, resumed = (tiny(dropout=0.2) for _ in range(3))

    def evaluate(model: HookedTransformer) -> dict[str, float]:
        return {"loss": float(CrossEntropy()(model, Counting().batch(99)))}

    a, b = tmp_path / "a", tmp_path / "b"
    unbroken = fit(whole, Counting(), asked, evaluate=evaluate, folder=a, progress=False)
    with pytest.raises(Broken):
        fit(broken, Breaking(), asked, evaluate=evaluate, folder=b, progress=False)
    assert len(losses(b)) == 7
    with (b / "log.jsonl").open("a") as file:
        file.write('{"step": 8, "lo')  # cut short
    done = fit(resumed, Counting(), asked, evaluate=evaluate, folder=b, progress=False)
    assert equal(whole, resumed)
    assert losses(b) == losses(a) and len(losses(a)) == 12
    assert (done.loss, done.tokens, done.figures) == (
        unbroken.loss,
        unbroken.tokens,
        unbroken.figures,
    )


def test_ctrl_c_ends_the_step_saves_and_goes_on(tmp_path: Path) -> None:
    class Interrupting(Counting):
        def batch(self, step: int) -> Batch:
            if step == 4:
                os.kill(os.getpid(), signal.SIGINT)
            return super().batch(step)

    whole, model = tiny(), tiny()
    fit(whole, Counting(), settings(), progress=False)
    with pytest.raises(KeyboardInterrupt):
        fit(model, Interrupting(), settings(), folder=tmp_path, progress=False)
    assert len(losses(tmp_path)) == 5
    fit(model, Counting(), settings(), folder=tmp_path, progress=False)
    assert equal(whole, model)


def test_evaluating_changes_nothing(tmp_path: Path) -> None:
    plain, watched = tiny(dropout=0.2), tiny(dropout=0.2)
    fit(plain, Counting(), settings(), progress=False)
    asked = settings(evaluate_every=1)
    calls = []

    def evaluate(model: HookedTransformer) -> dict[str, float]:
        calls.append(float(torch.rand(())))  # whoever evaluates may draw
        assert not model.training and not torch.is_grad_enabled()
        return {"x": 1.0}

    fit(watched, Counting(), asked, evaluate=evaluate, progress=False)
    assert equal(plain, watched) and len(calls) == 13


def test_the_random_state_of_the_caller_is_left_alone() -> None:
    model = tiny(dropout=0.5)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(model, Counting(), settings(), progress=False)
    assert torch.equal(torch.rand(3), expected)


# -- what a run keeps ------------------------------------------------------------------------------


def test_a_run_keeps_checkpoints_that_open(tmp_path: Path) -> None:
    model = tiny()
    first = tiny()
    fit(model, Counting(), settings(checkpoint_every=10), folder=tmp_path, progress=False)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == [f"step-{step:08}" for step in (0, 1, 2, 4, 8, 10, 12)]
    assert equal(interp.load(tmp_path / "checkpoints" / names[0]), first)
    assert equal(interp.load(tmp_path / "checkpoints" / names[-1]), model)
    assert equal(interp.load(tmp_path / "model"), model)
    assert len(list((tmp_path / "state").glob("*"))) == 1


def test_another_run_is_refused(tmp_path: Path) -> None:
    fit(tiny(), Counting(), settings(), folder=tmp_path, progress=False)
    for model, source, asked, words in (
        (tiny(), Counting(), settings(learning_rate=1e-2), "learning_rate"),
        (tiny(d_mlp=32), Counting(), settings(), "model"),
        (tiny(), Counting(rows=5), settings(), "data"),
        (tiny(), Counting(), settings(steps=20), "steps"),
    ):
        with pytest.raises(TrainingError, match=words):
            fit(model, source, asked, folder=tmp_path, progress=False)
    objective = CrossEntropy(z_loss=0.1)
    with pytest.raises(TrainingError, match="objective"):
        fit(tiny(), Counting(), settings(), objective=objective, folder=tmp_path, progress=False)


def test_a_run_goes_on_further_where_that_changes_nothing(tmp_path: Path) -> None:
    long, extended = tiny(), tiny()
    asked = settings(schedule="constant", steps=20)
    fit(long, Counting(), asked, progress=False)
    fit(extended, Counting(), asked.replace(steps=12), folder=tmp_path, progress=False)
    fit(extended, Counting(), asked, folder=tmp_path, progress=False)
    assert equal(long, extended)


def test_a_run_from_before_a_setting_goes_on_with_its_default(tmp_path: Path) -> None:
    asked = settings(schedule="constant", steps=12)
    fit(tiny(), Counting(), asked, folder=tmp_path, progress=False)
    about = json.loads((tmp_path / "run.json").read_text())
    del about["settings"]["decay_embeddings"]
    del about["model"]["class_names"]
    (tmp_path / "run.json").write_text(json.dumps(about))
    again = asked.replace(decay_embeddings=True)
    with pytest.raises(TrainingError, match="decay_embeddings"):
        fit(tiny(), Counting(), again, folder=tmp_path, progress=False)
    fit(tiny(), Counting(), asked, folder=tmp_path, progress=False)


def test_two_trainings_in_one_folder_are_refused(tmp_path: Path) -> None:
    class Nested(Counting):
        def batch(self, step: int) -> Batch:
            with pytest.raises(TrainingError, match="Another process"):
                fit(tiny(), Counting(), settings(), folder=tmp_path, progress=False)
            return super().batch(step)

    fit(tiny(), Nested(), settings(steps=1), folder=tmp_path, progress=False)


# -- care ------------------------------------------------------------------------------------------


def test_a_bad_step_is_skipped_and_named(tmp_path: Path) -> None:
    class Once(CrossEntropy):
        def __call__(self, model: HookedTransformer, batch: Batch) -> torch.Tensor:
            loss = super().__call__(model, batch)
            bad = torch.equal(batch.inputs["tokens"], Counting().batch(5).inputs["tokens"])
            return loss * float("nan") if bad else loss

    model = tiny()
    done = fit(model, Counting(), settings(), objective=Once(), folder=tmp_path, progress=False)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert done.skipped == 1
    assert [line["step"] for line in lines if "skipped" in line] == [6]
    assert "batch is that of step 5" in lines[5]["skipped"] and lines[5]["loss"] is None
    assert all(p.isfinite().all() for p in model.parameters())


def test_a_lost_training_ends() -> None:
    class Lost(CrossEntropy):
        def __call__(self, model: HookedTransformer, batch: Batch) -> torch.Tensor:
            return super().__call__(model, batch) * float("inf")

    with pytest.raises(TrainingError, match="in a row"):
        fit(tiny(), Counting(), settings(steps=50), objective=Lost(), progress=False)


def test_training_stops_when_it_gets_no_better_and_keeps_the_best() -> None:
    model = tiny()
    values = iter([3.0, 1.0, 2.0, 2.0, 2.0, 0.0])
    seen: list[list[torch.Tensor]] = []

    def evaluate(model: HookedTransformer) -> dict[str, float]:
        seen.append(weights(model))
        return {"dev": next(values)}

    asked = settings(steps=100, evaluate_every=2, stop_on="dev", patience=3)
    done = fit(model, Counting(), asked, evaluate=evaluate, progress=False)
    assert done.steps == 10
    assert all(torch.equal(a, b) for a, b in zip(weights(model), seen[1], strict=True))


def test_frozen_parameters_stay() -> None:
    model = tiny()
    model.blocks[0].requires_grad_(False)
    before = [p.clone() for p in model.blocks[0].parameters()]
    fit(model, Counting(), settings(), progress=False)
    after = list(model.blocks[0].parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_time_budget_ends_in_time_with_the_rate_at_its_lowest(tmp_path: Path) -> None:
    asked = settings(steps=None, minutes=0.02, checkpoint_every=5)
    done = fit(tiny(), Counting(), asked, folder=tmp_path, progress=False)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert done.steps == len(lines) > 5
    assert lines[-1]["rate"] < 0.3 and max(line["rate"] for line in lines) == 1.0


def test_wrong_use_is_refused() -> None:
    with pytest.raises(ConfigError, match="float32"):
        fit(tiny().bfloat16(), Counting(), settings(), progress=False)
    with pytest.raises(ConfigError, match="evaluate"):
        fit(tiny(), Counting(), settings(stop_on="x", evaluate_every=1), progress=False)
    with pytest.raises(ConfigError, match="nothing to train"):
        fit(tiny().requires_grad_(False), Counting(), settings(), progress=False)
    with pytest.raises(interp.InputError, match="label is 10"):
        fit(tiny(d_vocab=11, d_vocab_out=10), Counting(), settings(), progress=False)
