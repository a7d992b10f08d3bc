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
from pathlib import Path
from typing import Any

from apps.audit.audited import Audited
from apps.audit.folder import AuditFolder
from apps.audit.recipe import Recipe
from apps.audit.running import run_audit
from tests.apps.audit.subjects import subject

PARTS = (
    *("identity", "purpose", "data", "performance", "shortcuts", "cases", "interventions"),
    *("limits", "reproduce"),
)


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


def life(audited: Audited, folder: Path, patience: float) -> bool:
    """One process that makes the audit; whether it was killed before it was done."""
    child = os.fork()
    if child == 0:
        run_audit(audited, folder, parts=PARTS)
        os._exit(0)
    until = time.monotonic() + patience
    while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < until:
        time.sleep(0.002)
    if not ended[0]:
        os.kill(child, signal.SIGKILL)
        ended = os.waitpid(child, 0)
    status = ended[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the audit itself failed"
    return os.WIFSIGNALED(status)


def opened(audited: Audited, folder: Path) -> int:
    """Opens every answer that is there; how many there are."""
    if not folder.exists():
        return 0
    begun = AuditFolder.open(folder, Recipe.of(audited))
    return sum(begun.stored(part) is not None for part in PARTS)


def main(kills: int, folder: Path) -> None:
    random.seed(0)
    audited = subject("classification")
    whole, killed = folder / "whole", folder / "killed"
    run_audit(audited, folder / "first", parts=PARTS)  # imports what the parts import
    began = time.monotonic()
    run_audit(audited, whole, parts=PARTS)
    seconds = time.monotonic() - began
    died, done, equal, in_write, answers = 0, 0, 0, 0, set()
    while died < kills or killed.exists():
        patience = random.uniform(0, 0.5 * seconds) if died < kills else float("inf")
        if life(audited, killed, patience):
            died += 1
            in_write += any(killed.rglob(".*"))
            answers.add(opened(audited, killed))
        else:
            done += 1
            equal += files(killed) == files(whole)
            shutil.rmtree(killed)
    result = {
        "kills": died,
        "in_write": in_write,
        "answers": sorted(answers),
        "audits": done,
        "equal": equal,
        "seconds": round(seconds, 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
