"""What every analysis has in common when it is run from the command line.

    python -m probes.NAME --run stories-suite --steps 0 -1 --out FILE.parquet --chart FILE.html

or `interp probe NAME ...`. A run that was measured before costs nothing: what the file already
holds about the same weights under the same options is kept, and only the rest is computed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from interp.errors import InputError, InterpError
from interp.figures.figure import Figure
from interp.figures.still import save_figure
from interp.figures.theme import Scheme
from probes.frames import read, tidy, write
from probes.subjects import Subject, of_one, opened, short_hash, subjects

_NOT_OF_THE_RESULT = ("run", "steps", "out", "chart", "json")
"""Options that change what is measured of which model, or where it goes, but not a value."""


@dataclass(frozen=True)
class Script:
    """An analysis as a command.

    Attributes:
        name: of the module in `probes`.
        summary: what it says, in a line.
        examples: command lines, one a line.
        measure: an open model and the options -> rows for `tidy`.
        together: the rows about all models -> the same with what can only be said of all at once.
        whole: instead of `measure`, for what compares models: all of them and the options -> rows.
        chart: the frame and a colour scheme -> the picture.
        add_arguments: the options of its own.
    """

    name: str
    summary: str
    examples: str
    measure: Callable[[Any, argparse.Namespace], pd.DataFrame] | None = None
    together: Callable[[pd.DataFrame], pd.DataFrame] = tidy
    whole: Callable[[list[Subject], argparse.Namespace], pd.DataFrame] | None = None
    chart: Callable[[pd.DataFrame, Scheme], Figure] | None = None
    add_arguments: Callable[[argparse.ArgumentParser], None] = lambda parser: None

    def fill(self, parser: argparse.ArgumentParser) -> None:
        """Adds the options, its own and those that all analyses have."""
        parser.add_argument(
            "--run",
            nargs="+",
            required=True,
            metavar="MODEL",
            help="runs, suites or models: names of the zoo, folders, ids of the hub",
        )
        parser.add_argument(
            "--steps", nargs="+", type=int, metavar="N", help="of runs, only these checkpoints"
        )
        self.add_arguments(parser)
        parser.add_argument("--out", type=Path, metavar="FILE", help="write or complete a Parquet")
        if self.chart is not None:
            parser.add_argument("--chart", type=Path, metavar="FILE", help="a .html, .svg or .png")
        parser.add_argument(
            "--json", action="store_true", help="print one JSON object a row instead of text"
        )

    def run(self, options: argparse.Namespace) -> int:
        """Measures, writes and prints; returns the exit code."""
        chart = getattr(options, "chart", None)
        if options.out is not None and options.out.suffix != ".parquet":
            raise InputError(f"--out is {options.out}; give a name in .parquet.")
        if chart is not None and chart.suffix not in (".html", ".svg", ".png"):
            raise InputError(f"--chart is {chart}; give a name in .html, .svg or .png.")
        frame = self.frame(subjects(options.run, steps=options.steps), options)
        if chart is not None and self.chart is not None:
            draw = self.chart
            save_figure(lambda scheme: draw(frame, scheme), chart, self.summary)
        if options.json:
            print(frame.to_json(orient="records", lines=True), end="")
        else:
            with pd.option_context("display.max_rows", 40, "display.width", 160):
                print(frame.to_string(max_rows=40, index=False))
        return 0

    def frame(self, these: list[Subject], options: argparse.Namespace) -> pd.DataFrame:
        """The result about these models; written as soon as each of them is done."""
        recipe = {
            name: str(value) if isinstance(value, Path) else value
            for name, value in sorted(vars(options).items())
            if name not in _NOT_OF_THE_RESULT and name != "command"
        }
        provenance = {"analysis": self.name, "options": recipe}
        if self.whole is not None:
            frame = tidy(self.whole(these, options))
            if options.out is not None:
                write(frame, options.out, provenance)
            return frame
        assert self.measure is not None
        measure = self.measure
        known = self._known(options.out, provenance)
        parts = []
        for subject, model in opened(these):
            old = _about(known, subject, model)
            if len(old):
                parts.append(old)
                continue
            parts.append(of_one(subject, model, lambda model: measure(model, options)))
            if options.out is not None:
                rows = parts[-1:] if known is None else [known, parts[-1]]
                known = self.together(tidy(pd.concat(rows, ignore_index=True)))
                write(known, options.out, provenance)
        return self.together(tidy(pd.concat(parts, ignore_index=True)))

    def _known(self, path: Path | None, provenance: dict[str, Any]) -> pd.DataFrame | None:
        """What was measured before.

        Raises:
            InputError: the file holds the result of something else.
        """
        if path is None or not path.is_file():
            return None
        frame, about = read(path)
        if {name: about.get(name) for name in provenance} != _as_json(provenance):
            raise InputError(
                f"{path} holds a result with other options ({about.get('options')}); give another "
                "--out, or delete it."
            )
        return frame

    def main(self, argv: Sequence[str] | None = None) -> int:
        """`python -m probes.NAME`: returns the exit code, 2 for wrong input."""
        parser = argparse.ArgumentParser(
            prog=f"python -m probes.{self.name}",
            description=self.summary,
            epilog=f"examples:\n{self.examples}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.fill(parser)
        try:
            return self.run(parser.parse_args(argv))
        except InterpError as error:
            print("probes:", *str(error).split(), file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("probes: interrupted", file=sys.stderr)
            return 130


def _about(known: pd.DataFrame | None, subject: Subject, model: Any) -> pd.DataFrame:
    """The rows about a model, none if there are none or its weights are others now."""
    if known is None:
        return pd.DataFrame()
    same = (known["run"] == subject.run) & (known["model_hash"] == short_hash(model))
    step = known["step"]
    here = step.isna() if subject.step is None else (step == subject.step).fillna(False)
    return known[same & here]


def _as_json(value: Any) -> Any:
    import json

    return json.loads(json.dumps(value))
