"""An audit that hangs in its third part, to be killed from outside: `python -m ... FOLDER`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import ModuleType

import pandas as pd

from apps.audit.audited import Audited
from apps.audit.opening import open_audited
from apps.audit.running import run_audit
from apps.audit.section import Finding, Section

PARTS = ("purpose", "data", "performance")


def quick(name: str) -> Section:
    finding = Finding(f"{name}.found", "fine", "It answers.", ("rows",))
    return Section(name, name, findings=(finding,), tables={"rows": pd.DataFrame({"x": [1, 2]})})


def hang(audited: Audited) -> Section:
    time.sleep(600)
    raise AssertionError


if __name__ == "__main__":
    for name in PARTS:
        module = ModuleType(name)
        module.part = hang if name == PARTS[-1] else lambda audited, n=name: quick(n)  # type: ignore[attr-defined]
        sys.modules[f"apps.audit.parts.{name}"] = module
    run_audit(open_audited("induction"), Path(sys.argv[1]), parts=PARTS)
