"""Several processes train the model that one process trains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import interp
from interp.errors import ConfigError
from interp.processes import World, join
from tests.train.runs import weights

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="this torch has no torch.distributed"
)


def train(kind: str, steps: int, folder: Path, processes: int = 2) -> None:
    """Runs `tests.train.distributed` under torchrun, or as a plain process."""
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc-per-node", str(processes)]
    command += ["-m", "tests.train.distributed", kind, str(steps), str(folder)]
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
    folder = tmp_path_factory.mktemp("alone")
    train("alone", 8, folder, processes=1)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_two_processes_train_what_one_does(kind: str, alone: Path, tmp_path: Path) -> None:
    """Five rows, so that the processes have unequally many; and a break in between."""
    train(kind, 5, tmp_path)
    train(kind, 8, tmp_path)
    assert losses(tmp_path) == pytest.approx(losses(alone), rel=1e-5)
    pair = [weights(interp.load(folder / "model")) for folder in (alone, tmp_path)]
    for one, two in zip(*pair, strict=True):
        torch.testing.assert_close(two, one, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "then"), [(("fsdp", 2), ("alone", 1)), (("alone", 1), ("fsdp", 2))]
)
def test_a_run_goes_on_with_another_number_of_processes(
    first: tuple[str, int], then: tuple[str, int], alone: Path, tmp_path: Path
) -> None:
    train(first[0], 5, tmp_path, first[1])
    train(then[0], 8, tmp_path, then[1])
    assert losses(tmp_path) == pytest.approx(losses(alone), rel=1e-5)


def test_a_plain_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join() == World(0, 1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "2")
    with pytest.raises(ConfigError, match="torchrun"):
        join()
