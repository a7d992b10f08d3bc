"""Kills an audit again and again; `test_killing.py` starts it.

    python -m tests.apps.audit.killing KILLS FOLDER

Each life is a forked process that makes the same audit, of a small classifier, in the same folder,
and is killed with SIGKILL at a random moment. After every kill each answer that lies in the folder
must open. An audit that comes to its end must have the tables, findings and figures of one that
nobody killed, and no file beside them; then another is begun. Prints what happened as JSON.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from apps.audit.folder import AuditFolder
from apps.audit.recipe import Recipe
from apps.audit.running import run_audit
from tests.apps.audit.subjects import subject

PARTS = (
    *("identity", "purpose", "data", "performance", "shortcuts", "cases", "interventions"),
    *("limits", "reproduce"),
)

_BROKEN = 99  # the exit code of what failed by itself


def files(folder: Path) -> dict[str, Any]:
    """What an audit says, by file: of the answers all but the time they took, of the report all
    but that and its date."""
    found: dict[str, Any] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".json":
            found[name] = _timeless(json.loads(path.read_text("utf-8")))
        elif path.suffix == ".parquet":
            found[name] = path.read_bytes()
        else:
            found[name] = ""  # made of the others, with date and times
    return found


def _timeless(values: Any) -> Any:
    if isinstance(values, dict):
        return {k: _timeless(v) for k, v in values.items() if k not in ("seconds", "date")}
    return [_timeless(value) for value in values] if isinstance(values, list) else values


def started(work: Callable[[], int]) -> int:
    """The number of a forked process whose exit code is what the work returns."""
    child = os.fork()
    if child == 0:
        code = _BROKEN
        try:
            code = work()
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    return child


def ended(child: int, patience: float = float("inf")) -> int | None:
    """The exit code of a process; None for one that was killed when the patience had ended."""
    until = time.monotonic() + patience
    while not (end := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < until:
        time.sleep(0.002)
    if not end[0]:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return None
    code = os.waitstatus_to_exitcode(end[1])
    assert 0 <= code < _BROKEN, "the audit itself failed"
    return code


def main(kills: int, folder: Path) -> None:
    random.seed(0)
    for part in PARTS:
        import_module(f"apps.audit.parts.{part}")
    audited = subject("classification")
    whole, killed = folder / "whole", folder / "killed"

    def audit(out: Path) -> int:
        run_audit(audited, out, parts=PARTS)
        return 0

    def opened() -> int:
        """Opens every answer that is there; how many there are."""
        begun = AuditFolder.open(killed, Recipe.of(audited))
        return sum(begun.stored(part) is not None for part in PARTS)

    # All work is done in children: one that is forked from a process with threads may hang.
    began = time.monotonic()
    ended(started(lambda: audit(whole)))
    seconds = time.monotonic() - began
    died, done, equal, in_write, answers = 0, 0, 0, 0, set[int | None]()
    while died < kills or killed.exists():
        patience = random.uniform(0, seconds) if died < kills else float("inf")
        if ended(started(lambda: audit(killed)), patience) is None:
            died += 1
            if killed.exists():
                in_write += any(killed.rglob(".*"))
                answers.add(ended(started(opened)))
        else:
            done += 1
            equal += files(killed) == files(whole)
            shutil.rmtree(killed)
    result = {
        "kills": died,
        "in_write": in_write,
        "answers": sorted(found for found in answers if found is not None),
        "audits": done,
        "equal": equal,
        "seconds": round(seconds, 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
