"""Kills a training again and again, in steps and in saves; started by `test_killing.py`.

    python -m tests.train.killing KILLS FOLDER

Each life is a forked process that trains into the same folder. A random time after it has saved a
first state of its own it is killed with SIGKILL; a fifth of them die earlier. After every kill all
that this life has left in the folder must open, in the end all that lies there, and the losses must
be those of a training that nobody killed. Prints what happened as JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import interp
from interp.train.loop import fit
from interp.train.state import newest_state
from tests.train.runs import Counting, settings, tiny

STEPS = 400
ASKED = settings(steps=STEPS, save_every=0.0, checkpoint_every=3, optimizer="muon")


def losses(folder: Path) -> list[float]:
    lines = (folder / "log.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines if line.endswith("}")]


def newest(folder: Path) -> int:
    found = newest_state(folder / "state")
    return -1 if found is None else int(found[1]["step"])


def train(folder: Path) -> int:
    """Starts a process that trains into a folder; returns its number."""
    child = os.fork()
    if child == 0:
        fit(tiny(dropout=0.1), Counting(), ASKED, folder=folder, progress=False)
        os._exit(0)
    return child


def ended(child: int) -> bool:
    """Waits for a process; whether it was killed before it was done."""
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the training itself failed"
    return os.WIFSIGNALED(status)


def kill(child: int, folder: Path) -> bool:
    """Kills a process at a random moment; whether it was still alive."""
    before, begin = newest(folder), time.monotonic()
    patience = 0.0 if random.random() < 0.2 else 20.0
    while newest(folder) == before and time.monotonic() - begin < patience:
        time.sleep(0.002)
    time.sleep(random.uniform(0, 0.1))
    os.kill(child, signal.SIGKILL)
    return ended(child)


def open_all(folder: Path, known: dict[Path, int]) -> None:
    """Opens the checkpoints that are not those that are known; knows them afterwards."""
    for checkpoint in (folder / "checkpoints").glob("step-*"):
        written = max(path.stat().st_mtime_ns for path in (checkpoint, *checkpoint.iterdir()))
        if known.get(checkpoint) != written:
            interp.load(checkpoint)
            known[checkpoint] = written


def main(kills: int, folder: Path) -> None:
    random.seed(0)
    whole, killed = folder / "whole", folder / "killed"
    ended(train(whole))
    died, in_save, states = 0, 0, set()
    opened: dict[Path, int] = {}
    while died < kills:
        died += kill(train(killed), killed)
        in_save += any(killed.rglob(".step*"))
        states.add(newest(killed))
        open_all(killed, opened)
    ended(train(killed))
    open_all(killed, {})
    result = {
        "kills": died,
        "in_save": in_save,
        "states": len(states),
        "equal": losses(killed) == losses(whole) and len(losses(whole)) == STEPS,
        "left_over": [str(p) for p in killed.rglob(".step*")],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
