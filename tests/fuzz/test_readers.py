"""Every reader refuses damaged files or reads them, and the judge notices one that does not."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from interp.errors import LoadError
from tests.fuzz import judge as judging
from tests.fuzz.judge import FAULTS, Reader, judge
from tests.fuzz.mutate import BOMB, bomb, damage, fresh
from tests.fuzz.run import READERS

LENIENT = ("uploads", "card of a model")
"""Readers to which what cannot be read is as good as not there."""


@pytest.mark.parametrize("name", READERS)
def test_a_reader_refuses_damage_or_reads_it(name: str) -> None:
    """A few hundred damaged folders; `python -m tests.fuzz.run` takes thousands."""
    reader = READERS[name]
    verdicts = list(judge(name, reader, range(max(40, min(300, int(1_200 / reader.cost))))))
    faults = [verdict for verdict in verdicts if verdict.outcome in FAULTS]
    assert not faults, "\n".join(
        f"{fault.number} {fault.outcome}: {fault.what}" for fault in faults
    )
    assert any(verdict.outcome == "refused" for verdict in verdicts) or name in LENIENT


def make(folder: Path) -> None:
    (folder / "a.json").write_text('{"a": [1, 2, {"b": "text"}], "c": null}')
    (folder / "b.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")


def test_equal_numbers_damage_alike_and_others_otherwise(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    make(tmp_path / "whole")
    found = []
    for seed in ("x 1", "x 1", *(f"x {i}" for i in range(2, 60))):
        fresh(tmp_path / "whole", tmp_path / "target")
        damage(tmp_path / "target", seed)
        files = sorted(path for path in (tmp_path / "target").rglob("*") if path.is_file())
        found.append(tuple(p.read_bytes()[:100_000] for p in files if not p.is_symlink()))
    assert found[0] == found[1]
    assert len(set(found)) > 40


def _refuse(folder: Path) -> None:
    raise LoadError("damaged")


def _write_beside(folder: Path) -> None:
    (folder.parent / "outside" / "written.txt").write_text("here")


def _read_beside(folder: Path) -> None:
    (folder / ".." / "outside" / "secret.txt").read_text()


def _write_where_it_works(folder: Path) -> None:
    Path("relative.txt").write_text("in the working directory")


def _start(folder: Path) -> None:
    os.system("true")


def _ask(folder: Path) -> None:
    socket.getaddrinfo("localhost", 80)


def _fill(folder: Path) -> None:
    held = bytearray(judging.MOST_MEMORY + (64 << 20))
    held[::4096] = b"x" * len(held[::4096])


def _claim(folder: Path) -> None:
    bytearray(judging.ROOM * 2)


def _unpickle(folder: Path) -> None:
    import pickle

    pickle.loads(b"cposix\ngetpid\n.")


@pytest.mark.parametrize(
    ("read", "outcome"),
    [
        (lambda folder: None, "accepted"),
        (lambda folder: {}["a"], "crash"),
        (_refuse, "refused"),
        (_write_beside, "outside"),
        (_read_beside, "outside"),
        (_write_where_it_works, "outside"),
        (_start, "outside"),
        (_ask, "outside"),
        (_unpickle, "outside"),
        (_fill, "memory"),
        (_claim, "crash"),
        (lambda folder: os.kill(os.getpid(), signal.SIGKILL), "death"),
        (lambda folder: time.sleep(60), "hang"),
        (lambda folder: [None for _ in iter(int, 1)], "hang"),
    ],
)
def test_the_judge_notices(
    read: Callable[[Path], object], outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "COMPUTING", 0.5)
    monkeypatch.setattr(judging, "WAITING", 2.0)

    def only_damaged(folder: Path) -> object:
        """The whole folder is read before the others, outside of what is watched."""
        return None if folder.name == "whole" else read(folder)

    verdicts = list(judge("test", Reader(make, only_damaged), range(2)))
    assert [verdict.outcome for verdict in verdicts] == [outcome] * 2


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_a_bomb_is_small(suffix: str) -> None:
    assert len(bomb(suffix, b"a")) < BOMB / 200
