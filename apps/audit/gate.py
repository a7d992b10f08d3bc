"""Thresholds that an audit must keep: a gate before a model is used.

[measures]
"performance.accuracy" = { min = 0.7 }
"privacy.membership_auroc" = { max = 0.6 }

[findings]
risk = 0                            # at most so many of a level
allow = ["privacy.personal_data"]   # known and accepted: not counted
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from apps.audit.parts import PARTS
from apps.audit.report import Report, part_of
from apps.audit.section import Level
from interp import InputError
from interp.figures.labels import number
from interp.untrusted import fits, read_toml, shown


@dataclass(frozen=True)
class Thresholds:
    """What is asked of an audit.

    Attributes:
        measures: `part.what` -> lowest and highest value that passes; None for no bound.
        most: level -> so many findings of it pass.
        allow: keys of findings that are not counted.
    """

    measures: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)
    most: Mapping[Level, int] = field(default_factory=dict)
    allow: frozenset[str] = frozenset()

    @classmethod
    def read(cls, path: Path) -> Thresholds:
        """The thresholds of a TOML file.

        Raises:
            LoadError: it cannot be read.
            InputError: something in it means nothing here.
        """
        values = read_toml(path)
        _known(values, ("measures", "findings"), f"{path} has a table")
        measures = _table(values, "measures", path)
        findings = _table(values, "findings", path)
        allow = findings.pop("allow", [])
        _known(findings, get_args(Level), f"{path}, [findings], names the level")
        if not isinstance(allow, list) or not all(isinstance(key, str) for key in allow):
            raise InputError(f"{path}, [findings]: allow is a list of keys, in quotation marks.")
        _known([key.partition(".")[0] for key in allow], PARTS, f"{path}, allow, names the part")
        for level, most in findings.items():
            if not isinstance(most, int) or isinstance(most, bool) or most < 0:
                raise InputError(
                    f"{path}, [findings]: {level} is {shown(most)}, not a number of them."
                )
        bounds = {name: _bounds(name, given, path) for name, given in measures.items()}
        most = {level: findings[level] for level in get_args(Level) if level in findings}
        return cls(bounds, most, frozenset(allow))

    def breaches(self, report: Report) -> list[str]:
        """What an audit does not keep, a sentence each.

        Raises:
            InputError: a measure that the audit does not have.
        """
        broken = []
        for name, (low, high) in self.measures.items():
            if name not in report.measures:
                broken.append(_absent(name, report))
                continue
            value = report.measures[name]
            if value is None:
                broken.append(f"{name} is no number.")
            elif low is not None and value < low:
                broken.append(f"{name} is {number(value)}, below {number(low)}.")
            elif high is not None and value > high:
                broken.append(f"{name} is {number(value)}, above {number(high)}.")
        for level, most in self.most.items():
            counted = [f for f in report.findings if f.level == level and f.key not in self.allow]
            if len(counted) > most:
                broken += [f"{finding.key} ({level}): {finding.sentence}" for finding in counted]
        return broken


def _table(values: dict[str, Any], name: str, path: Path) -> dict[str, Any]:
    table = values.get(name, {})
    if not isinstance(table, dict):
        raise InputError(f"{path}: {name} is no table; begin it with [{name}].")
    return dict(table)


def _bounds(name: str, given: Any, path: Path) -> tuple[float | None, float | None]:
    right = isinstance(given, dict) and given and given.keys() <= {"min", "max"}
    if not right or not all(fits(bound, float) for bound in given.values()):
        raise InputError(
            f'{path}: write "{name}" = {{ min = 0.5 }}, with min, max or both, all of them numbers.'
        )
    _known([name.partition(".")[0]], PARTS, f"{path} names a measure of the part")
    return given.get("min"), given.get("max")


def _absent(name: str, report: Report) -> str:
    """Why a measure is not there, if there is a reason; else it is a mistake."""
    part = name.partition(".")[0]
    if part in report.skipped:
        return f"{name} is not known: the part {part} was not asked."
    for finding in report.findings:
        if part_of(finding) == part and finding.level == "unknown":
            return f"{name} is not known. {finding.sentence}"
    raise InputError(f"The audit has no measure {name!r}{_nearest(name, report.measures)}.")


def _known(names: Iterable[str], known: Iterable[str], what: str) -> None:
    for name in names:
        if name not in known:
            raise InputError(f"{what} {shown(name)}{_nearest(name, known)}.")


def _nearest(name: str, known: Iterable[str]) -> str:
    everything = list(known)
    near = difflib.get_close_matches(name, everything, n=3, cutoff=0.4) or everything[:12]
    return f"; near it are {', '.join(near)}" if near else "; there are none"
