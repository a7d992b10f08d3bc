"""What may be wrong with a suite of checkpoints, found by opening all of them.

Published suites have had each of these: the same weights under two step numbers, checkpoints of
another initialisation or configuration, files that were cut short.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pandas as pd
import torch

from interp.errors import InterpError

_INCIDENTAL = {"device", "dtype", "model_name"}
_JUMP = 5.0  # times as far as the steps around it


def audit(
    checkpoints: Mapping[int, Callable[[], Any]], config: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """Opens every checkpoint once and says what is wrong, a row for each finding.

    - `unreadable`: it cannot be opened.
    - `configuration`: its configuration is not the run's (or not the first checkpoint's).
    - `not finite`: weights are infinite or no numbers.
    - `same weights`: its weights are those of an earlier step.
    - `jump`: its weights moved far more, for the number of steps, than those around it.

    Args:
        checkpoints: step -> a function that opens it, steps ascending.
        config: what the run says its model is.

    Returns:
        Columns `step`, `finding`, `detail`; empty if nothing is wrong.
    """
    found: list[tuple[int, str, str]] = []
    known: dict[str, int] = {}
    moved: list[tuple[int, float]] = []
    expected = _comparable(config)
    before: tuple[int, torch.Tensor] | None = None
    for step, open_checkpoint in checkpoints.items():
        try:
            model = open_checkpoint()
        except InterpError as error:
            found.append((step, "unreadable", str(error)))
            continue
        cfg = _comparable(model.cfg.to_dict())
        expected = expected or cfg
        wrong = sorted(name for name in cfg if cfg[name] != expected.get(name))
        if wrong:
            detail = ", ".join(f"{n} is {cfg[n]}, not {expected.get(n)}" for n in wrong[:3])
            found.append((step, "configuration", detail))
        flat = torch.cat([p.detach().float().flatten() for p in model.parameters()])
        if not bool(flat.isfinite().all()):
            found.append((step, "not finite", f"{int((~flat.isfinite()).sum())} weights"))
            continue
        digest = hashlib.sha256(flat.numpy().tobytes()).hexdigest()
        if digest in known:
            found.append((step, "same weights", f"as at step {known[digest]}"))
        known.setdefault(digest, step)
        if before is not None and before[1].shape == flat.shape:
            # Between neighbours of like distance in steps this changes by small factors only.
            distance = float((flat - before[1]).norm()) / (step - before[0]) ** 0.5
            moved.append((step, distance))
        before = (step, flat)
    found += [(step, "jump", detail) for step, detail in _jumps(moved)]
    return pd.DataFrame(sorted(found), columns=["step", "finding", "detail"])


def _jumps(moved: list[tuple[int, float]]) -> Iterator[tuple[int, str]]:
    for i, (step, distance) in enumerate(moved):
        around = [d for _, d in moved[max(0, i - 2) : i] + moved[i + 1 : i + 3] if d > 0]
        # The larger of the middle ones: while the rate warms up, steps before are short by nature.
        usual = sorted(around)[len(around) // 2] if len(around) >= 2 else float("inf")
        if distance > _JUMP * usual:
            yield step, f"weights moved {distance / usual:.0f} times as far as around it"


def _comparable(values: Any) -> dict[str, Any]:
    plain = json.loads(json.dumps(values or {}, default=str))
    return {name: value for name, value in plain.items() if name not in _INCIDENTAL}
