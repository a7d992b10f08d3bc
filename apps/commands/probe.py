"""Ask a model, or every checkpoint of a run, what it knows and where: the analyses of `probes`.

`interp probe` lists them; `interp probe NAME --help` shows the options of one."""

from __future__ import annotations

import argparse
from importlib import import_module

EXAMPLES = """\
  interp probe
  interp probe heads --run induction --out heads.parquet --chart heads.html
  interp probe atlas --run stories-suite --data DATA/ud_english_ewt --chart atlas.html"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from probes import ANALYSES

    parser.add_argument("name", nargs="?", metavar="NAME", help=", ".join(ANALYSES))
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    from interp import InputError
    from probes import ANALYSES

    if options.name is None:
        width = max(map(len, ANALYSES), default=0)
        for name, summary in ANALYSES.items():
            print(f"{name.ljust(width)}  {summary}")
        return 0
    if options.name not in ANALYSES:
        raise InputError(f"There is no analysis {options.name!r}; there are {', '.join(ANALYSES)}.")
    script = import_module(f"probes.{options.name}").SCRIPT
    return int(script.main(options.rest))
