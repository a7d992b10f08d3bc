"""What may be wrong with a suite of checkpoints, found by opening all of them.

Published suites have had each of these: the same weights under two step numbers, checkpoints of
another initialisation or configuration, files that were cut short.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch

from interp.errors import InterpError
from interp.model.fingerprint import weights_hash

_INCIDENTAL = {"device", "dtype", "model_name"}
_JUMP = 5.0  # times as far as the steps around it


@dataclass(frozen=True)
class Checkpoint:
    """What was seen of one checkpoint.

    Attributes:
        model_hash: of its weights; None if it cannot be opened.
        norm: of all weights together; NaN unless they are finite.
        distance: norm of the difference from the checkpoint before it, of those with finite weights
            of the same number; NaN for the first.
        relative: `distance` over the norm of that checkpoint.
        same_as: the earlier step with the same weights, if there is one.
        findings: what is wrong, as pairs of a word and a detail; see `audit`.
    """

    step: int
    model_hash: str | None = None
    norm: float = math.nan
    distance: float = math.nan
    relative: float = math.nan
    same_as: int | None = None
    findings: tuple[tuple[str, str], ...] = ()


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
    found = [
        (seen.step, finding, detail)
        for seen in trajectory(checkpoints, config)
        for finding, detail in seen.findings
    ]
    return pd.DataFrame(sorted(found), columns=["step", "finding", "detail"])


def trajectory(
    checkpoints: Mapping[int, Callable[[], Any]], config: Mapping[str, Any] | None = None
) -> list[Checkpoint]:
    """The way of a training through its weights, a record for each checkpoint; see `audit`."""
    seen = list(_walk(checkpoints, _comparable(config)))
    jumps = dict(_jumps(seen))
    return [
        dataclasses.replace(one, findings=(*one.findings, ("jump", jumps[one.step])))
        if one.step in jumps
        else one
        for one in seen
    ]


def _walk(
    checkpoints: Mapping[int, Callable[[], Any]], expected: dict[str, Any]
) -> Iterator[Checkpoint]:
    known: dict[str, int] = {}
    before: torch.Tensor | None = None
    for step, open_checkpoint in checkpoints.items():
        try:
            model = open_checkpoint()
        except InterpError as error:
            yield Checkpoint(step, findings=(("unreadable", str(error)),))
            continue
        found = []
        cfg = _comparable(model.cfg.to_dict())
        expected = expected or cfg
        # What a field younger than the run was then, the run does not say.
        wrong = sorted(name for name in expected.keys() & cfg if cfg[name] != expected[name])
        if wrong:
            detail = ", ".join(f"{n} is {cfg[n]}, not {expected[n]}" for n in wrong[:3])
            found.append(("configuration", detail))
        digest = weights_hash(model)
        flat = torch.cat([p.detach().float().flatten() for p in model.parameters()])
        if not bool(flat.isfinite().all()):
            found.append(("not finite", f"{int((~flat.isfinite()).sum())} weights"))
            yield Checkpoint(step, digest, findings=tuple(found))
            continue
        same_as = known.get(digest)
        if same_as is not None:
            found.append(("same weights", f"as at step {same_as}"))
        known.setdefault(digest, step)
        distance = relative = math.nan
        if before is not None and before.shape == flat.shape:
            distance = float((flat - before).norm())
            relative = distance / max(float(before.norm()), 1e-30)
        before = flat
        norm = float(flat.norm())
        yield Checkpoint(step, digest, norm, distance, relative, same_as, tuple(found))


def _jumps(seen: list[Checkpoint]) -> Iterator[tuple[int, str]]:
    finite = [one for one in seen if math.isfinite(one.norm)]
    # Between neighbours of like distance in steps this changes by small factors only.
    moved = [
        (one.step, one.distance / (one.step - earlier.step) ** 0.5)
        for earlier, one in itertools.pairwise(finite)
        if math.isfinite(one.distance)
    ]
    for i, (step, distance) in enumerate(moved):
        around = [d for _, d in moved[max(0, i - 2) : i] + moved[i + 1 : i + 3] if d > 0]
        # The larger of the middle ones: while the rate warms up, steps before are short by nature.
        usual = sorted(around)[len(around) // 2] if len(around) >= 2 else float("inf")
        if distance > _JUMP * usual:
            yield step, f"weights moved {distance / usual:.0f} times as far as around it"


def _comparable(values: Any) -> dict[str, Any]:
    plain = json.loads(json.dumps(values or {}, default=str))
    return {name: value for name, value in plain.items() if name not in _INCIDENTAL}
