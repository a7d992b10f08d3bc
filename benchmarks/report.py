"""Lines of measurements, the targets they are held against, and both as text and Markdown."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import Ratio
from benchmarks.peers import BRIDGE, HF, NAMES, TWIN

OWN = "own forward"
BASES = (HF, BRIDGE, TWIN, OWN)
_FACTOR = {"ms": 1e3, "s": 1.0, "MiB": 2**-20}


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Attributes:
        section: what was measured on, such as `GPT-2 small, 4 x 128, float32`.
        name: what was measured.
        unit: `ms` or `s` (of values in seconds) or `MiB` (of values in bytes).
        values: median by contestant, in seconds or bytes; an absent contestant has none.
        ratios: our value in units of another contestant's, or of our own forward pass.
    """

    section: str
    name: str
    unit: str
    values: dict[str, float]
    ratios: dict[str, Ratio] = field(default_factory=dict)

    def cells(self) -> list[str]:
        """The line as it is printed, without its section."""
        medians = [self._value(name) for name in NAMES]
        ratios = [str(self.ratios[base]) if base in self.ratios else "" for base in BASES]
        return [self.name, *medians, *ratios]

    def _value(self, name: str) -> str:
        if name not in self.values:
            return "-"
        value = self.values[name] * _FACTOR[self.unit]
        digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 0.1 else 3
        return f"{value:.{digits}f} {self.unit}"


@dataclass(frozen=True)
class Target:
    """A promise: `measured` is at most `limit`."""

    name: str
    measured: float
    limit: float

    @property
    def met(self) -> bool:
        """Rounded as the limit is written, to two decimals."""
        return round(self.measured, 2) <= self.limit

    def cells(self) -> list[str]:
        verdict = "yes" if self.met else "**no**"
        return [self.name, f"{self.measured:.2f}", f"{self.limit:.2f}", verdict]


@dataclass(frozen=True)
class Report:
    """All lines and targets of one run, and the machine it ran on."""

    machine: dict[str, str]
    lines: list[Line]
    targets: list[Target]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        targets = [{**asdict(target), "met": target.met} for target in self.targets]
        return {
            "machine": self.machine,
            "lines": [asdict(line) for line in self.lines],
            "targets": targets,
        }

    def to_text(self) -> str:
        """For a terminal."""
        head = "\n".join(f"{name}: {value}" for name, value in self.machine.items())
        parts = [head, as_text(_HEADER, self._rows(lambda section: section))]
        if self.targets:
            parts.append(as_text(_TARGETS, [target.cells() for target in self.targets]))
        return "\n\n".join(parts).replace("**", "")

    def to_markdown(self) -> str:
        """For the documentation."""
        machine = "\n".join(f"- {name}: {value}" for name, value in self.machine.items())
        table = as_markdown(_HEADER, self._rows(lambda section: f"**{section}**"))
        targets = as_markdown(_TARGETS, [target.cells() for target in self.targets])
        return f"{machine}\n\n{table}\n\n{targets}"

    def _rows(self, heading: Callable[[str], str]) -> list[list[str]]:
        rows: list[list[str]] = []
        section = ""
        for line in self.lines:
            if line.section != section:
                section = line.section
                rows.append([heading(section), *[""] * (len(_HEADER) - 1)])
            rows.append(line.cells())
        return rows


_HEADER = ["", *NAMES, *(f"interp / {base}" for base in BASES)]
_TARGETS = ["target", "measured", "at most", "met"]


def write_between_markers(page: Path, markdown: str, what: str = "last run") -> None:
    """Puts the tables of a run into a page, in place of those of the run before.

    Args:
        what: name of the place, which begins with `<!-- NAME: begin -->`.

    Raises:
        ValueError: the page has no such place.
    """
    text = page.read_text(encoding="utf-8")
    begin, end = f"<!-- {what}: begin -->", f"<!-- {what}: end -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"{page} lacks the markers {begin} and {end}.")
    new = f"{begin}\n{markdown}\n{end}"
    page.write_text(pattern.sub(lambda _: new, text), encoding="utf-8")


def machine(device: str, absent: Iterable[str]) -> dict[str, str]:
    """What a reader needs to know to compare numbers."""
    found = {"processor": f"{_processor()}, {torch.get_num_threads()} threads for torch"}
    if device == "cuda":
        found["device"] = torch.cuda.get_device_name()
    found["software"] = f"torch {torch.__version__}, Python {platform.python_version()}"
    for library in ("transformers", "transformer_lens"):
        found["software"] += _version(library)
    missing = ", ".join(absent)
    return {**found, "absent": missing} if missing else found


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(library: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f", {library} {version(library)}"
    except PackageNotFoundError:
        return ""


def as_text(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    # A heading may run over the cells to its right, so it does not widen its column.
    full = [row for row in [header, *rows] if len(row) == 1 or any(row[1:])]
    widths = [max(len(row[i]) for row in full) for i in range(len(header))]
    lines = []
    for row in [header, *rows]:
        first, *others = row
        cells = [first.ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def as_markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    ruler = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ruler, *rows])


def look_up(lines: Iterable[Line], section: str, name: str) -> Line | None:
    """The line of a section, or None if it was not measured."""
    return next((x for x in lines if x.section == section and x.name == name), None)
