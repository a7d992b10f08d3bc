"""What explanations cost beside captum, shap and TransformerLens, on the same questions.

    python -m benchmarks.explain [--model stories|gpt2|all] [--answer N] [--rounds N] [--write]

prints one table: seconds of both, how many times faster, how far the answers lie apart, and the
peak of memory. The contestants take turns in one process. See `docs/benchmarks.md`.
"""

from __future__ import annotations

import argparse
import gc
import logging
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks import report
from benchmarks.explain_contests import ANSWER, Contest, contests, gpt2_small, stories
from interp.explain.memory import PeakMemory

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
SUBJECTS: dict[str, Callable[[], Any]] = {"stories": stories, "gpt2": gpt2_small}
_HEADER = [
    "",
    "interp",
    "theirs",
    "faster",
    "meant",
    "difference",
    "errors",
    "interp MiB",
    "their MiB",
]


@dataclass(frozen=True)
class Result:
    """Seconds and peak bytes of both, one value a round, how far the answers lie apart, and the
    completeness errors of both."""

    contest: Contest
    ours: list[float]
    theirs: list[float]
    our_bytes: int | None
    their_bytes: int | None
    difference: float | None
    errors: tuple[float, float] | None

    @property
    def faster(self) -> float:
        """The median over rounds of how many times faster ours is."""
        return median(b / a for a, b in zip(self.ours, self.theirs, strict=True))

    def cells(self) -> list[str]:
        """A row of the table."""
        met = "" if self.faster >= self.contest.least else " **(no)**"
        return [
            self.contest.name,
            f"{median(self.ours):.2f} s",
            f"{median(self.theirs):.2f} s",
            f"{self.faster:.1f} x{met}",
            f"{self.contest.least:.0f} x",
            "-" if self.difference is None else f"{self.difference:.1e}",
            "-" if self.errors is None else " / ".join(f"{error:.1e}" for error in self.errors),
            _mib(self.our_bytes),
            _mib(self.their_bytes),
        ]


def race(contest: Contest, rounds: int) -> Result:
    """Both in turn, round after round."""
    ours, theirs = list[float](), list[float]()
    if contest.prepare is not None:
        contest.prepare()
    contest.ours()  # the first call of each loads code; theirs is slow enough not to show it
    for _ in range(rounds):
        mine, seconds, my_bytes = _timed(contest.ours)
        ours.append(seconds)
        other, seconds, other_bytes = _timed(contest.theirs)
        theirs.append(seconds)
    apart = None if contest.difference is None else contest.difference(mine, other)
    errors = None
    if contest.errors is not None:
        errors = contest.errors(mine), contest.errors(other)
    return Result(contest, ours, theirs, my_bytes, other_bytes, apart, errors)


def _timed(task: Callable[[], Any]) -> tuple[Any, float, int | None]:
    gc.collect()
    with PeakMemory(torch.device("cpu")) as memory:
        start = time.perf_counter()
        found = task()
        seconds = time.perf_counter() - start
    return found, seconds, memory.peak


def _mib(size: int | None) -> str:
    return "-" if size is None else f"{size / 2**20:.0f}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--model", choices=[*SUBJECTS, "all"], default="all")
    parser.add_argument("--answer", type=int, default=ANSWER, help="tokens of the answer")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", default="", help="contests whose name holds this")
    parser.add_argument("--write", action="store_true", help=f"into {PAGE.name}")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    rows: list[list[str]] = []
    for name in SUBJECTS if options.model == "all" else [options.model]:
        subject = SUBJECTS[name]()
        rows.append([f"**{subject.name}**", *[""] * (len(_HEADER) - 1)])
        for contest in contests(subject, options.answer):
            if options.only not in contest.name:
                continue
            result = race(contest, options.rounds)
            rows.append(result.cells())
            print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    machine = report.machine("cpu", ())
    print("\n".join(f"{key}: {value}" for key, value in machine.items()))
    print(report.as_text(_HEADER, rows).replace("**", ""))
    if options.write:
        facts = "\n".join(f"- {key}: {value}" for key, value in machine.items())
        table = report.as_markdown(_HEADER, rows)
        report.write_between_markers(PAGE, f"{facts}\n\n{table}", "explanations")
    return 0


if __name__ == "__main__":
    sys.exit(main())
