"""Several processes train the model that one process trains."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import interp
from interp.errors import ConfigError
from interp.processes import World, join
from tests.train.distributed import train
from tests.train.runs import weights

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="this torch has no torch.distributed"
)


def together(steps: int, *trainings: tuple[str, Path]) -> None:
    """Two processes of torchrun make the trainings, one after the other."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "tests.train.distributed", str(steps)]
    for kind, folder in trainings:
        command += [kind, str(folder)]
    done = subprocess.run(
        command,
        check=False,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process makes of the eight steps."""
    folder = tmp_path_factory.mktemp("alone")
    train("alone", 8, folder)
    return folder


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Five steps and, by other processes, the other three; who made which is in the names."""
    root = tmp_path_factory.mktemp("resumed")
    folder = {name: root / name for name in ("ddp", "fsdp", "fsdp_then_alone", "alone_then_fsdp")}
    together(5, ("ddp", folder["ddp"]), ("fsdp", folder["fsdp"]))
    shutil.copytree(folder["fsdp"], folder["fsdp_then_alone"])
    train("alone", 5, folder["alone_then_fsdp"])
    assert {len(losses(path)) for path in folder.values()} == {5}
    of_one = ("fsdp", folder["alone_then_fsdp"])
    together(8, ("ddp", folder["ddp"]), ("fsdp", folder["fsdp"]), of_one)
    train("alone", 8, folder["fsdp_then_alone"])
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_two_processes_train_what_one_does(
    kind: str, alone: Path, resumed: dict[str, Path]
) -> None:
    """Five rows, so that the processes have unequally many; and a break in between."""
    assert losses(resumed[kind]) == pytest.approx(losses(alone), rel=1e-5)
    pair = [weights(interp.load(folder / "model")) for folder in (alone, resumed[kind])]
    for one, two in zip(*pair, strict=True):
        torch.testing.assert_close(two, one, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fsdp_then_alone", "alone_then_fsdp"])
def test_a_run_goes_on_with_another_number_of_processes(
    name: str, alone: Path, resumed: dict[str, Path]
) -> None:
    assert losses(resumed[name]) == pytest.approx(losses(alone), rel=1e-5)


def test_a_plain_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join() == World(0, 1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "2")
    with pytest.raises(ConfigError, match="torchrun"):
        join()
