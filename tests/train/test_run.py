"""A run opens as a suite, wherever its checkpoints come from, and says what is wrong with it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import interp
from interp.errors import InputError, LoadError
from interp.pretrained.folder import save_folder
from interp.train.loop import fit
from interp.train.run import Run
from tests.train.runs import Counting, settings, tiny, weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "counting"
    asked = settings(steps=60, checkpoint_every=10, ema=0.5)
    fit(tiny(), Counting(), asked, folder=folder, progress=False)
    return folder


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def checkpoint(folder: Path, step: int) -> Path:
    return folder / "checkpoints" / f"step-{step:08}"


def test_a_run_lists_and_opens_its_checkpoints(folder: Path) -> None:
    run = Run.open(folder)
    assert run.name == "counting" and len(run) == len(run.steps)
    assert run.steps == [0, 1, 2, 4, 8, 10, 16, 20, 30, 32, 40, 50, 60]
    first = weights(tiny())
    assert all(torch.equal(a, b) for a, b in zip(weights(run.load(0)), first, strict=True))
    last = weights(run.load(-1))
    assert all(torch.equal(a, b) for a, b in zip(weights(run.load(60)), last, strict=True))
    assert [step for step, _ in run] == run.steps
    with pytest.raises(InputError, match=r"16, 20, 30|20, 30"):
        run.load(23)


def test_the_end_of_a_run_is_what_it_asked_for(folder: Path) -> None:
    """Here the averaged weights, which are not those of the last checkpoint."""
    run = Run.open(folder)
    final, last = weights(run.final), weights(run.load(-1))
    assert not any(torch.equal(a, b) for a, b in zip(final, last, strict=True))


def test_the_log_is_a_frame(folder: Path) -> None:
    log = Run.open(folder).log
    assert list(log["step"]) == list(range(1, 61))
    assert log["loss"].iloc[-1] < log["loss"].iloc[0]


def test_weights_move_less_and_less_as_the_rate_falls(folder: Path) -> None:
    run = Run.open(folder)
    same = run.compare(10, 10)
    assert (same["change"] == 0).all() and same["cosine"].to_numpy() == pytest.approx(1.0, abs=1e-6)
    early, late = run.compare(10, 20), run.compare(50, 60)
    assert set(early["parameter"]) == {name for name, _ in tiny().named_parameters()}
    assert late["change"].median() < 0.5 * early["change"].median()


def test_an_average_is_the_mean(folder: Path) -> None:
    run = Run.open(folder)
    mean = weights(run.average([10, 20, 30]))
    terms = [weights(run.load(step)) for step in (10, 20, 30)]
    for found, *three in zip(mean, *terms, strict=True):
        torch.testing.assert_close(found, torch.stack(three).mean(0))
    with pytest.raises(InputError, match="nothing to average"):
        run.average([])


def test_suites_of_other_libraries_open_too(tmp_path: Path) -> None:
    import transformers

    config = transformers.GPT2Config(n_embd=8, n_layer=1, n_head=2, vocab_size=11, n_positions=8)
    for step in (0, 1000):
        transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path / f"step{step}")
    (tmp_path / "notes").mkdir()
    run = Run.open(tmp_path)
    assert run.steps == [0, 1000]
    assert run.load(1000).cfg.d_model == 8
    assert run.log.empty and run.audit().empty


def test_a_suite_on_the_hub_opens_by_its_revisions(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    class Ref:
        def __init__(self, name: str):
            self.name = name

    class Refs:
        branches = (Ref("main"), Ref("step512"), Ref("step1000"))
        tags = ()

    asked: list[Any] = []
    monkeypatch.setattr(huggingface_hub, "list_repo_refs", lambda name: Refs())
    monkeypatch.setattr("interp.train.run.load", lambda *args, **named: asked.append((args, named)))
    run = Run.open("someone/pythia-tiny")
    run.load(-1)
    assert run.steps == [512, 1000]
    assert asked == [(("someone/pythia-tiny",), {"revision": "step1000"})]


# -- what is wrong ---------------------------------------------------------------------------------


def findings(folder: Path) -> set[tuple[int, str]]:
    frame = Run.open(folder).audit()
    return set(zip(frame["step"], frame["finding"], strict=True))


def test_a_good_run_has_no_findings(folder: Path) -> None:
    assert findings(folder) == set()


def test_what_is_wrong_is_found(copy: Path) -> None:
    shutil.rmtree(checkpoint(copy, 20))
    shutil.copytree(checkpoint(copy, 16), checkpoint(copy, 20))
    (checkpoint(copy, 10) / "model.safetensors").write_bytes(b"cut")
    shutil.rmtree(checkpoint(copy, 50))
    save_folder(tiny(d_mlp=32), checkpoint(copy, 50))
    found = findings(copy)
    assert found == {(20, "same weights"), (10, "unreadable"), (50, "configuration")}


def test_weights_of_another_training_are_found(copy: Path) -> None:
    shutil.rmtree(checkpoint(copy, 32))
    save_folder(tiny(seed=7), checkpoint(copy, 32))
    assert findings(copy) == {(32, "jump"), (40, "jump")}  # there and back


def test_weights_that_are_no_numbers_are_found(copy: Path) -> None:
    model = interp.load(checkpoint(copy, 30))
    with torch.no_grad():
        model.embed.weight[0, 0] = float("nan")
    shutil.rmtree(checkpoint(copy, 30))
    save_folder(model, checkpoint(copy, 30))
    assert findings(copy) == {(30, "not finite")}


def test_a_checkpoint_that_was_not_finished_does_not_count(copy: Path) -> None:
    (checkpoint(copy, 30) / "config.json").unlink()
    assert 30 not in Run.open(copy).steps
    (checkpoint(copy, 32) / "metadata.json").unlink()
    assert findings(copy) == {(32, "unreadable")}


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    for what in (tmp_path, tmp_path / "absent", "./absent"):
        with pytest.raises(LoadError):
            Run.open(what)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(LoadError, match="JSON"):
        Run.open(tmp_path)
